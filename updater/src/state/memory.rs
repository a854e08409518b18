//! What outlives a restart, apart from what disk and ESP say themselves.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Known;

/// How often a release whose trial boots were cut off, none of them failing a check,
/// is tried again.
const RETRIES_AFTER_INTERRUPTION: u32 = 2;

/// Persisted state. Keys that a newer updater wrote are kept (`rest`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Updates are held; why.
    pub hold: Option<String>,
    /// When that ends by itself, in seconds since 1970.
    pub hold_until: Option<i64>,
    /// Trial boots of the booted release.
    pub attempts: Vec<Attempt>,
    /// Releases not to be tried again.
    pub refused: Vec<Refused>,
}

/// One trial boot that came as far as this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Version on trial.
    pub version: String,
    /// The kernel's id of the boot.
    pub boot_id: String,
    /// A health check failed. If not, the boot ended in some other way.
    pub unhealthy: bool,
    /// What newer updaters add.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A release that was rolled back from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    #[serde(flatten)]
    pub release: Known,
    /// Why.
    pub cause: Cause,
    /// When, in seconds since 1970.
    pub since: i64,
    /// How often it was tried.
    pub times: u32,
    /// It is being tried once more.
    #[serde(default)]
    pub retrying: bool,
    /// What newer updaters add.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Why a release is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A health check failed.
    Unhealthy,
    /// No trial boot came as far as this program: panic, hang or corrupt /usr.
    NeverStarted,
    /// Trial boots came up and were cut off before a verdict, as by a loss of power.
    Interrupted,
    /// An operator went back from it.
    Operator,
    /// A cause that a newer updater knows.
    #[serde(other)]
    Other,
}

impl Cause {
    /// In words, after "it".
    pub fn in_words(self) -> &'static str {
        match self {
            Cause::Unhealthy => "failed its health checks",
            Cause::NeverStarted => "did not start",
            Cause::Interrupted => "was cut off each time it was tried",
            Cause::Operator => "was rolled back by an operator",
            Cause::Other => "was rolled back from",
        }
    }
}

impl Memory {
    /// Whether a version is not to be installed.
    pub fn refuses(&self, version: &str) -> bool {
        self.refused.iter().any(|r| {
            let retry = r.cause == Cause::Interrupted && r.times <= RETRIES_AFTER_INTERRUPTION;
            r.release.version == version && !retry
        })
    }

    /// Takes note of a trial boot. False if it was known.
    pub(super) fn note_trial(&mut self, version: &str, boot_id: &str) -> bool {
        if self.attempts.iter().any(|a| a.boot_id == boot_id) {
            return false;
        }
        self.attempts.retain(|a| a.version == version);
        self.attempts.push(Attempt {
            version: version.to_owned(),
            boot_id: boot_id.to_owned(),
            unhealthy: false,
            rest: Map::new(),
        });
        true
    }

    /// The newest trial boot failed a check.
    pub(super) fn note_unhealthy(&mut self) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.unhealthy = true;
        }
    }

    /// A trial boot failed that the service did not see, or not to its end.
    pub(crate) fn note_failed_trial(&mut self, version: &str, boot_id: &str) {
        self.note_trial(version, boot_id);
        self.note_unhealthy();
    }

    /// All tries of a release are used up. False if that was known.
    pub(super) fn note_bad(&mut self, release: &Known, now: i64) -> bool {
        let version = &release.version;
        let cause = self.cause_of(version);
        let entry = self
            .refused
            .iter_mut()
            .find(|r| r.release.version == *version);
        match entry {
            Some(entry) if !entry.retrying => return false,
            Some(entry) => {
                entry.retrying = false;
                entry.times = entry.times.saturating_add(1);
                entry.cause = cause;
                entry.since = now;
            }
            None => self.refuse(release, cause, now),
        }
        self.attempts.retain(|a| a.version != *version);
        true
    }

    /// Puts a release on the list.
    pub(crate) fn refuse(&mut self, release: &Known, cause: Cause, now: i64) {
        self.refused
            .retain(|r| r.release.version != release.version);
        self.refused.push(Refused {
            release: release.clone(),
            cause,
            since: now,
            times: 1,
            retrying: false,
            rest: Map::new(),
        });
    }

    /// A release that is on the list is installed again. False if it is not there.
    pub(super) fn note_retry(&mut self, version: &str) -> bool {
        let entry = self
            .refused
            .iter_mut()
            .find(|r| r.release.version == version);
        entry.map(|entry| entry.retrying = true).is_some()
    }

    /// A release proved good: older ones need no refusing any more.
    pub(crate) fn note_good(&mut self, good: &Known) {
        self.attempts.clear();
        self.refused.retain(|r| {
            r.release.version != good.version
                && (good.sequence == 0 || r.release.sequence > good.sequence)
        });
    }

    fn cause_of(&self, version: &str) -> Cause {
        let mut attempts = self.attempts.iter().filter(|a| a.version == version);
        match (attempts.clone().next(), attempts.any(|a| a.unhealthy)) {
            (None, _) => Cause::NeverStarted,
            (Some(_), true) => Cause::Unhealthy,
            (Some(_), false) => Cause::Interrupted,
        }
    }
}
