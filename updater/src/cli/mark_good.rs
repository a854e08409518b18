//! `updater mark-good`.

use std::path::Path;
use std::time::Duration;

use super::hold::by_hand;
use super::output::print;
use super::service::Service;
use super::{Exit, Failure, place};
use crate::boot::{Error, Machine, NoMachine};
use crate::state::Known;
use crate::update::{Identity, Lock, bless};

/// How long short work waits for a check or an update to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  updater mark-good\n  updater mark-good --force\n\n\
    The service does it by itself when every health check passed; this is for those who know better."
)]
pub(super) struct Args {
    /// Even if the release was rolled back from
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    if let Some(service) = Service::find().filter(|_| !args.force) {
        service.call("MarkGood", &())?;
        let view = service.settle(&mut |_| {})?;
        if view.trial {
            view.worked()?;
            return Err(Failure::new(Exit::Environment, "it is still on trial"));
        }
        print(&format!("{} is good\n", view.version))?;
        return Ok(0);
    }
    let root = Path::new("/");
    print(&directly(root, args.force)?)?;
    let identity = Identity::read(root).map_err(|e| place::failure(e.into()))?;
    by_hand(root, |memory| {
        memory.note_good(&Known {
            version: identity.version,
            sequence: identity.sequence,
        });
        Ok(())
    })?;
    Ok(0)
}

fn directly(root: &Path, force: bool) -> Result<String, Failure> {
    let folder = root.join(crate::STATE);
    let _lock = Lock::wait(&folder, PATIENCE).map_err(place::failure)?;
    let machine = Machine::open(root).map_err(no_machine)?;
    let boot = machine.boot();
    let identity = Identity::read(root).map_err(|e| place::failure(e.into()))?;
    bless(&folder, &identity, &boot, force).map_err(place::failure)?;
    let state = boot.state().map_err(failure)?;
    Ok(format!(
        "slot {}: {} is good\n",
        state.running.slot, state.running.version
    ))
}

pub(super) fn no_machine(error: NoMachine) -> Failure {
    Failure::because(Exit::Environment, &error).with_hint(error.hint())
}

fn failure(error: Error) -> Failure {
    place::failure(error.into())
}
