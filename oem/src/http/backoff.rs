//! Pauses between tries: doubling, capped, with jitter so that a thousand
//! machines that boot together do not ask together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Pauses for one request.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// No pause is shorter, events or not.
    pub(super) const SHORTEST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    /// The next pause, 75 to 125 % of 100 ms, 200 ms, ... 2 s.
    pub(super) fn next(&mut self) -> Duration {
        let base = (Self::SHORTEST * 2)
            .saturating_mul(1 << self.tries.min(10))
            .min(Self::LONGEST);
        self.tries += 1;
        // The hasher's random keys serve as the random number.
        let random = RandomState::new().hash_one(self.tries) % 512;
        base * 3 / 4 + base * random as u32 / 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_within_bounds() {
        let mut backoff = Backoff::default();
        for i in 0..40 {
            let base = Duration::from_millis((100u64 << i.min(10)).min(2000));
            let pause = backoff.next();
            assert!(
                pause >= base * 3 / 4 && pause <= base * 5 / 4,
                "{i}: {pause:?}"
            );
        }
    }
}
