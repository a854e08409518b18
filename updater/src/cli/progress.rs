//! How an installation is shown: a line that changes on a terminal, one line a step
//! elsewhere, JSON on standard output.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::output::print_json;
use super::service::View;
use crate::config::size_in_words;
use crate::install::Step;
use crate::state::Stage;
use crate::update::{Event, Tally};

/// Lines with `--json` beside [`Event`]'s, of the service.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'a> {
    Progress {
        phase: &'a str,
        done: u64,
        total: u64,
    },
}

/// A line on a terminal changes at least this often.
const OFTEN: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Lines {
    json: bool,
    terminal: bool,
    /// What the events of this program's own installation come to.
    tally: Tally,
    step: &'static str,
    percent: Option<u64>,
    /// The step has just begun.
    begun: bool,
    shown: Instant,
    rate: Rate,
}

impl Lines {
    /// Of an installation by the service, or by this program.
    pub(super) fn new(json: bool, tally: Option<Tally>) -> Self {
        Lines {
            json,
            terminal: std::io::stderr().is_terminal(),
            tally: tally.unwrap_or_else(|| Tally::new(0, 0)),
            step: "",
            percent: None,
            begun: false,
            shown: Instant::now(),
            rate: Rate::default(),
        }
    }

    /// What this program does.
    pub(super) fn tell(&mut self, event: &Event<'_>) {
        let fetched = match self.tally.stage(event) {
            Some(Stage::Downloading(done, total)) => Some((done, total)),
            _ => None,
        };
        let (name, done, total) = match event {
            Event::Kernel { done, total } => ("fetching the kernel image", *done, *total),
            Event::Step { step, done, total } => (named(*step), *done, *total),
            Event::Way { way, bytes } => {
                let text = format!("/usr by way of `{way}`: at most {}", size_in_words(*bytes));
                return self.line(event, &text);
            }
            Event::Otherwise { reason } => {
                let text = format!("warning: {reason}; trying another way");
                return self.line(event, &text);
            }
        };
        if self.is_news(name, done, total) {
            if self.json {
                self.event(event);
            } else {
                self.show(name, fetched);
            }
        }
    }

    /// What the service does.
    pub(super) fn follow(&mut self, view: &View) {
        let (step, (done, total)) = match view.phase.as_str() {
            "checking" => ("asking for a release", (0, 0)),
            "downloading" => ("fetching and writing", view.progress),
            "verifying" => ("reading back", (0, 0)),
            "finalizing" => ("making it bootable", (0, 0)),
            _ => return,
        };
        if self.is_news(step, done, total) {
            let phase = &view.phase;
            if self.json {
                let _ = print_json(&Line::Progress { phase, done, total });
            } else {
                self.show(step, (total > 0).then_some((done, total)));
            }
        }
    }

    /// Whether that was not told yet, or is long ago. Takes note of it.
    fn is_news(&mut self, step: &'static str, done: u64, total: u64) -> bool {
        let percent = (u128::from(done) * 100).checked_div(total.into());
        let percent = percent.and_then(|percent| u64::try_from(percent).ok());
        let old = self.terminal && !self.json && self.shown.elapsed() >= OFTEN;
        let news = (step, percent) != (self.step, self.percent) || old;
        self.begun = step != self.step;
        (self.step, self.percent) = (step, percent);
        news
    }

    fn show(&mut self, step: &str, fetched: Option<(u64, u64)>) {
        if self.terminal {
            let now = Instant::now();
            self.shown = now;
            let rate = fetched.and_then(|(done, _)| self.rate.note(now, done));
            eprint!("\r\x1b[K{}", text(step, self.percent, fetched, rate));
            let _ = std::io::stderr().flush();
        } else if self.begun {
            eprintln!("{step}");
        }
    }

    fn line(&mut self, event: &Event<'_>, text: &str) {
        if self.json {
            return self.event(event);
        }
        self.end();
        eprintln!("{text}");
    }

    /// A reader that went away must not stop an update.
    fn event(&self, event: &Event<'_>) {
        let _ = print_json(event);
    }

    /// Whatever comes next begins a line.
    pub(super) fn end(&mut self) {
        if self.terminal && !self.json && !self.step.is_empty() {
            eprintln!();
        }
        self.step = "";
    }
}

/// `reading back 43 %`, `fetching 20 %, 12.3 MB of 61.2 MB, 3.4 MB/s`.
fn text(
    step: &str,
    percent: Option<u64>,
    fetched: Option<(u64, u64)>,
    rate: Option<u64>,
) -> String {
    let mut text = step.to_owned();
    if let Some(percent) = percent {
        text.push_str(&format!(" {percent} %"));
    }
    if let Some((done, total)) = fetched {
        let (done, total) = (size_in_words(done), size_in_words(total));
        text.push_str(&format!(", {done} of {total}"));
    }
    if let Some(rate) = rate {
        text.push_str(&format!(", {}/s", size_in_words(rate)));
    }
    text
}

/// Bytes per second, over some seconds each time.
#[derive(Debug, Default)]
struct Rate {
    /// Where counting began.
    begun: Option<(Instant, u64)>,
    last: Option<u64>,
}

/// A rate is counted over at least this time.
const SPAN: Duration = Duration::from_secs(2);

impl Rate {
    /// There are `bytes` by `now`. What was there from the start was not fetched.
    fn note(&mut self, now: Instant, bytes: u64) -> Option<u64> {
        let (then, before) = *self.begun.get_or_insert((now, bytes));
        let Some(more) = bytes.checked_sub(before) else {
            // Another way was taken.
            *self = Rate::default();
            return None;
        };
        let passed = now.saturating_duration_since(then);
        if passed >= SPAN {
            let rate = u128::from(more) * 1000 / passed.as_millis().max(1);
            self.last = u64::try_from(rate).ok();
            self.begun = Some((now, bytes));
        }
        self.last
    }
}

fn named(step: Step) -> &'static str {
    match step {
        Step::Check => "checking slot and loader",
        Step::Prepare => "clearing the other slot",
        Step::Write => "fetching and writing /usr",
        Step::Tree => "writing the hash tree",
        Step::ReadBack => "reading back",
        Step::Name => "naming the slot",
        Step::Boot => "making it bootable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_updates_are_readable() {
        let line = |done, total, rate| text("fetching", Some(20), Some((done, total)), rate);
        assert_eq!(
            line(12_340_000, 61_200_000, Some(3_400_000)),
            "fetching 20 %, 12.3 MB of 61.2 MB, 3.4 MB/s"
        );
        assert_eq!(line(90, 4300, None), "fetching 20 %, 90 B of 4.3 kB");
        assert_eq!(text("naming", None, None, None), "naming");
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_millis(seconds * 1000);
        let mut rate = Rate::default();
        // Resumed: the first million was there.
        assert_eq!(rate.note(at(0), 1_000_000), None);
        assert_eq!(rate.note(at(1), 1_500_000), None);
        assert_eq!(rate.note(at(2), 2_000_000), Some(500_000));
        assert_eq!(rate.note(at(3), 2_300_000), Some(500_000));
        assert_eq!(rate.note(at(6), 2_400_000), Some(100_000));
        // Stalled; another way.
        assert_eq!(rate.note(at(9), 2_400_000), Some(0));
        assert_eq!(rate.note(at(10), 0), None);
        assert_eq!(rate.note(at(12), 10), None);
        assert_eq!(rate.note(at(14), 30), Some(10));
    }
}
