//! Pauses between tries: doubling, capped, with jitter, so that a thousand machines
//! do not come back together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How often and how long to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Pause after the first failure of a mirror; doubles each time.
    pub first: Duration,
    /// Longest pause.
    pub longest: Duration,
    /// Tries of one mirror for one file that bring nothing new.
    pub tries: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            tries: 4,
        }
    }
}

impl Backoff {
    /// The pause after `fails` failures in a row (from 1): 75 to 125 % of the rule.
    pub(super) fn pause(&self, fails: u32) -> Duration {
        let doubled = 1 << fails.saturating_sub(1).min(20);
        let base = self.first.saturating_mul(doubled).min(self.longest);
        base * 3 / 4 + part(base / 2)
    }
}

/// A random part of `whole`.
pub(super) fn part(whole: Duration) -> Duration {
    // The hasher's random keys serve as the random number.
    let random = RandomState::new().hash_one(0) % 1024;
    whole * random as u32 / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_within_bounds() {
        let backoff = Backoff::default();
        for fails in 1..70 {
            let base = Duration::from_millis((500u64 << (fails - 1).min(10)).min(30_000));
            let pause = backoff.pause(fails);
            assert!(pause >= base * 3 / 4 && pause <= base * 5 / 4, "{fails}");
        }
    }

    #[test]
    fn c4_machines_do_not_come_back_together() {
        let pauses: std::collections::BTreeSet<_> =
            (0..50).map(|_| Backoff::default().pause(4)).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }
}
