//! A rate limit: a token bucket, told the time by its user.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// How much may come at once after a pause, as time at the full rate.
const BURST: Duration = Duration::from_millis(500);

/// A token bucket that may be overdrawn: take first, then wait until it is even.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: NonZeroU64,
    /// When all that was taken will have been paid for.
    even: Option<Instant>,
}

impl Bucket {
    /// `rate` in bytes per second.
    pub(super) fn new(rate: NonZeroU64) -> Self {
        Bucket { rate, even: None }
    }

    /// Takes `bytes` and says how long to wait before taking more.
    pub(super) fn take(&mut self, now: Instant, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate.get());
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = self.even.map_or(earliest, |even| even.max(earliest));
        let even = from.checked_add(price).unwrap_or(from);
        self.even = Some(even);
        even.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_rate_over_time_and_allows_a_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(NonZeroU64::new(1000).unwrap());
        assert_eq!(bucket.take(start, 500), Duration::ZERO);
        assert_eq!(bucket.take(start, 1000), Duration::from_secs(1));

        // Sleeping as told for an hour of chunks gives the rate.
        let (mut now, mut taken) = (start + Duration::from_secs(1), 1500);
        while taken < 3_600_000 {
            now += bucket.take(now, 700);
            taken += 700;
        }
        let took = (now - start).as_secs();
        assert!((3598..3602).contains(&took), "{took}");

        // A pause is not saved up beyond the burst.
        now += Duration::from_secs(600);
        assert_eq!(bucket.take(now, 1500), Duration::from_secs(1));
    }

    #[test]
    fn never_panics() {
        let mut bucket = Bucket::new(NonZeroU64::MIN);
        for _ in 0..4 {
            bucket.take(Instant::now(), u64::MAX);
        }
    }
}
