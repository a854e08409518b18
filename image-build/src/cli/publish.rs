//! `image-build publish`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Session;
use crate::error::{Context, Result};
use crate::publish::build::Build;
use crate::publish::release::{Against, Options, publish};
use crate::report::size;

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    image-build keys init keys --repository repo\n  \
    image-build publish out --repository repo --keys keys\n  \
    image-build publish out --repository repo --keys keys --channel beta --against 3\n  \
    image-build publish out --repository repo --keys keys --against ../older/out\n  \
    image-build publish out --repository repo --keys keys --floor 20261101.0900 --keep 12\n\n\
    Publishing a version that is there already puts it on another channel. Any web server can\n\
    serve the repository's folder; it may do so while this runs.")]
pub struct Args {
    /// Folder that `image-build build --out` filled
    build: PathBuf,

    /// Recipe's name, if the folder has several builds
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Folder that the web server serves
    #[arg(long, value_name = "DIR")]
    repository: PathBuf,

    /// Folder of keys; those of targets, snapshot and timestamp are needed
    #[arg(long, value_name = "DIR", default_value = "keys")]
    keys: PathBuf,

    /// Channel that offers the release from now on
    #[arg(long, value_name = "NAME", default_value = "stable", value_parser = channel)]
    channel: String,

    /// Make patches against so many of the newest releases, or against a build's folder
    #[arg(long, value_name = "N|DIR", default_value = "1")]
    against: Vec<String>,

    /// Oldest version that machines of the channel may still run
    #[arg(long, value_name = "VERSION")]
    floor: Option<String>,

    /// The release's place in the order [default: time of its newest package, but after all that are published]
    #[arg(long, value_name = "N")]
    sequence: Option<u64>,

    /// Keep so many of the newest releases, and those that channels offer or have as their floor [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keep: Option<u64>,

    /// Let machines go back to this release from newer ones, as long as the channel says so
    #[arg(long)]
    allow_downgrade: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: &Args, session: &Session) -> Result<ExitCode> {
    let step = session.progress.step("read", 0);
    let build = Build::open(&args.build, args.name.as_deref())?;
    step.done(&format!("{} {}", build.name, build.version));
    let options = Options {
        repository: args.repository.clone(),
        keys: args.keys.clone(),
        channel: args.channel.clone(),
        floor: args.floor.clone(),
        sequence: args.sequence,
        keep: args
            .keep
            .map(|keep| usize::try_from(keep).unwrap_or(usize::MAX)),
        downgrade: args.allow_downgrade,
        against: args.against.iter().map(|text| against(text)).collect(),
    };
    let published = publish(&build, &options, &session.progress)?;
    if args.json {
        let text = serde_json::to_string_pretty(&published)
            .environment(|| "encoding what was published".into())?;
        println!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{} {} for {} is what channel {} offers{}",
        published.image,
        published.version,
        published.architecture,
        published.channel,
        if published.new {
            ""
        } else {
            " (it was published before)"
        }
    );
    println!("  kernel image {}", size(published.kernel));
    println!("  whole /usr   {}", size(published.full));
    for (version, bytes) in &published.patches {
        println!("  from {version}: {}", size(*bytes));
    }
    if !published.retired.is_empty() {
        println!("  no longer there: {}", published.retired.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn against(text: &str) -> Against {
    text.parse::<usize>()
        .map_or_else(|_| Against::Build(text.into()), Against::Newest)
}

/// A channel's name is a file's.
fn channel(text: &str) -> std::result::Result<String, String> {
    if updater::config::is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(updater::config::NAME_RULE.to_owned())
    }
}
