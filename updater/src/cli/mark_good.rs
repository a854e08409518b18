//! `updater mark-good`.

use std::path::Path;

use super::output::print;
use super::{Exit, Failure};
use crate::boot::{Error, Machine, NoMachine};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  updater mark-good")]
pub(super) struct Args {
    /// Even if the release was rolled back from
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let machine = Machine::open(Path::new("/")).map_err(no_machine)?;
    let boot = machine.boot();
    boot.mark_good(args.force).map_err(failure)?;
    let state = boot.state().map_err(failure)?;
    print(&format!(
        "slot {}: {} is good\n",
        state.running.slot, state.running.version
    ))?;
    Ok(0)
}

pub(super) fn no_machine(error: NoMachine) -> Failure {
    Failure::because(Exit::Environment, &error).with_hint(error.hint())
}

pub(super) fn failure(error: Error) -> Failure {
    let exit = match error {
        Error::RolledBack(_) | Error::Unproven(_) | Error::NothingGood(_) => Exit::Refused,
        _ => Exit::Environment,
    };
    Failure::because(exit, &error).with_hint(error.hint())
}
