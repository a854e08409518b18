//! `updater check`.

use super::{Failure, not_in_this_version};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<u8, Failure> {
    Err(not_in_this_version())
}
