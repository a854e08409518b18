//! `updater hold`, `updater allow`: what an operator decides for longer.

use std::path::Path;

use super::mark_good::PATIENCE;
use super::output::print;
use super::service::Service;
use super::{Exit, Failure, place};
use crate::state::{Memory, Store};
use crate::update::Lock;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  updater hold \"until the audit is over\"\n  \
    updater hold --release\n\n\
    While updates are held nothing is installed and nothing reboots; what is installed already\n\
    waits. The hold outlives reboots."
)]
pub(super) struct HoldArgs {
    /// Why: `updater status --why` tells it to others
    #[arg(default_value = "no reason given", conflicts_with = "release")]
    reason: String,

    /// End the hold
    #[arg(long)]
    release: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  updater allow 20261101.0900")]
pub(super) struct AllowArgs {
    /// Version of a release that this machine went back from
    version: String,
}

pub(super) fn hold(args: &HoldArgs) -> Result<u8, Failure> {
    match (Service::find(), args.release) {
        (Some(service), true) => service.call("Release", &())?,
        (Some(service), false) => service.call("Hold", &(args.reason.as_str(),))?,
        (None, release) => by_hand(Path::new("/"), |memory| {
            let held = memory.hold.is_some();
            memory.hold = (!release).then(|| args.reason.clone());
            (held || !release)
                .then_some(())
                .ok_or("updates are not held".to_owned())
        })?,
    }
    print(if args.release {
        "updates are not held any more\n"
    } else {
        "updates are held: nothing is installed and nothing reboots until `updater hold --release`\n"
    })?;
    Ok(0)
}

pub(super) fn allow(args: &AllowArgs) -> Result<u8, Failure> {
    let version = args.version.as_str();
    match Service::find() {
        Some(service) => service.call("Allow", &(version,))?,
        None => by_hand(Path::new("/"), |memory| {
            let before = memory.refused.len();
            memory.refused.retain(|r| r.release.version != version);
            let changed = memory.refused.len() < before;
            changed
                .then_some(())
                .ok_or(format!("{version} is not refused"))
        })?,
    }
    print(&format!("{version} may be tried again\n"))?;
    Ok(0)
}

/// Changes what outlives restarts, while no service runs that has it in its memory.
pub(super) fn by_hand(
    root: &Path,
    change: impl FnOnce(&mut Memory) -> Result<(), String>,
) -> Result<(), Failure> {
    let state = root.join(crate::STATE);
    let _lock = Lock::wait(&state, PATIENCE).map_err(place::failure)?;
    let kept =
        |e: crate::state::StoreError| Failure::because(Exit::Environment, &e).with_hint(e.hint());
    let (store, mut memory) = Store::open(&state).map_err(kept)?;
    change(&mut memory).map_err(|why| Failure::new(Exit::Refused, why))?;
    store.save(&memory).map_err(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Cause, Known};

    #[test]
    fn what_an_operator_decides_outlives_the_service() {
        let root = tempfile::tempdir().unwrap();
        let read = || Store::open(&root.path().join(crate::STATE)).unwrap().1;
        by_hand(root.path(), |memory| {
            memory.hold = Some("audit".to_owned());
            let release = Known {
                version: "2".to_owned(),
                sequence: 20,
            };
            memory.refuse(&release, Cause::Operator, 1);
            Ok(())
        })
        .unwrap();
        assert_eq!(read().hold.as_deref(), Some("audit"));
        assert!(read().refuses("2"));
        let no = by_hand(root.path(), |_| Err("no".to_owned())).unwrap_err();
        assert_eq!(no.exit_code(), 4);
    }
}
