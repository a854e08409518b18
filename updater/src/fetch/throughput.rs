//! The slowest a mirror may be.

use std::time::Duration;

/// A least speed, judged over whole windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// Bytes per second.
    pub rate: u64,
    /// Time over which the rate is judged. Also the longest silence.
    pub window: Duration,
}

impl Default for Floor {
    fn default() -> Self {
        Floor {
            rate: 1024,
            window: Duration::from_secs(30),
        }
    }
}

/// Watches one answer. Only time spent waiting for the mirror is counted: neither a
/// slow disk nor the rate limit makes a mirror look slow.
#[derive(Debug)]
pub(super) struct Throughput {
    floor: Floor,
    waited: Duration,
    got: u64,
}

/// Too few bytes in a window.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("only {got} bytes came in {window:?}")]
pub(super) struct Slow {
    got: u64,
    window: Duration,
}

impl Throughput {
    pub(super) fn new(floor: Floor) -> Self {
        Throughput {
            floor,
            waited: Duration::ZERO,
            got: 0,
        }
    }

    /// Time until this window is judged.
    pub(super) fn left(&self) -> Duration {
        self.floor.window.saturating_sub(self.waited)
    }

    /// Adds time spent waiting, to be judged when what came of it is added.
    pub(super) fn waited(&mut self, waited: Duration) {
        self.waited += waited;
    }

    /// Adds time spent waiting and what came of it; judges the window at its end.
    pub(super) fn add(&mut self, waited: Duration, bytes: u64) -> Result<(), Slow> {
        self.waited += waited;
        self.got = self.got.saturating_add(bytes);
        if self.waited < self.floor.window {
            return Ok(());
        }
        let enough = u128::from(self.floor.rate) * self.floor.window.as_millis() / 1000;
        // Silence is slow, whatever the rate.
        if self.got == 0 || u128::from(self.got) < enough {
            return Err(Slow {
                got: self.got,
                window: self.floor.window,
            });
        }
        self.waited = Duration::ZERO;
        self.got = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Floor = Floor {
        rate: 100,
        window: Duration::from_secs(10),
    };

    #[test]
    fn a9_too_few_bytes_in_a_window_are_noticed_at_its_end() {
        let mut trickle = Throughput::new(FLOOR);
        for second in 1..10 {
            assert_eq!(trickle.add(Duration::from_secs(1), 99), Ok(()), "{second}");
        }
        assert_eq!(trickle.left(), Duration::from_secs(1));
        assert!(trickle.add(Duration::from_secs(1), 99).is_err());
    }

    #[test]
    fn a9_an_early_burst_does_not_pay_for_later_silence() {
        let mut burst = Throughput::new(FLOOR);
        assert_eq!(burst.add(Duration::from_secs(10), 1 << 30), Ok(()));
        assert_eq!(burst.left(), FLOOR.window);
        assert!(burst.add(Duration::from_secs(10), 0).is_err());
    }

    #[test]
    fn silence_is_slow_even_without_a_rate() {
        let floor = Floor { rate: 0, ..FLOOR };
        assert!(Throughput::new(floor).add(FLOOR.window, 0).is_err());
        assert_eq!(Throughput::new(floor).add(FLOOR.window, 1), Ok(()));
    }
}
