//! `org.holdfast.Updater1`: everything there is to know and to ask for.

use std::collections::HashMap;

use zbus::fdo;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedVariant, Variant, interface};

use super::super::engine::now;
use super::super::{Handle, Snapshot};
use super::{UPDATER_PATH, ask};
use crate::config::{NAME_RULE, is_name};
use crate::state::{Phase, Request, Wish};
use crate::tuf::Seen;

const NAME: &str = "org.holdfast.Updater1";
const NO_REASON: &str = "no reason given";

pub(super) struct Updater1(pub(super) Handle);

/// Nothing is `""`.
fn or_none(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads options; what is not known is refused.
fn wish(options: HashMap<String, OwnedVariant>) -> fdo::Result<Wish> {
    let mut wish = Wish::default();
    for (name, value) in options {
        let wrong = |_| fdo::Error::InvalidArgs(format!("{name:?} has another type"));
        match name.as_str() {
            "from" => wish.from = or_none(&String::try_from(value).map_err(wrong)?),
            "channel" => wish.channel = Some(channel(value.try_into().map_err(wrong)?)?),
            "again" => wish.again = value.try_into().map_err(wrong)?,
            "downgrade" => wish.downgrade = value.try_into().map_err(wrong)?,
            _ => {
                let what = format!("{name:?} is no option");
                return Err(fdo::Error::InvalidArgs(what));
            }
        }
    }
    Ok(wish)
}

fn channel(name: String) -> fdo::Result<String> {
    match is_name(&name) {
        true => Ok(name),
        false => Err(fdo::Error::InvalidArgs(format!(
            "{name:?} is no channel: {NAME_RULE}"
        ))),
    }
}

#[interface(name = "org.holdfast.Updater1")]
impl Updater1 {
    /// Looks for a release, installs nothing.
    async fn check(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        ask(&self.0, connection, &header, Request::Check).await
    }

    /// Looks for a release and installs it; from a folder if one is named.
    async fn update(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        from: &str,
    ) -> fdo::Result<()> {
        let wish = Wish {
            from: or_none(from),
            ..Wish::default()
        };
        ask(&self.0, connection, &header, Request::Update(wish)).await
    }

    /// The same, with options that count instead of the configuration: `from` (s),
    /// `channel` (s), `again` (b): also what this machine went back from, `downgrade`
    /// (b): also what is older than what runs.
    async fn update_with(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        options: HashMap<String, OwnedVariant>,
    ) -> fdo::Result<()> {
        let wish = wish(options)?;
        ask(&self.0, connection, &header, Request::Update(wish)).await
    }

    /// Stops an installation.
    async fn cancel(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        ask(&self.0, connection, &header, Request::Cancel).await
    }

    /// Reboots into the staged release now.
    async fn reboot(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        ask(&self.0, connection, &header, Request::Reboot).await
    }

    /// Makes the other slot the next to boot.
    async fn rollback(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        ask(&self.0, connection, &header, Request::Rollback).await
    }

    /// Takes the booted slot for good.
    async fn mark_good(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        ask(&self.0, connection, &header, Request::MarkGood).await
    }

    /// Forgets errors and makes what is staged unbootable.
    async fn reset(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        ask(&self.0, connection, &header, Request::Reset).await
    }

    /// No installation and no reboot until released.
    async fn hold(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reason: &str,
    ) -> fdo::Result<()> {
        let why = or_none(reason).unwrap_or_else(|| NO_REASON.to_owned());
        let request = Request::Hold { why, until: None };
        ask(&self.0, connection, &header, request).await
    }

    /// The same, with an end: seconds since 1970.
    async fn hold_until(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        reason: &str,
        until: i64,
    ) -> fdo::Result<()> {
        if until <= now() {
            return Err(fdo::Error::InvalidArgs("that time is over".to_owned()));
        }
        let why = or_none(reason).unwrap_or_else(|| NO_REASON.to_owned());
        let until = Some(until);
        ask(&self.0, connection, &header, Request::Hold { why, until }).await
    }

    /// Ends a hold.
    async fn release(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        ask(&self.0, connection, &header, Request::Release).await
    }

    /// Lets a version that was rolled back from be tried again.
    async fn allow(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        version: &str,
    ) -> fdo::Result<()> {
        let request = Request::Allow(version.to_owned());
        ask(&self.0, connection, &header, request).await
    }

    /// Reads the configuration again.
    async fn reload(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        super::authorize(connection, &header).await?;
        self.0.reload();
        Ok(())
    }

    /// What is going on, in one word.
    #[zbus(property)]
    fn phase(&self) -> String {
        self.0.snapshot().state.phase.name().to_owned()
    }

    /// Version that runs.
    #[zbus(property)]
    fn version(&self) -> String {
        self.0.snapshot().state.booted.version
    }

    /// It is on trial.
    #[zbus(property)]
    fn trial(&self) -> bool {
        self.0.snapshot().state.trial
    }

    /// What is wrong with it; empty: nothing.
    #[zbus(property)]
    fn ailment(&self) -> String {
        self.0.snapshot().state.ailment.unwrap_or_default()
    }

    /// Version that the next boot starts; empty: the one that runs.
    #[zbus(property)]
    fn staged(&self) -> String {
        staged(&self.0.snapshot())
    }

    /// Version that is offered and not installed.
    #[zbus(property)]
    fn offered(&self) -> String {
        offered(&self.0.snapshot())
    }

    /// Bytes that it takes at most.
    #[zbus(property)]
    fn offered_size(&self) -> u64 {
        offered_size(&self.0.snapshot())
    }

    /// Bytes fetched and bytes to fetch.
    #[zbus(property)]
    fn progress(&self) -> (u64, u64) {
        progress(&self.0.snapshot())
    }

    /// When a repository last answered, in seconds since 1970; 0: never.
    #[zbus(property)]
    fn last_checked(&self) -> i64 {
        self.0.snapshot().state.checked.unwrap_or(0)
    }

    /// No repository has answered for longer than the configuration allows.
    #[zbus(property)]
    fn stale(&self) -> bool {
        self.0.snapshot().state.stale
    }

    /// SHA-256 of the snapshot that the last answer had: machines of one fleet that see one
    /// version with different digests are told different things. Empty: no answer yet.
    #[zbus(property)]
    fn snapshot_digest(&self) -> String {
        snapshot_digest(&self.0.snapshot())
    }

    /// Its version; 0: no answer yet.
    #[zbus(property)]
    fn snapshot_version(&self) -> u64 {
        snapshot_version(&self.0.snapshot())
    }

    /// What the repository or the clock should not do, in words: `equivocation`, `jump`,
    /// `clock-behind`.
    #[zbus(property)]
    fn suspicions(&self) -> Vec<String> {
        suspicions(&self.0.snapshot())
    }

    /// The last error, until something goes well.
    #[zbus(property)]
    fn last_error(&self) -> String {
        last_error(&self.0.snapshot())
    }

    /// Its kind: `network`, `verification` or `machine`.
    #[zbus(property)]
    fn last_error_kind(&self) -> String {
        last_error_kind(&self.0.snapshot())
    }

    /// What to do about it.
    #[zbus(property)]
    fn last_error_hint(&self) -> String {
        last_error_hint(&self.0.snapshot())
    }

    /// The last health report of a release that failed, in words; empty: none failed.
    #[zbus(property(emits_changed_signal = "false"))]
    fn last_failure(&self) -> String {
        self.0.last_failure()
    }

    /// Why updates are held; empty: they are not.
    #[zbus(property)]
    fn hold_reason(&self) -> String {
        self.0.snapshot().state.memory.hold.unwrap_or_default()
    }

    /// When that ends by itself, in seconds since 1970; 0: it does not.
    #[zbus(property)]
    fn held_until(&self) -> i64 {
        self.0.snapshot().state.memory.hold_until.unwrap_or(0)
    }

    /// Versions that were rolled back from.
    #[zbus(property)]
    fn refused(&self) -> Vec<String> {
        refused(&self.0.snapshot())
    }

    /// What is wrong with the configuration.
    #[zbus(property)]
    fn problems(&self) -> Vec<String> {
        self.0.snapshot().problems
    }

    /// Channel that is followed.
    #[zbus(property)]
    fn channel(&self) -> String {
        self.0.snapshot().channel
    }

    /// Group.
    #[zbus(property)]
    fn group(&self) -> String {
        self.0.snapshot().group
    }

    /// Who decides about reboots.
    #[zbus(property)]
    fn reboot_strategy(&self) -> String {
        self.0.snapshot().strategy.name().to_owned()
    }

    /// When what will happen and why not yet, in sentences. Times are relative, so no
    /// signal tells of its changes.
    #[zbus(property(emits_changed_signal = "false"))]
    fn why(&self) -> Vec<String> {
        self.0.snapshot().state.why(now())
    }
}

fn staged(s: &Snapshot) -> String {
    let staged = s.state.staged.as_ref();
    staged
        .map(|s| s.release.version.clone())
        .unwrap_or_default()
}

fn offered(s: &Snapshot) -> String {
    let offer = s.state.offer.as_ref();
    offer
        .map(|(o, _)| o.release.version.clone())
        .unwrap_or_default()
}

fn offered_size(s: &Snapshot) -> u64 {
    s.state.offer.as_ref().map_or(0, |(o, _)| o.download)
}

fn progress(s: &Snapshot) -> (u64, u64) {
    match s.state.phase {
        Phase::Downloading { done, total, .. } => (done, total),
        _ => (0, 0),
    }
}

fn last_error(s: &Snapshot) -> String {
    let trouble = s.state.trouble.as_ref();
    trouble.map(|t| t.text.clone()).unwrap_or_default()
}

fn last_error_kind(s: &Snapshot) -> String {
    let trouble = s.state.trouble.as_ref();
    trouble.map_or("", |t| t.kind.name()).to_owned()
}

fn last_error_hint(s: &Snapshot) -> String {
    let trouble = s.state.trouble.as_ref();
    trouble.and_then(|t| t.hint.clone()).unwrap_or_default()
}

fn snapshot_digest(s: &Snapshot) -> String {
    let seen = s.state.seen.as_ref();
    seen.map(|seen| seen.snapshot_sha256.clone())
        .unwrap_or_default()
}

fn snapshot_version(s: &Snapshot) -> u64 {
    s.state.seen.as_ref().map_or(0, |seen| seen.snapshot)
}

fn suspicions(s: &Snapshot) -> Vec<String> {
    let all = s.state.seen.iter().flat_map(Seen::suspicions);
    all.map(|(word, _)| word.to_owned()).collect()
}

fn refused(s: &Snapshot) -> Vec<String> {
    let list = s.state.memory.refused.iter();
    list.map(|r| r.release.version.clone()).collect()
}

/// One PropertiesChanged for everything that changed.
pub(super) async fn emit(
    connection: &Connection,
    old: &Snapshot,
    new: &Snapshot,
) -> zbus::Result<()> {
    type Get = for<'s> fn(&'s Snapshot) -> Variant<'static>;
    let all: [(&str, Get); 23] = [
        ("Phase", |s| s.state.phase.name().into()),
        ("Version", |s| s.state.booted.version.clone().into()),
        ("Trial", |s| s.state.trial.into()),
        ("Ailment", |s| {
            s.state.ailment.clone().unwrap_or_default().into()
        }),
        ("Staged", |s| staged(s).into()),
        ("Offered", |s| offered(s).into()),
        ("OfferedSize", |s| offered_size(s).into()),
        ("Progress", |s| progress(s).into()),
        ("LastChecked", |s| s.state.checked.unwrap_or(0).into()),
        ("Stale", |s| s.state.stale.into()),
        ("SnapshotDigest", |s| snapshot_digest(s).into()),
        ("SnapshotVersion", |s| snapshot_version(s).into()),
        ("Suspicions", |s| suspicions(s).into()),
        ("LastError", |s| last_error(s).into()),
        ("LastErrorKind", |s| last_error_kind(s).into()),
        ("LastErrorHint", |s| last_error_hint(s).into()),
        ("HoldReason", |s| {
            s.state.memory.hold.clone().unwrap_or_default().into()
        }),
        ("HeldUntil", |s| {
            s.state.memory.hold_until.unwrap_or(0).into()
        }),
        ("Refused", |s| refused(s).into()),
        ("Problems", |s| s.problems.clone().into()),
        ("Channel", |s| s.channel.clone().into()),
        ("Group", |s| s.group.clone().into()),
        ("RebootStrategy", |s| s.strategy.name().into()),
    ];
    let changed: HashMap<&str, Variant<'static>> = all
        .into_iter()
        .map(|(name, get)| (name, get(old), get(new)))
        .filter(|(_, old, new)| old != new)
        .map(|(name, _, new)| (name, new))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let emitter = SignalEmitter::new(connection, UPDATER_PATH)?;
    let none: [&str; 0] = [];
    emitter
        .emit(
            "org.freedesktop.DBus.Properties",
            "PropertiesChanged",
            &(NAME, changed, none.as_slice()),
        )
        .await
}
