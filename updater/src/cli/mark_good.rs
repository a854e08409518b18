//! `updater mark-good`.

use std::path::Path;
use std::time::Duration;

use super::output::print;
use super::{Exit, Failure, place};
use crate::boot::{Error, Machine, NoMachine};
use crate::update::{Lock, bless};

/// How long short work waits for a check or an update to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  updater mark-good")]
pub(super) struct Args {
    /// Even if the release was rolled back from
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let root = Path::new("/");
    let folder = root.join(crate::STATE);
    let _lock = Lock::wait(&folder, PATIENCE).map_err(place::failure)?;
    let machine = Machine::open(root).map_err(no_machine)?;
    let boot = machine.boot();
    bless(&folder, &boot, args.force).map_err(place::failure)?;
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
