//! The machine's serial console: a growing text that can be waited for.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use regex::bytes::Regex;

use crate::error::{Error, Result};

/// The console's text so far. Clones share it.
///
/// Escape sequences and carriage returns are left out of the text, so that
/// patterns match what a person reads.
#[derive(Clone, Default)]
pub struct Console(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    text: Vec<u8>,
    filter: Filter,
    closed: bool,
    copies: Vec<Box<dyn Write + Send>>,
}

/// Where a pattern was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The text that matched.
    pub text: String,
    /// Offset after it, to continue from.
    pub end: usize,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Console({} bytes)", self.len())
    }
}

impl Console {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Also writes everything, escape sequences included, to `copy`.
    pub fn copy_to(&self, copy: impl Write + Send + 'static) {
        self.lock().copies.push(Box::new(copy));
    }

    pub(super) fn copy_to_file(&self, path: &std::path::Path) -> Result<()> {
        let file = File::create(path)
            .map_err(|e| Error::environment(format!("writing {}", path.display())).because(e))?;
        self.copy_to(file);
        Ok(())
    }

    pub(super) fn append(&self, bytes: &[u8]) {
        let mut state = self.lock();
        let State {
            text,
            filter,
            copies,
            ..
        } = &mut *state;
        text.extend(bytes.iter().copied().filter(|b| filter.keeps(*b)));
        // A copy that cannot be written any more must not stop the machine.
        copies.retain_mut(|copy| copy.write_all(bytes).and_then(|()| copy.flush()).is_ok());
        self.0.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_all();
    }

    /// Whether QEMU has closed it, which it does when it ends.
    pub fn closed(&self) -> bool {
        self.lock().closed
    }

    /// Length of the text in bytes.
    pub fn len(&self) -> usize {
        self.lock().text.len()
    }

    /// Whether nothing was printed yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text from `offset` on.
    pub fn text(&self, offset: usize) -> String {
        String::from_utf8_lossy(self.lock().text.get(offset..).unwrap_or_default()).into_owned()
    }

    /// The last `count` lines.
    pub fn tail(&self, count: usize) -> String {
        let text = self.text(self.len().saturating_sub(16 * 1024));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// Waits until `pattern` (syntax of the `regex` crate) is printed at or after
    /// `offset`. The error tells the last lines.
    pub fn wait_for(&self, pattern: &str, offset: usize, timeout: Duration) -> Result<Found> {
        let regex = compile(pattern)?;
        match self.find(&regex, offset, Instant::now() + timeout) {
            Some(found) => Ok(found),
            None => {
                let what = if self.closed() {
                    "the machine stopped"
                } else {
                    "time ran out"
                };
                Err(Error::environment(format!(
                    "{what} before the console showed `{pattern}`; its last lines:\n{}",
                    self.tail(30)
                )))
            }
        }
    }

    /// As [`Console::wait_for`]; `None` when the time is over or the console closed.
    pub(super) fn find(&self, regex: &Regex, offset: usize, deadline: Instant) -> Option<Found> {
        let mut state = self.lock();
        loop {
            if let Some(m) = state.text.get(offset..).and_then(|text| regex.find(text)) {
                return Some(Found {
                    text: String::from_utf8_lossy(m.as_bytes()).into_owned(),
                    end: offset + m.end(),
                });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return None;
            }
            state = self
                .0
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until the console closes; false when the time is over first.
    pub(super) fn wait_closed(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while !state.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .0
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

/// Compiles a pattern; `^` and `$` match at lines.
pub(super) fn compile(pattern: &str) -> Result<Regex> {
    regex::bytes::RegexBuilder::new(pattern)
        .multi_line(true)
        .build()
        .map_err(|e| Error::usage(format!("`{pattern}` is no regular expression")).because(e))
}

/// Removes escape sequences (ECMA-48 CSI and two-byte ones) and carriage returns.
#[derive(Default)]
enum Filter {
    #[default]
    Text,
    Escape,
    Sequence,
}

impl Filter {
    fn keeps(&mut self, byte: u8) -> bool {
        match (&self, byte) {
            (_, 0x1b) => *self = Filter::Escape,
            (Filter::Text, b'\r' | 0) => {}
            (Filter::Text, _) => return true,
            (Filter::Escape, b'[') => *self = Filter::Sequence,
            (Filter::Escape, _) => *self = Filter::Text,
            (Filter::Sequence, 0x40..=0x7e) => *self = Filter::Text,
            (Filter::Sequence, _) => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_across_pieces_and_colours() {
        let console = Console::default();
        let writer = console.clone();
        let thread = std::thread::spawn(move || {
            for piece in [
                "[\x1b[0;3",
                "2m  OK  \x1b[0m] Rea",
                "ched ta",
                "rget\r\nlogin: ",
            ] {
                writer.append(piece.as_bytes());
            }
        });
        let found = console
            .wait_for(r"^\[  OK  \] .*target$", 0, Duration::from_secs(10))
            .unwrap();
        assert_eq!(found.text, "[  OK  ] Reached target");
        assert!(
            console
                .wait_for("login:", found.end, Duration::from_secs(10))
                .is_ok()
        );
        thread.join().unwrap();
        assert!(console.wait_for("OK", found.end, Duration::ZERO).is_err());
    }

    #[test]
    fn closing_ends_the_wait() {
        let console = Console::default();
        console.append(b"last words\n");
        console.close();
        let error = console
            .wait_for("x", 0, Duration::from_secs(60))
            .unwrap_err();
        assert!(error.chain().contains("last words"), "{}", error.chain());
        assert!(console.wait_for("(", 0, Duration::ZERO).is_err());
    }
}
