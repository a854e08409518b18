//! `updater rollback`.

use std::path::Path;

use super::Failure;
use super::mark_good::{failure, no_machine};
use super::output::print;
use crate::boot::Machine;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  updater rollback && systemctl reboot")]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<u8, Failure> {
    let machine = Machine::open(Path::new("/")).map_err(no_machine)?;
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
