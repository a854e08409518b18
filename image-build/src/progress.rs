//! Progress of long work: bars on a terminal, plain lines otherwise, nothing with
//! `--quiet`. Always on standard error, so that `--json` output stays clean.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Where progress goes.
#[derive(Debug, Clone)]
pub struct Progress {
    how: How,
    started: Instant,
}

#[derive(Debug, Clone)]
enum How {
    Quiet,
    Lines,
    Bars(Arc<MultiProgress>),
}

/// One running step. Dropping it without [`Step::done`] leaves no line behind.
#[derive(Debug)]
pub struct Step {
    bar: ProgressBar,
    name: String,
    lines: bool,
    began: Instant,
    origin: Instant,
}

impl Progress {
    /// Bars if standard error is a terminal, else one line a step.
    pub fn auto() -> Self {
        let how = if std::io::stderr().is_terminal() {
            How::Bars(Arc::new(MultiProgress::new()))
        } else {
            How::Lines
        };
        Progress {
            how,
            started: Instant::now(),
        }
    }
    /// No output at all.
    pub fn quiet() -> Self {
        Progress {
            how: How::Quiet,
            started: Instant::now(),
        }
    }
    /// Starts a step. `total` is in bytes when known; 0 shows a spinner.
    pub fn step(&self, name: impl Into<String>, total: u64) -> Step {
        let name = name.into();
        let bar = match &self.how {
            How::Bars(all) => {
                let bar = all.add(if total == 0 {
                    ProgressBar::new_spinner()
                } else {
                    ProgressBar::new(total)
                });
                let template = if total == 0 {
                    "  {spinner} {msg}"
                } else {
                    "  {spinner} {msg:24} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}"
                };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                bar.enable_steady_tick(Duration::from_millis(100));
                bar
            }
            _ => ProgressBar::hidden(),
        };
        bar.set_message(name.clone());
        Step {
            bar,
            name,
            lines: !matches!(self.how, How::Quiet),
            began: Instant::now(),
            origin: self.started,
        }
    }
    /// Prints a line for the user (a warning, a result) without tearing bars.
    pub fn note(&self, text: &str) {
        match &self.how {
            How::Quiet => {}
            How::Lines => eprintln!("{text}"),
            How::Bars(all) => {
                let _ = all.println(text);
            }
        }
    }
}

impl Step {
    /// Adds `n` to what is done.
    pub fn add(&self, n: u64) {
        self.bar.inc(n);
    }
    /// Ends the step with one line: the time since the start, what, how long.
    pub fn done(self, detail: &str) {
        self.bar.finish_and_clear();
        if self.lines {
            let line = format!(
                "{:6.1}s  {:<12} {} ({:.1}s)",
                self.origin.elapsed().as_secs_f64(),
                self.name,
                detail,
                self.began.elapsed().as_secs_f64()
            );
            // Through the bar, so that other bars are redrawn below it.
            self.bar.suspend(|| eprintln!("{}", line.trim_end()));
        }
    }
}
