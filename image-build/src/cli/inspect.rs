//! `image-build inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::{Context, Result};
use crate::inspect;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  image-build inspect out/docker.qcow2\n  \
    image-build inspect out/docker.raw --verify --json")]
pub struct Args {
    /// Image to read (raw or qcow2)
    image: PathBuf,

    /// Hash all of /usr again and compare with the root hash
    #[arg(long)]
    verify: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: &Args) -> Result<ExitCode> {
    let found = inspect::read(&args.image, args.verify)?;
    if args.json {
        let text = serde_json::to_string_pretty(&found)
            .environment(|| "encoding what was found".into())?;
        println!("{text}");
    } else {
        print!("{}", found.text());
    }
    Ok(ExitCode::SUCCESS)
}
