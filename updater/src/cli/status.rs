//! `updater status`.

use std::path::Path;

use super::output::{print, print_json};
use super::{Exit, Failure};
use crate::status::Booted;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  updater status --json")]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let booted = Booted::read(Path::new("/"))
        .map_err(|e| Failure::new(Exit::Environment, format!("reading what is booted: {e}")))?;
    if args.json {
        print_json(&booted)?;
    } else {
        print(&format!(
            "version: {}\nusrhash: {}\n",
            booted.version.as_deref().unwrap_or("unknown"),
            booted
                .usr_hash
                .as_deref()
                .unwrap_or("none (this system was not booted from a verified /usr)")
        ))?;
    }
    Ok(0)
}
