//! `updater daemon`.

use super::{Exit, Failure};
use crate::daemon::{self, ThisMachine, Updates};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  systemctl status updater\n\n\
    systemd runs it, as updater.service; SIGHUP reads the configuration again.")]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<u8, Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(
            Failure::new(Exit::Refused, "the service runs as root alone")
                .with_hint("ask the one that runs: `updater status --why`"),
        );
    }
    daemon::start_log();
    daemon::run(Box::new(Updates::new(ThisMachine)))
        .map_err(|e| Failure::because(Exit::Environment, &e))?;
    Ok(0)
}
