//! The end of trial boots that come to no verdict.
//!
//! A boot may hang before the service starts that judges it: a unit that never ends
//! stands before `multi-user.target`, the system is in its emergency mode, the bus is
//! dead. `updater-trial.service` waits for nothing of all that. It runs on trial boots
//! only (see [`crate::update::trial`]), and reboots the machine when the release is not
//! good after **twice the `health-timeout` since the kernel started**, so that the
//! tries go down as with a release that fails its checks. What was not up by then is in
//! a report.
//!
//! For as long as the trial lasts a processor that is stuck in the kernel is a panic,
//! and so a reboot (`panic=` of the command line). What hangs with PID 1 or with the
//! whole machine is the hardware watchdog's, see [`crate::dist`].
//!
//! Where no other release is good a reboot would lead here again: then nothing is done.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::reboot::{RebootMode, reboot};
use nix::time::{ClockId, clock_gettime};

use super::report::{FOLDER, Report, Result};
use super::{Kind, Outcome, run};
use crate::bls::Verdict;
use crate::boot::Machine;
use crate::config::{self, in_words};
use crate::state::Store;
use crate::status::Booted;
use crate::update::trial;

/// Between two looks whether the release is good.
const LOOK: Duration = Duration::from_secs(5);
/// How long the last words may take: everything may hang now.
const PATIENCE: Duration = Duration::from_secs(20);
const SOFT_LOCKUP: &str = "proc/sys/kernel/softlockup_panic";

/// How a trial boot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The release is not on trial, or not any more.
    Good,
    /// Its time is over.
    Over,
    /// The same, and there is nothing better to boot.
    NowhereToGo,
}

/// Waits for the end of the trial of the release that runs below `root`, and reboots
/// when it is a bad one.
pub fn watch(root: &Path) -> std::io::Result<End> {
    let version = Booted::read(root)?.version.unwrap_or_default();
    let state = root.join(crate::STATE);
    let limit = 2 * config::load(root).config.health_timeout;
    if !trial::is_on(&state, &version) {
        return Ok(End::Good);
    }
    let panics = Setting::set(root.join(SOFT_LOCKUP), "1");
    let good = || !trial::is_on(&state, &version);
    if wait(limit, uptime, std::thread::sleep, good) {
        panics.put_back();
        return Ok(End::Good);
    }
    if within(PATIENCE, move || fallback(Path::new("/"))) == Some(Some(false)) {
        tracing::warn!(version, "not good in time, and no other release is good");
        panics.put_back();
        return Ok(End::NowhereToGo);
    }
    let after = in_words(limit.as_secs());
    tracing::error!(version, "not good {after} after the start; rebooting");
    let root = root.to_owned();
    within(3 * PATIENCE, move || keep(&root, &version, limit));
    go_down();
    Ok(End::Over)
}

/// Whether it gets good before `limit`.
fn wait(
    limit: Duration,
    uptime: impl Fn() -> Duration,
    sleep: impl Fn(Duration),
    good: impl Fn() -> bool,
) -> bool {
    loop {
        if good() {
            return true;
        }
        match limit.checked_sub(uptime()).filter(|left| !left.is_zero()) {
            None => return false,
            Some(left) => sleep(left.min(LOOK)),
        }
    }
}

/// Since the kernel started.
fn uptime() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Whether the other slot is good; `None` if that cannot be told.
fn fallback(root: &Path) -> Option<bool> {
    let boot = Machine::open(root).ok()?;
    let state = boot.boot().state().ok()?;
    Some(state.other.is_some_and(|o| o.verdict == Verdict::Good))
}

/// Keeps for the time after the reboot what was not up, and that the trial failed.
fn keep(root: &Path, version: &str, limit: Duration) {
    let ask = |argv: &[&str]| {
        let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
        let said = run(&argv, &[], PATIENCE / 2).map(|output| output.text);
        said.unwrap_or_else(|e| e.to_string())
    };
    let jobs = ask(&["/usr/bin/systemctl", "--no-pager", "list-jobs"]);
    let failed = ask(&["/usr/bin/systemctl", "--no-pager", "--plain", "--failed"]);
    save(root, version, limit, &format!("{jobs}\n{failed}"));
}

fn save(root: &Path, version: &str, limit: Duration, output: &str) {
    let state = root.join(crate::STATE);
    let late = Result {
        name: "boot".to_owned(),
        kind: Kind::Required,
        outcome: Outcome::TimedOut,
        detail: format!("was not found good in {}", in_words(limit.as_secs())),
        milliseconds: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        output: output.to_owned(),
    };
    let report = Report::new(version, true, vec![late]);
    if let Err(e) = report.save(&state.join(FOLDER)) {
        tracing::warn!("the report cannot be kept: {e}");
    }
    let boot_id = std::fs::read_to_string(root.join("proc/sys/kernel/random/boot_id"));
    let boot_id = boot_id.unwrap_or_default();
    let noted = Store::open(&state).and_then(|(store, mut memory)| {
        memory.note_failed_trial(version, boot_id.trim());
        store.save(&memory)
    });
    if let Err(e) = noted {
        tracing::warn!("the failed trial cannot be noted: {e}");
    }
}

/// Reboots, with systemd or without it.
fn go_down() {
    let argv = ["/usr/bin/systemctl", "--force", "reboot"].map(str::to_owned);
    // It returns at once, and this process is stopped soon after.
    let _ = run(&argv, &[], PATIENCE);
    std::thread::sleep(3 * PATIENCE);
    within(PATIENCE, nix::unistd::sync);
    let _ = reboot(RebootMode::RB_AUTOBOOT);
}

/// What `work` returns, if it does in time.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(work()));
    receive.recv_timeout(limit).ok()
}

/// A switch of the kernel. Where there is none, nothing is done.
struct Setting {
    path: PathBuf,
    before: Option<String>,
}

impl Setting {
    fn set(path: PathBuf, value: &str) -> Self {
        let before = std::fs::read_to_string(&path).ok();
        let _ = std::fs::write(&path, value);
        Setting { path, before }
    }

    fn put_back(self) {
        if let Some(before) = self.before {
            let _ = std::fs::write(&self.path, before.trim());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn f4_a_hanging_boot_ends_at_twice_the_time_of_a_healthy_one() {
        let clock = Cell::new(Duration::from_secs(7));
        let sleep = |d| clock.set(clock.get() + d);
        let limit = Duration::from_secs(60);
        assert!(!wait(limit, || clock.get(), sleep, || false));
        assert_eq!(clock.get(), limit);
        let good = || clock.get() >= Duration::from_secs(72);
        assert!(wait(2 * limit, || clock.get(), sleep, good));
        assert!(clock.get() < Duration::from_secs(80));
    }

    #[test]
    fn what_hung_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let release = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        release("proc/cmdline", "quiet");
        release("usr/lib/os-release", "IMAGE_VERSION=2\n");
        release(SOFT_LOCKUP, "0\n");
        // Not on trial.
        assert_eq!(watch(root.path()).unwrap(), End::Good);

        release("proc/sys/kernel/random/boot_id", "boot-2\n");
        save(
            root.path(),
            "2",
            Duration::from_secs(90),
            "hang.service start running",
        );
        let state = root.path().join(crate::STATE);
        let report = &super::super::reports(&state)[0];
        assert_eq!(report.summary(), "boot was not found good in 1 min 30 s");
        assert!(report.results[0].output.contains("hang.service"));
        let (_, memory) = Store::open(&state).unwrap();
        assert!(memory.attempts[0].unhealthy);
        assert_eq!(memory.attempts[0].boot_id, "boot-2");

        let path = root.path().join(SOFT_LOCKUP);
        let setting = Setting::set(path.clone(), "1");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1");
        setting.put_back();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0");
    }
}
