//! `updater update`.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use zbus::Variant;

use super::mark_good::no_machine;
use super::output::{print, print_json};
use super::place::{PlaceArgs, failure};
use super::progress::Lines;
use super::service::Service;
use super::{Exit, Failure};
use crate::boot::Machine;
use crate::state::Store;
use crate::tuf::Time;
use crate::update::{Done, Tally, Work, check};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  updater update && updater reboot\n  \
    updater update --from /run/media/stick/repository\n  updater update --channel beta --json\n\n\
    The service installs where it runs, and reboots as it is configured to; it goes on when this\n\
    program is stopped. Where none runs, or with --channel, this program installs; it may be\n\
    stopped at any time, and the next call goes on where this one was. Exit status: 0 a newer\n\
    release is installed, or there is none; 3 network or disk failed; 4 what is offered is refused.")]
pub(super) struct Args {
    #[command(flatten)]
    place: PlaceArgs,

    /// Take a release that this machine rolled back from, too
    #[arg(long)]
    again: bool,

    /// Take a release that is older than what runs, or ran well here, too
    #[arg(long)]
    allow_downgrade: bool,

    /// Print events as JSON, one in a line
    #[arg(long)]
    json: bool,
}

/// The last line with `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum End<'a> {
    UpToDate { version: &'a str },
    Done { done: Done, version: &'a str },
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    // A channel of its own is for whoever watches over this very update.
    let by_hand = args.place.channel().is_some();
    match Service::find().filter(|_| !by_hand) {
        Some(service) => ask(&service, args),
        None => install(args),
    }
}

/// The service installs.
fn ask(service: &Service, args: &Args) -> Result<u8, Failure> {
    let before = service.view()?.staged;
    let mut options: HashMap<&str, Variant<'_>> = HashMap::new();
    options.extend(args.place.from()?.map(|from| ("from", from.into())));
    options.extend(args.again.then(|| ("again", true.into())));
    options.extend(args.allow_downgrade.then(|| ("downgrade", true.into())));
    service.call("UpdateWith", &(options,))?;
    let mut lines = Lines::new(args.json, None);
    let view = service.settle(&mut |view| lines.follow(view));
    lines.end();
    let view = view?.worked()?;
    if !view.offered.is_empty() {
        return Err(Failure::new(Exit::Refused, view.headline()));
    }
    if view.staged.is_empty() {
        let version = view.version.as_str();
        if args.json {
            print_json(&End::UpToDate { version })?;
        } else {
            let channel = &view.channel;
            print(&format!(
                "up to date: channel {channel} offers nothing newer than {version}\n"
            ))?;
        }
        return Ok(0);
    }
    let version = view.staged.as_str();
    if args.json {
        let done = match view.staged == before {
            true => Done::Staged,
            false => Done::Installed,
        };
        print_json(&End::Done { done, version })?;
    } else {
        print(&format!("{}\n", view.headline()))?;
    }
    Ok(0)
}

fn install(args: &Args) -> Result<u8, Failure> {
    let root = Path::new("/");
    let mut place = args.place.open(root)?;
    refuse_if_held(&place.setup.state)?;
    place.setup.again = args.again;
    place.setup.downgrade = args.allow_downgrade;
    let found = check(&place.machine, &place.setup, &mut *place.source).map_err(failure)?;
    let version = found.version.as_str();
    let Some(offer) = &found.offer else {
        if args.json {
            print_json(&End::UpToDate { version })?;
        } else {
            let channel = &place.setup.channel;
            print(&format!(
                "up to date: {version} is what channel {channel} offers\n"
            ))?;
        }
        return Ok(0);
    };
    let mut machine = Machine::open(root).map_err(no_machine)?;
    let (disk, boot) = machine.parts();
    let slot = disk.inactive().id;
    let tally = Tally::new(offer.release.uki.length, offer.download(&place.machine));
    let mut lines = Lines::new(args.json, Some(tally));
    let done = Work {
        state: &place.setup.state,
        disk,
        boot: &boot,
        source: &mut *place.source,
        // Whoever wants it stopped ends the process: that is safe at any time.
        stop: &|| false,
        tell: &mut |event| lines.tell(event),
    }
    .install(offer);
    lines.end();
    let done = done.map_err(failure)?;
    if args.json {
        print_json(&End::Done { done, version })?;
    } else {
        let how = match done {
            Done::Installed => "installed",
            Done::Staged => "already installed",
        };
        print(&format!(
            "{version} is {how} in slot {slot}; reboot to start it\n"
        ))?;
    }
    Ok(0)
}

/// What the service would say.
fn refuse_if_held(state: &Path) -> Result<(), Failure> {
    let (_, memory) = Store::open(state)
        .map_err(|e| Failure::because(Exit::Environment, &e).with_hint(e.hint()))?;
    let over = memory.hold_until.is_some_and(|at| at <= Time::now().0);
    match memory.hold.filter(|_| !over) {
        Some(why) => Err(
            Failure::new(Exit::Refused, format!("updates are held: {why}"))
                .with_hint("`updater hold --release` ends that"),
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::hold::by_hand;

    #[test]
    fn a_hold_is_respected_without_the_service() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join(crate::STATE);
        for (until, held) in [(None, true), (Some(1), false), (Some(i64::MAX), true)] {
            by_hand(root.path(), |memory| {
                memory.hold = Some("audit".to_owned());
                memory.hold_until = until;
                Ok(())
            })
            .unwrap();
            let refused = refuse_if_held(&state).err();
            assert_eq!(
                refused.is_some_and(|e| e.exit_code() == 4),
                held,
                "{until:?}"
            );
        }
    }
}
