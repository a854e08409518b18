//! `updater reboot`.

use super::output::print;
use super::service::Service;
use super::{Exit, Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  updater update && updater reboot\n\n\
    Windows, inhibitors and holds are for reboots that nobody asked for: this one happens now.")]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<u8, Failure> {
    let Some(service) = Service::find() else {
        return Err(
            Failure::new(Exit::Environment, "the updater's service does not run").with_hint(
                "`systemctl reboot` starts what `updater status` shows as the next boot",
            ),
        );
    };
    let staged = service.view()?.staged;
    service.call("Reboot", &())?;
    print(&format!("rebooting into {staged}\n"))?;
    Ok(0)
}
