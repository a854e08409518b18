//! `updater deadline`.

use std::path::Path;

use super::{Exit, Failure};
use crate::daemon::start_log;
use crate::health::deadline::watch;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "systemd runs it on trial boots, as updater-trial.service. It reboots the\n\
    machine when the release is not good after twice the `health-timeout`."
)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<u8, Failure> {
    start_log();
    watch(Path::new("/")).map_err(|e| Failure::because(Exit::Environment, &e))?;
    Ok(0)
}
