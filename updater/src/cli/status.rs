//! `updater status`.

use std::path::Path;

use serde::Serialize;

use super::output::{print, print_json};
use super::{Exit, Failure};
use crate::boot::{Machine, NoMachine};
use crate::cause::chain;
use crate::install::{Journal, Status};
use crate::status::Booted;
use crate::update::JOURNAL;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  updater status --json")]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    booted: &'a Booted,
    /// The slots and what boots next; none where they cannot be read.
    machine: Option<&'a Status>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let root = Path::new("/");
    let booted = Booted::read(root)
        .map_err(|e| Failure::new(Exit::Environment, format!("reading what is booted: {e}")))?;
    let machine = slots(root);
    if args.json {
        print_json(&Answer {
            booted: &booted,
            machine: machine.as_ref().ok(),
            unknown: machine.as_ref().err().map(|e| chain(e)),
        })?;
        return Ok(0);
    }
    let told = match &machine {
        Ok(status) => status.to_string(),
        Err(e) => format!("slots: not known: {}; {}\n", chain(e), e.hint()),
    };
    print(&format!(
        "version: {}\nusrhash: {}\n{told}",
        booted.version.as_deref().unwrap_or("unknown"),
        booted
            .usr_hash
            .as_deref()
            .unwrap_or("none (this system was not booted from a verified /usr)")
    ))?;
    Ok(0)
}

fn slots(root: &Path) -> Result<Status, NoMachine> {
    let machine = Machine::open(root)?;
    let journal = Journal::new(&root.join(crate::STATE).join(JOURNAL));
    Ok(Status::read(&machine.disk, &machine.boot(), &journal)?)
}
