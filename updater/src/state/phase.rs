//! The state.

use super::memory::Memory;
use super::{Reboot, Trouble, Wish};
use crate::config::Opening;
use crate::tuf::Seen;

/// A release as far as a machine needs to know it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Known {
    /// Its version.
    pub version: String,
    /// See [`crate::release::Release::sequence`]; 0 when not known.
    #[serde(default)]
    pub sequence: u64,
}

/// A release that could be installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Which.
    pub release: Known,
    /// Bytes to fetch.
    pub download: u64,
    /// With which it was found.
    pub wish: Wish,
    /// It is older than what runs, or ran, and is meant to be.
    pub downgrade: bool,
}

/// A release that the next boot will start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Staged {
    /// Which.
    pub release: Known,
    /// It ran before; an operator wants it back.
    pub rollback: bool,
}

/// What the configuration says, as far as the machine needs it. Seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// It names servers.
    pub source: bool,
    /// The image trusts a repository.
    pub trusts: bool,
    /// Look for releases and install them unasked.
    pub automatic: bool,
    /// The configuration has problems: no reboot without an operator.
    pub broken: bool,
    /// Reboot unasked.
    pub reboots: bool,
    /// A lock must be held for a reboot.
    pub locks: bool,
    /// The only version to run.
    pub pin: Option<String>,
    /// Time between looks.
    pub poll: u64,
    /// How long no repository may answer before that is told.
    pub stale_after: Option<u64>,
    /// Warning for users who are logged in.
    pub warning: u64,
}

/// Everything the machine knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What is going on.
    pub phase: Phase,
    /// What runs.
    pub booted: Known,
    /// It is on trial: not known good yet.
    pub trial: bool,
    /// The other slot holds a release that was good.
    pub fallback: bool,
    /// What is wrong with the booted release, although it was good before or there is
    /// nothing to fall back to. Update activity stops until that is over.
    pub ailment: Option<String>,
    /// What the next boot starts, if not what runs.
    pub staged: Option<Staged>,
    /// What was offered and not installed.
    pub offer: Option<(Offer, Withheld)>,
    /// What outlives a restart.
    pub memory: Memory,
    /// From the configuration.
    pub policy: Policy,
    /// Failures in a row.
    pub failures: u32,
    /// The last thing that went wrong, until something goes well.
    pub trouble: Option<Trouble>,
    /// When a repository last answered, in seconds since 1970.
    pub checked: Option<i64>,
    /// The metadata of the last answer.
    pub seen: Option<Seen>,
    /// Since when an answer is waited for.
    pub waiting: i64,
    /// That is longer than the configuration allows: releases may be kept from this
    /// machine. It goes on looking.
    pub stale: bool,
}

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// What is booted is not known yet.
    Starting,
    /// Health checks run.
    Assessing,
    /// A healthy slot is being recorded as good.
    Blessing,
    /// The booted slot is unhealthy and there is nothing better to boot. Health is
    /// looked at again from time to time.
    Unhealthy {
        /// What failed.
        summary: String,
    },
    /// Nothing to do until the next look.
    Idle,
    /// A repository is being asked.
    Checking {
        /// An operator wants what is found to be installed, or only to know. `None`:
        /// nobody asked, the configuration decides.
        asked: Option<bool>,
    },
    /// There is a release, and a reason not to install it (in [`State::offer`]).
    Available,
    /// A release is being fetched and written.
    Downloading {
        /// Which.
        offer: Offer,
        /// Bytes fetched.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// What was written is read back.
    Verifying {
        /// Which.
        offer: Offer,
    },
    /// It is being made bootable.
    Finalizing {
        /// Which.
        offer: Offer,
    },
    /// The last attempt failed; the next one waits.
    Backoff,
    /// A release waits for a reboot.
    Staged {
        /// For what the reboot waits.
        wait: Wait,
    },
    /// The reboot lock is being asked for.
    Locking,
    /// A reboot is about to happen.
    Planned {
        /// When, in seconds since 1970.
        at: i64,
        /// How far it is.
        plan: Plan,
    },
    /// The boot order is being changed.
    Undoing(Undo),
    /// The machine goes down.
    Rebooting(Reboot),
}

/// How far a planned reboot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// The lock came; windows and inhibitors must be looked at once more.
    Fresh,
    /// Users were told.
    Warned,
    /// Their time is over; a last look.
    Due,
}

/// What is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// The staged release: the booted one stays.
    Staged,
    /// The booted release: the other slot is to boot.
    Booted,
}

/// For what a reboot waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Nobody has looked yet.
    Unknown,
    /// A configuration without problems.
    Configuration,
    /// The end of a hold.
    Hold,
    /// A release to which the machine is pinned, or the end of the pin.
    Pin(String),
    /// An operator: the strategy is `off`.
    Operator,
    /// A window.
    Window(Opening),
    /// Those who inhibit it.
    Inhibitors(Vec<String>),
    /// The lock; why it was refused.
    Lock(String),
}

/// Why a release is not installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withheld {
    /// Updates are held.
    Hold,
    /// The configuration turns unasked updates off, or an operator only looked.
    NotAsked,
    /// This machine rolled back from it.
    Refused,
    /// Its rollout has not reached this machine; in words.
    Rollout(String),
}

impl State {
    /// The state before anything is known.
    pub fn new(memory: Memory, policy: Policy) -> Self {
        State {
            phase: Phase::Starting,
            booted: Known::default(),
            trial: false,
            fallback: false,
            ailment: None,
            staged: None,
            offer: None,
            memory,
            policy,
            failures: 0,
            trouble: None,
            checked: None,
            seen: None,
            waiting: 0,
            stale: false,
        }
    }

    /// The release that a status line is about: in work, staged, offered.
    pub fn subject(&self) -> Option<&Known> {
        match &self.phase {
            Phase::Downloading { offer, .. }
            | Phase::Verifying { offer }
            | Phase::Finalizing { offer } => Some(&offer.release),
            _ => match (&self.staged, &self.offer) {
                (Some(staged), _) => Some(&staged.release),
                (None, Some((offer, _))) => Some(&offer.release),
                (None, None) => None,
            },
        }
    }
}

impl Phase {
    /// One word for interfaces and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Assessing => "assessing",
            Phase::Blessing => "blessing",
            Phase::Unhealthy { .. } => "unhealthy",
            Phase::Idle => "idle",
            Phase::Checking { .. } => "checking",
            Phase::Available => "available",
            Phase::Downloading { .. } => "downloading",
            Phase::Verifying { .. } => "verifying",
            Phase::Finalizing { .. } => "finalizing",
            Phase::Backoff => "backoff",
            Phase::Staged { .. } => "staged",
            Phase::Locking => "locking",
            Phase::Planned { .. } => "reboot-planned",
            Phase::Undoing(_) => "undoing",
            Phase::Rebooting(_) => "rebooting",
        }
    }

    /// Every word of [`Phase::name`].
    pub const NAMES: [&str; 16] = [
        "starting",
        "assessing",
        "blessing",
        "unhealthy",
        "idle",
        "checking",
        "available",
        "downloading",
        "verifying",
        "finalizing",
        "backoff",
        "staged",
        "locking",
        "reboot-planned",
        "undoing",
        "rebooting",
    ];
}
