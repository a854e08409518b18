//! How a transfer goes, as data: a terminal, D-Bus and JSON lines show the same
//! events. An event serialises to one JSON object, and its `Display` is a line of
//! plain text.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Hears events. It is called between chunks, so it must return at once.
pub trait Progress: Send + Sync {
    /// One event.
    fn event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync> Progress for F {
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// Bytes came. At most ten times a second, and once at the end of each range
    /// and document.
    Bytes {
        /// The file.
        name: &'a str,
        /// Bytes of the range or document that came.
        done: u64,
        /// Bytes it has, if that is known.
        total: Option<u64>,
        /// Bytes per second, of late.
        rate: u64,
    },
    /// A mirror failed; it is asked again later, or another is.
    Failed {
        /// The file.
        name: &'a str,
        /// The mirror and the cause, without credentials.
        reason: &'a str,
    },
    /// Nothing can be asked for a while.
    Waiting {
        /// The file.
        name: &'a str,
        /// For so long.
        seconds: u64,
    },
    /// The caller found wrong bytes.
    Blamed {
        /// The file.
        name: &'a str,
        /// Whether another mirror is left.
        others: bool,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Bytes {
                name,
                done,
                total: Some(total),
                rate,
            } => write!(f, "{name}: {done} of {total} bytes, {rate} bytes/s"),
            Event::Bytes {
                name, done, rate, ..
            } => write!(f, "{name}: {done} bytes, {rate} bytes/s"),
            Event::Failed { name, reason } => write!(f, "{name}: {reason}"),
            Event::Waiting { name, seconds } => write!(f, "{name}: waiting {seconds} s"),
            Event::Blamed { name, others } => {
                let next = if *others {
                    "asking another mirror"
                } else {
                    "no other mirror is left"
                };
                write!(f, "{name}: wrong bytes came; {next}")
            }
        }
    }
}

/// Counts bytes and says their rate of late: for one file, or for a whole update.
#[derive(Debug)]
pub struct Meter {
    done: u64,
    rate: Option<f64>,
    since: Instant,
    fresh: u64,
    told: Instant,
}

impl Meter {
    /// Time over which a rate is measured before it is averaged in.
    const STEP: Duration = Duration::from_millis(500);
    /// Least time between two reports.
    const PAUSE: Duration = Duration::from_millis(100);

    /// Starts counting.
    pub fn new(now: Instant) -> Self {
        Meter {
            done: 0,
            rate: None,
            since: now,
            fresh: 0,
            told: now,
        }
    }

    /// Adds bytes; true if it is time for a report.
    pub fn add(&mut self, now: Instant, bytes: u64) -> bool {
        self.done = self.done.saturating_add(bytes);
        self.fresh = self.fresh.saturating_add(bytes);
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= Self::STEP {
            let rate = self.fresh as f64 / elapsed.as_secs_f64();
            self.rate = Some(self.rate.map_or(rate, |old| old * 0.7 + rate * 0.3));
            self.since = now;
            self.fresh = 0;
        }
        let due = now.saturating_duration_since(self.told) >= Self::PAUSE;
        if due {
            self.told = now;
        }
        due
    }

    /// Starts the count again, for a document that is fetched anew.
    pub fn restart(&mut self) {
        self.done = 0;
    }

    /// Bytes added.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Bytes per second.
    pub fn rate(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.since).as_secs_f64();
        self.rate
            .unwrap_or_else(|| self.fresh as f64 / elapsed.max(0.001)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_json_lines() {
        let event = Event::Bytes {
            name: "a",
            done: 1,
            total: None,
            rate: 7,
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"event":"bytes","name":"a","done":1,"total":null,"rate":7}"#
        );
        assert_eq!(event.to_string(), "a: 1 bytes, 7 bytes/s");
    }

    #[test]
    fn the_rate_follows_and_reports_are_rare() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut reports = 0;
        for ms in 1..=5000 {
            reports += u32::from(meter.add(at(ms), 1000));
        }
        assert_eq!(reports, 50);
        assert_eq!(meter.done(), 5_000_000);
        assert!((990_000..1_010_000).contains(&meter.rate(at(5000))));
        for ms in 5001..=15_000 {
            meter.add(at(ms), 100);
        }
        assert!((90_000..110_000).contains(&meter.rate(at(15_000))));
    }
}
