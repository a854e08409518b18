//! What is to be done.

use super::{Offer, Wish};

/// Something to do. Effects of one step are carried out in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write [`super::State::memory`] to disk, before the effects that follow.
    Remember,
    /// Run the health checks; answered by `Healthy` or `Unhealthy`.
    Assess,
    /// Record the booted slot as good; `Blessed` or `BlessFailed`.
    Bless,
    /// Ask a repository; `Checked` or `CheckFailed`.
    Check(Wish),
    /// Install; `Progress`, then `Installed`, `InstallFailed` or `Cancelled`.
    Install(Offer),
    /// Stop the installation.
    Cancel,
    /// Make the staged release unbootable; `Unstaged` or `UndoFailed`.
    Unstage,
    /// Make the other slot the next to boot; `RolledBack` or `UndoFailed`.
    RollBack,
    /// See what stands against a reboot; `Gates`.
    LookAtGates,
    /// Ask for the reboot lock; `Locked` or `LockRefused`.
    TakeLock,
    /// Give it back, if it is held.
    ReleaseLock,
    /// Tell users who are logged in of a reboot in so many seconds.
    Warn(u64),
    /// Tell them that it will not happen.
    Unwarn,
    /// Reboot; `RebootFailed` when that is refused.
    Reboot(Reboot),
    /// Send `Due` after a time; replaces the timer if it runs.
    Set(Timer, Delay),
    /// Stop a timer.
    Stop(Timer),
    /// The operator cannot have what was asked for; why.
    Deny(String),
}

/// Why the machine goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reboot {
    /// To start the staged release.
    Update,
    /// To leave an unhealthy slot.
    Fallback,
    /// As above, and it did not go down when asked nicely.
    Forced,
}

/// Timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
    /// Next look for a release, or next attempt.
    Check,
    /// Next look at the gates.
    Gates,
    /// The users' time is over.
    Reboot,
    /// Next health check of an unhealthy slot.
    Assess,
    /// Next attempt to record the slot as good.
    Bless,
    /// The machine should be down by now.
    Stuck,
    /// No repository has answered for too long.
    Stale,
    /// The hold may be over.
    Hold,
}

/// A time to wait: `seconds`, give or take `spread`, by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// In the middle.
    pub seconds: u64,
    /// To both sides; not more than `seconds`.
    pub spread: u64,
}

impl Delay {
    /// Exactly so many seconds.
    pub const fn exactly(seconds: u64) -> Self {
        Delay { seconds, spread: 0 }
    }

    /// So many seconds, with a spread of a fifth.
    pub const fn about(seconds: u64) -> Self {
        Delay {
            seconds,
            spread: seconds / 5,
        }
    }
}
