use std::fmt::Display;
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::reboot::{RebootMode, reboot};

use super::{log, record};
use crate::cmdline::Cmdline;

/// Seconds between the message and the reboot when `panic=` does not say.
const DEFAULT_DELAY: u64 = 10;

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
    // A failure to record must not hide the failure itself; a poisoned lock is a panic somewhere else.
    let disk = RECORD_DISK
        .lock()
        .map(|disk| disk.clone())
        .unwrap_or_default();
    match disk.map(|disk| {
        record::write(
            &disk,
            &format!("{}; remedy: {}", failure.cause, failure.remedy),
        )
    }) {
        Some(Ok(())) => {}
        Some(Err(error)) => log::critical(&format!(
            "the reason could not be kept on the disk: {error}"
        )),
        None => log::critical("the reason is kept nowhere else: no disk of ours was found"),
    }
    log::critical(&format!("rebooting in {delay} s"));
    std::thread::sleep(Duration::from_secs(delay));
    nix::unistd::sync();
    loop {
        let _ = reboot(RebootMode::RB_AUTOBOOT);
        // Only reached when the kernel refuses; PID 1 must not end.
        std::thread::sleep(Duration::from_secs(3600));
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
