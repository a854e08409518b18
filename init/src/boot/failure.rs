use std::fmt::Display;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::reboot::{RebootMode, reboot};

use super::{log, record};
use crate::cmdline::Cmdline;

/// Seconds between the message and the reboot when `panic=` does not say.
const DEFAULT_DELAY: u64 = 10;

/// How long the disk may take to record the reason.
const DISK_LIMIT: Duration = Duration::from_secs(10);

/// Why this boot cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failed, with which input.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

impl Failure {
    /// A failure with its remedy.
    pub fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }
}

/// Adds what was tried, and the remedy, to an error.
pub trait OrFail<T> {
    /// `WHAT: ERROR` as the cause.
    fn or_fail(self, what: impl Display, remedy: &str) -> Result<T, Failure>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, what: impl Display, remedy: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("{what}: {error}"), remedy))
    }
}

/// The disk a failure can be recorded on, once it is known.
pub static RECORD_DISK: Mutex<Option<String>> = Mutex::new(None);

/// Says why, keeps the reason for the next boot, and reboots, so that boot counting gets its turn. Never returns.
pub fn give_up(failure: &Failure, cmdline: &Cmdline) -> ! {
    let delay = match cmdline.panic_timeout() {
        None | Some(0) => DEFAULT_DELAY,
        Some(seconds) => u64::try_from(seconds).unwrap_or(0),
    };
    log::critical(&format!("boot failed: {}", failure.cause));
    log::critical(&format!("remedy: {}", failure.remedy));
    let began = Instant::now();
    keep(format!("{}; remedy: {}", failure.cause, failure.remedy));
    log::critical(&format!("rebooting in {delay} s"));
    std::thread::sleep(Duration::from_secs(delay).saturating_sub(began.elapsed()));
    loop {
        let _ = reboot(RebootMode::RB_AUTOBOOT);
        // Only reached when the kernel refuses; PID 1 must not end.
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Records the reason and writes out all caches. In a thread with a limit: a disk that hangs must not stop the reboot.
fn keep(reason: String) {
    // Whoever holds the lock may be the one that failed.
    let disk = RECORD_DISK
        .try_lock()
        .map(|disk| disk.clone())
        .unwrap_or_default();
    let (done, finished) = mpsc::channel();
    let work = move || {
        let problem = match disk.map(|disk| record::write(&disk, &reason)) {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(format!("the reason could not be kept on the disk: {error}")),
            None => Some("the reason is kept nowhere else: no disk of ours was found".into()),
        };
        nix::unistd::sync();
        // Nobody listens any more when the limit has passed.
        let _ = done.send(problem);
    };
    let problem = match std::thread::Builder::new().spawn(work) {
        Ok(_) => finished
            .recv_timeout(DISK_LIMIT)
            .unwrap_or_else(|_| Some("the disk does not answer".into())),
        Err(error) => Some(format!("no thread to record the reason: {error}")),
    };
    if let Some(problem) = problem {
        log::critical(&problem);
    }
}

/// Makes a panic anywhere take the same way.
pub fn catch_panics() {
    std::panic::set_hook(Box::new(|info| {
        let text = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
        let failure = Failure::new(
            format!("fault in init itself: {info}"),
            "report it with this message",
        );
        give_up(&failure, &Cmdline::parse(&text));
    }));
}
