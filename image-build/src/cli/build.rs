//! `image-build build`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::build::{self, Options};
use crate::cli::{MirrorArgs, Session};
use crate::error::{Context, Result};
use crate::format::Format;

/// Arguments of `build`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  image-build build\n  image-build build minimal --out out --format raw\n  \
    image-build build my-recipe.yaml --locked --json"
)]
pub struct Args {
    /// Built-in recipe (docker, minimal, cluster) or path of a recipe file
    #[arg(default_value = "docker")]
    recipe: String,

    /// Directory for the outputs
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,

    /// Output formats [default: the recipe's]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    format: Vec<Format>,

    #[command(flatten)]
    mirrors: MirrorArgs,

    /// Use the lock as it is; resolve nothing
    #[arg(long)]
    locked: bool,

    /// Lock to use with --locked [default: NAME.lock beside the recipe, or in --out]
    #[arg(long, value_name = "FILE", requires = "locked")]
    lock: Option<PathBuf>,

    /// Folder of the static init, oem and updater [default: beside this program]
    #[arg(long, value_name = "DIR")]
    guest_bin: Option<PathBuf>,

    /// Build even if the outputs are up to date
    #[arg(long)]
    force: bool,

    /// Print the report as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: &Args, session: &Session) -> Result<ExitCode> {
    let options = Options {
        recipe: args.recipe.clone(),
        out: args.out.clone(),
        formats: args.format.clone(),
        locked: args.locked,
        lock: args.lock.clone(),
        guest_bin: args.guest_bin.clone(),
        force: args.force,
    };
    let mirrors = args.mirrors.discover()?;
    let built = build::build(&options, &mirrors, &session.cache, &session.progress)?;
    if args.json {
        let report = std::fs::read_to_string(&built.report)
            .environment(|| format!("reading {}", built.report.display()))?;
        print!("{report}");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(report) = &built.fresh {
        eprint!("{}", report.text());
    } else {
        session.progress.note("up to date");
    }
    for path in &built.images {
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
