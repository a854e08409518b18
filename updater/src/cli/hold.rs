//! `updater hold`, `updater allow`: what an operator decides for longer.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::mark_good::PATIENCE;
use super::output::print;
use super::service::Service;
use super::{Exit, Failure, place};
use crate::config::duration;
use crate::state::{Memory, Store};
use crate::tuf::Time;
use crate::update::Lock;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  updater hold \"until the audit is over\"\n  \
    updater hold \"change freeze\" --until 2027-01-04T06:00\n  updater hold --until 3h\n  \
    updater hold --release\n\n\
    While updates are held nothing is installed and nothing reboots; what is installed already\n\
    waits. The hold outlives reboots. A time is a duration (90m, 3h, 2d), a date or a date with a\n\
    time, UTC unless an offset follows (2027-01-04T06:00+01:00)."
)]
pub(super) struct HoldArgs {
    /// Why: `updater status --why` tells it to others
    #[arg(default_value = "no reason given", conflicts_with = "release")]
    reason: String,

    /// When it ends by itself
    #[arg(long, value_name = "TIME", conflicts_with = "release", value_parser = moment)]
    until: Option<i64>,

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
        (Some(service), false) => match args.until {
            Some(until) => service.call("HoldUntil", &(args.reason.as_str(), until))?,
            None => service.call("Hold", &(args.reason.as_str(),))?,
        },
        (None, release) => by_hand(Path::new("/"), |memory| {
            let held = memory.hold.is_some();
            memory.hold = (!release).then(|| args.reason.clone());
            memory.hold_until = args.until;
            (held || !release)
                .then_some(())
                .ok_or("updates are not held".to_owned())
        })?,
    }
    print(&match (args.release, args.until) {
        (true, _) => "updates are not held any more\n".to_owned(),
        (false, None) => "updates are held: nothing is installed and nothing reboots until `updater hold --release`\n".to_owned(),
        (false, Some(at)) => format!(
            "updates are held: nothing is installed and nothing reboots until {}, or `updater hold --release`\n",
            when(at)
        ),
    })?;
    Ok(0)
}

/// A time that is still to come, in seconds since 1970.
fn moment(text: &str) -> Result<i64, String> {
    moment_after(text, Time::now().0)
}

fn moment_after(text: &str, now: i64) -> Result<i64, String> {
    let after = duration(text).and_then(|span| i64::try_from(span.as_secs()).ok());
    let utc = |time: DateTime| Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let named = || {
        let exact = text.parse::<Timestamp>().ok();
        exact.or_else(|| utc(text.parse().ok()?))
    };
    let at = match after {
        Some(after) => now.checked_add(after),
        None => named().map(Timestamp::as_second),
    };
    match at {
        Some(at) if at > now && Timestamp::from_second(at).is_ok() => Ok(at),
        Some(_) => Err("that time is over, or too far away".to_owned()),
        None => Err("write it as 90m, 3h, 2d, 2027-01-04 or 2027-01-04T06:00".to_owned()),
    }
}

/// A time for people.
pub(super) fn when(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
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
    fn times_are_durations_or_dates() {
        let now = 1_798_761_600; // 2027-01-01
        let day = 86_400;
        for (text, expected) in [
            ("90m", now + 5400),
            ("2d", now + 2 * day),
            ("2027-01-04", now + 3 * day),
            ("2027-01-04T06:00", now + 3 * day + 6 * 3600),
            ("2027-01-04 06:00:30", now + 3 * day + 6 * 3600 + 30),
            ("2027-01-04T06:00+01:00", now + 3 * day + 5 * 3600),
            ("2027-01-04T06:00Z", now + 3 * day + 6 * 3600),
        ] {
            assert_eq!(moment_after(text, now), Ok(expected), "{text}");
        }
        for wrong in [
            "",
            "0s",
            "2027-01-01",
            "2026-12-24",
            "monday",
            "2027-13-01",
            "99999999d",
        ] {
            assert!(moment_after(wrong, now).is_err(), "{wrong}");
        }
        assert_eq!(when(now), "2027-01-01T00:00:00Z");
    }

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
