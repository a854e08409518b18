//! The service, as its clients see it: over the message bus.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use zbus::zvariant::DynamicType;
use zbus::{Connection, OwnedVariant, connection, fdo};

use super::{Exit, Failure};
use crate::daemon::{NAMES, UPDATER_PATH};

const INTERFACE: &str = "org.holdfast.Updater1";
/// What is asked for is only begun by a call, so each is short.
const TIMEOUT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(300);
/// Phases that go over without anybody's help.
const BUSY: [&str; 9] = [
    "starting",
    "assessing",
    "blessing",
    "checking",
    "downloading",
    "verifying",
    "finalizing",
    "undoing",
    "locking",
];

/// A service that runs.
pub(super) struct Service {
    runtime: Runtime,
    connection: Connection,
    /// None where there is no bus between.
    name: Option<&'static str>,
}

/// Everything that the service tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct View {
    pub(super) phase: String,
    pub(super) version: String,
    pub(super) trial: bool,
    pub(super) ailment: String,
    pub(super) staged: String,
    pub(super) offered: String,
    pub(super) offered_size: u64,
    pub(super) progress: (u64, u64),
    pub(super) last_checked: i64,
    pub(super) stale: bool,
    pub(super) snapshot_digest: String,
    pub(super) snapshot_version: u64,
    pub(super) suspicions: Vec<String>,
    pub(super) last_error: String,
    pub(super) last_error_kind: String,
    pub(super) last_error_hint: String,
    pub(super) last_failure: String,
    pub(super) hold_reason: String,
    pub(super) held_until: i64,
    pub(super) refused: Vec<String>,
    pub(super) problems: Vec<String>,
    pub(super) channel: String,
    pub(super) group: String,
    pub(super) reboot_strategy: String,
    pub(super) why: Vec<String>,
}

impl Service {
    /// The one that runs. None if none does or if there is no bus: then there is nobody
    /// to disturb, and a verb does its work itself. Starts none.
    pub(super) fn find() -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        let system = connection::Builder::system().method_timeout(TIMEOUT);
        let connect = async { timeout(TIMEOUT, system.build()).await.ok()?.ok() };
        let connection = runtime.block_on(connect)?;
        let service = Service {
            runtime,
            connection,
            name: Some(NAMES[1]),
        };
        service.is_there().then_some(service)
    }

    fn is_there(&self) -> bool {
        let (bus, name) = ("org.freedesktop.DBus", self.name.unwrap_or_default());
        let call = self.connection.call_method(
            Some(bus),
            "/org/freedesktop/DBus",
            Some(bus),
            "NameHasOwner",
            &name,
        );
        let reply = self.runtime.block_on(call);
        reply.is_ok_and(|reply| reply.body().deserialize().unwrap_or(false))
    }

    /// Over a connection without a bus.
    #[cfg(test)]
    pub(super) fn direct(runtime: Runtime, connection: Connection) -> Self {
        Service {
            runtime,
            connection,
            name: None,
        }
    }

    /// Calls a member that answers nothing.
    pub(super) fn call(
        &self,
        member: &str,
        body: &(impl Serialize + DynamicType),
    ) -> Result<(), Failure> {
        let (name, connection) = (self.name, &self.connection);
        let call = connection.call_method(name, UPDATER_PATH, Some(INTERFACE), member, body);
        self.runtime.block_on(call).map(drop).map_err(failure)
    }

    /// How things stand.
    pub(super) fn view(&self) -> Result<View, Failure> {
        self.properties().map(View::new).map_err(failure)
    }

    fn properties(&self) -> zbus::Result<HashMap<String, OwnedVariant>> {
        let (name, connection) = (self.name, &self.connection);
        let properties = Some("org.freedesktop.DBus.Properties");
        let call = connection.call_method(name, UPDATER_PATH, properties, "GetAll", &(INTERFACE,));
        self.runtime.block_on(call)?.body().deserialize()
    }

    /// Follows what goes on until nothing does any more. A service that goes away
    /// together with the machine has done its work.
    pub(super) fn settle(&self, tell: &mut dyn FnMut(&View)) -> Result<View, Failure> {
        let mut last: Option<View> = None;
        loop {
            let view = match (self.properties(), last) {
                (Ok(properties), _) => View::new(properties),
                (Err(_), Some(last)) if !last.staged.is_empty() => return Ok(last),
                (Err(error), _) => return Err(failure(error)),
            };
            tell(&view);
            if !BUSY.contains(&view.phase.as_str()) {
                return Ok(view);
            }
            last = Some(view);
            self.runtime
                .block_on(async { tokio::time::sleep(LOOK).await });
        }
    }
}

impl View {
    fn new(mut all: HashMap<String, OwnedVariant>) -> Self {
        /// What an older service does not know is empty.
        fn get<T: TryFrom<OwnedVariant> + Default>(
            all: &mut HashMap<String, OwnedVariant>,
            name: &str,
        ) -> T {
            let value = all.remove(name).and_then(|value| T::try_from(value).ok());
            value.unwrap_or_default()
        }
        let all = &mut all;
        View {
            phase: get(all, "Phase"),
            version: get(all, "Version"),
            trial: get(all, "Trial"),
            ailment: get(all, "Ailment"),
            staged: get(all, "Staged"),
            offered: get(all, "Offered"),
            offered_size: get(all, "OfferedSize"),
            progress: get(all, "Progress"),
            last_checked: get(all, "LastChecked"),
            stale: get(all, "Stale"),
            snapshot_digest: get(all, "SnapshotDigest"),
            snapshot_version: get(all, "SnapshotVersion"),
            suspicions: get(all, "Suspicions"),
            last_error: get(all, "LastError"),
            last_error_kind: get(all, "LastErrorKind"),
            last_error_hint: get(all, "LastErrorHint"),
            last_failure: get(all, "LastFailure"),
            hold_reason: get(all, "HoldReason"),
            held_until: get(all, "HeldUntil"),
            refused: get(all, "Refused"),
            problems: get(all, "Problems"),
            channel: get(all, "Channel"),
            group: get(all, "Group"),
            reboot_strategy: get(all, "RebootStrategy"),
            why: get(all, "Why"),
        }
    }

    /// Fails if what was asked for did not work out.
    pub(super) fn worked(self) -> Result<Self, Failure> {
        if self.last_error.is_empty() {
            return Ok(self);
        }
        let exit = match self.last_error_kind.as_str() {
            "verification" => Exit::Refused,
            _ => Exit::Environment,
        };
        let failure = Failure::new(exit, self.last_error);
        Err(if self.last_error_hint.is_empty() {
            failure
        } else {
            failure.with_hint(self.last_error_hint)
        })
    }

    /// The sentence that sums it up.
    pub(super) fn headline(&self) -> &str {
        self.why.first().map_or("", String::as_str)
    }
}

fn failure(error: zbus::Error) -> Failure {
    if let zbus::Error::FDO(answer) = &error {
        match &**answer {
            fdo::Error::AccessDenied(text) => {
                return Failure::new(Exit::Refused, text).with_hint("run it as root, with `sudo`");
            }
            fdo::Error::InvalidArgs(text) => return Failure::new(Exit::Input, text),
            fdo::Error::Failed(text) => {
                return Failure::new(Exit::Refused, text)
                    .with_hint("`updater status --why` tells what is going on");
            }
            _ => {}
        }
    }
    Failure::new(
        Exit::Environment,
        format!("the updater's service does not answer: {error}"),
    )
    .with_hint("`systemctl status updater` tells how it is")
}

#[cfg(test)]
mod tests;
