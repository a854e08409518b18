//! `updater rollback`.

use std::path::Path;

use super::mark_good::{PATIENCE, failure, no_machine};
use super::output::print;
use super::{Failure, place};
use crate::boot::Machine;
use crate::update::Lock;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  updater rollback && systemctl reboot")]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<u8, Failure> {
    let root = Path::new("/");
    let _lock = Lock::wait(&root.join(crate::STATE), PATIENCE).map_err(place::failure)?;
    let machine = Machine::open(root).map_err(no_machine)?;
    let boot = machine.boot();
    boot.rollback().map_err(failure)?;
    if let Some(other) = boot.state().map_err(failure)?.other {
        print(&format!(
            "the next boot takes slot {}: {}\n",
            other.slot, other.version
        ))?;
    }
    Ok(0)
}
