//! `updater daemon`.

use super::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<u8, Failure> {
    Err(Failure::new(
        Exit::Environment,
        "the service is not in this version of Holdfast",
    )
    .with_hint("update by hand, or from a timer: `updater update`"))
}
