//! What happens to the machine.

use super::{Known, Offer, Policy};
use crate::config::Opening;
use crate::tuf::Seen;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// What is booted is known.
    Started(Facts),
    /// The configuration was read.
    Configured(Policy),
    /// A timer ran out.
    Due(super::Timer),
    /// An operator wants something.
    Asked(Request),
    /// A repository answered.
    Checked(Found),
    /// With this metadata; comes before the answer.
    Seen(Seen),
    /// None did, or none could be trusted.
    CheckFailed(Trouble),
    /// An installation moved on.
    Progress(Stage),
    /// It ended: the release will be booted next.
    Installed(Known),
    /// It ended without.
    InstallFailed(Trouble),
    /// It was stopped on request.
    Cancelled,
    /// Every required health check passed.
    Healthy,
    /// Not; what failed, in words.
    Unhealthy(String),
    /// The booted slot is recorded as good.
    Blessed,
    /// It could not be recorded.
    BlessFailed(Trouble),
    /// What stands for and against a reboot now.
    Gates(Gates),
    /// The reboot lock is ours.
    Locked,
    /// It is not; why.
    LockRefused(String),
    /// The other slot will be booted next; its release.
    RolledBack(Known),
    /// The staged release will not be booted.
    Unstaged,
    /// The boot order is as it was.
    UndoFailed(Trouble),
    /// The machine did not go down.
    RebootFailed(Trouble),
}

/// What a starting daemon finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What runs.
    pub booted: Known,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// What runs is on trial.
    pub trial: bool,
    /// Another slot is known good.
    pub fallback: bool,
    /// The release that the next boot starts, if another than `booted`.
    pub staged: Option<Known>,
    /// Releases whose boot entries have no tries left.
    pub bad: Vec<Known>,
    /// An installation was interrupted and can be resumed.
    pub resume: bool,
    /// When a repository last answered, in seconds since 1970.
    pub checked: Option<i64>,
    /// Since when an answer is waited for; none: since now.
    pub waiting: Option<i64>,
}

/// What an operator may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Only look.
    Check,
    /// Look and install.
    Update(Wish),
    /// Stop the installation.
    Cancel,
    /// Boot the staged release now.
    Reboot,
    /// Boot the other slot next.
    Rollback,
    /// Take the booted slot for good, whatever its health.
    MarkGood,
    /// Forget errors, and undo what is staged.
    Reset,
    /// No installation and no reboot until released.
    Hold {
        /// Why.
        why: String,
        /// When it ends by itself, in seconds since 1970.
        until: Option<i64>,
    },
    /// End of the hold.
    Release,
    /// Take a version off the list of refused ones.
    Allow(String),
}

/// What an operator wants instead of what the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The repository: a folder or URL.
    pub from: Option<String>,
    /// The channel.
    pub channel: Option<String>,
    /// A release that this machine went back from, too.
    pub again: bool,
    /// A release that is older than what runs, or ran well, too.
    pub downgrade: bool,
}

/// What a repository offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing but what runs.
    Nothing,
    /// A release.
    Offer(Offer),
    /// A release, but not for this machine yet; why, in words.
    Later(Offer, String),
}

/// How far an installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Bytes fetched, bytes in all.
    Downloading(u64, u64),
    /// Reading back.
    Verifying,
    /// Making it bootable; cannot be cancelled.
    Finalizing,
}

/// What stands for and against a reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gates {
    /// Windows.
    pub window: Opening,
    /// Who inhibits a shutdown, in words.
    pub inhibitors: Vec<String>,
    /// Sessions of users.
    pub sessions: usize,
}

/// Something went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// What kind; decides nothing, counts in metrics.
    pub kind: TroubleKind,
    /// In words.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Seconds a server asked to stay away for.
    pub retry_after: Option<u64>,
}

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TroubleKind {
    /// Network or server.
    #[default]
    Network,
    /// What came could not be trusted.
    Verification,
    /// This machine: disk, ESP, memory.
    Machine,
}

impl TroubleKind {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            TroubleKind::Network => "network",
            TroubleKind::Verification => "verification",
            TroubleKind::Machine => "machine",
        }
    }
}
