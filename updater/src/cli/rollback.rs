//! `updater rollback`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::hold::by_hand;
use super::mark_good::{PATIENCE, no_machine};
use super::output::print;
use super::service::Service;
use super::{Failure, place};
use crate::boot::Machine;
use crate::state::{Cause, Known};
use crate::update::{Identity, Lock, roll_back};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  updater rollback && updater reboot\n\n\
    The release that runs is not installed again until a newer one runs, or `updater allow` lets it.\n\
    The service, where it runs, also reboots by itself, as it is configured to.")]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<u8, Failure> {
    if let Some(service) = Service::find() {
        service.call("Rollback", &())?;
        let view = service.settle(&mut |_| {})?.worked()?;
        print(&format!(
            "the next boot takes {}\n{}\n",
            view.staged,
            view.headline()
        ))?;
        return Ok(0);
    }
    let root = Path::new("/");
    let other = directly(root)?;
    let identity = Identity::read(root).map_err(|e| place::failure(e.into()))?;
    by_hand(root, |memory| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
        let left = Known {
            version: identity.version,
            sequence: identity.sequence,
        };
        memory.refuse(&left, Cause::Operator, since);
        Ok(())
    })?;
    print(&format!("the next boot takes {}\n", other.version))?;
    Ok(0)
}

fn directly(root: &Path) -> Result<Known, Failure> {
    let _lock = Lock::wait(&root.join(crate::STATE), PATIENCE).map_err(place::failure)?;
    let machine = Machine::open(root).map_err(no_machine)?;
    roll_back(&machine.boot()).map_err(place::failure)
}
