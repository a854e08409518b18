//! What happened since the start, for metrics.

use crate::state::{Effect, Event, TroubleKind};

/// Numbers that only grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Looks for a release.
    pub checks: u64,
    /// Those that failed, by [`TroubleKind`].
    pub check_failures: [u64; 3],
    /// Installations begun.
    pub installs: u64,
    /// Those that failed.
    pub install_failures: [u64; 3],
    /// Locks asked for.
    pub locks: u64,
    /// And refused.
    pub lock_refusals: u64,
    /// Requests denied.
    pub denials: u64,
}

/// The kinds, in the order of the arrays.
pub(super) const KINDS: [TroubleKind; 3] = [
    TroubleKind::Network,
    TroubleKind::Verification,
    TroubleKind::Machine,
];

impl Counters {
    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::CheckFailed(trouble) => self.check_failures[index(trouble.kind)] += 1,
            Event::InstallFailed(trouble) => self.install_failures[index(trouble.kind)] += 1,
            Event::LockRefused(_) => self.lock_refusals += 1,
            _ => {}
        }
    }

    pub(super) fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Check(_) => self.checks += 1,
            Effect::Install(_) => self.installs += 1,
            Effect::TakeLock => self.locks += 1,
            Effect::Deny(_) => self.denials += 1,
            _ => {}
        }
    }
}

fn index(kind: TroubleKind) -> usize {
    match kind {
        TroubleKind::Network => 0,
        TroubleKind::Verification => 1,
        TroubleKind::Machine => 2,
    }
}
