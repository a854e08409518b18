//! Is the booted release well? `boot-complete.target`, then the checks.
//!
//! Checks are programs in `/usr/lib/holdfast/health.d` and `/etc/holdfast/health.d`:
//!
//! | folder | meaning |
//! |---|---|
//! | `required.d/` | each must end with status 0, or the release is unhealthy |
//! | `wanted.d/` | run and reported, decide nothing |
//! | `on-failure.d/` | run when the release is unhealthy, before the machine reboots |
//!
//! A program in /etc replaces the one of that name below /usr/lib; an empty file or a
//! link to /dev/null removes it. They run one after the other in the order of their
//! names, required ones first, without arguments, with `HOLDFAST_VERSION` and
//! `HOLDFAST_TRIAL` (`yes`, `no`) in an environment that is otherwise bare, hooks with
//! `HOLDFAST_REPORT` (path of the report) too. Each is a process group of its own that is
//! killed at its timeout, or as a whole when the program itself ends. What others than
//! root may write is not run, and counts as failed.
//!
//! The checks start when `boot-complete.target` is reached. Services that must be up for
//! a release to be good can order themselves before it (`RequiredBy=boot-complete.target`,
//! `Before=boot-complete.target`) and need no check.
//!
//! The report is kept in `/var/lib/holdfast/update/reports`, which both slots share.
//!
//! A machine that hangs reaches no verdict here: see [`deadline`].

mod checks;
pub mod deadline;
mod report;
mod run;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use checks::{Check, Kind};
pub use report::{Outcome, Report, Result, reports};
pub use run::{Ended, Output, run};

/// What an assessment needs to know.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// `/` on a running machine.
    pub root: PathBuf,
    /// Version that runs.
    pub version: String,
    /// It is on trial.
    pub trial: bool,
    /// Longest time for everything but the hooks.
    pub timeout: Duration,
    /// Longest time for one check.
    pub check_timeout: Duration,
    /// What tells whether the boot is complete, with its arguments: ends with 0 once it is.
    pub boot_complete: Vec<String>,
}

/// One hook may take this long, and all of them twice that.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);
const BOOT_COMPLETE: &str = "boot-complete.target";

impl Assessment {
    /// `systemctl start` of the target: waits for the jobs of the boot, fails when one
    /// that the target needs has failed, and starts nothing that is not wanted anyway.
    pub fn systemd() -> Vec<String> {
        ["/usr/bin/systemctl", "start", "--quiet", BOOT_COMPLETE]
            .map(str::to_owned)
            .to_vec()
    }

    /// Runs everything, saves the report, and runs the hooks when it is bad. Blocks.
    pub fn run(&self) -> Report {
        let end = Instant::now() + self.timeout;
        let mut results = vec![self.boot_complete(end)];
        for check in checks::find(&self.root) {
            if check.kind == Kind::OnFailure {
                continue;
            }
            // Without a complete boot a failed check would say little.
            let hopeless = results[0].outcome != Outcome::Passed && check.kind == Kind::Wanted;
            let left = end.saturating_duration_since(Instant::now());
            let result = if hopeless || left.is_zero() {
                Result::not_run(&check)
            } else {
                self.one(&check, left.min(self.check_timeout), &[])
            };
            results.push(result);
        }
        let mut report = Report::new(&self.version, self.trial, results);
        let folder = self.root.join(crate::STATE).join(report::FOLDER);
        match report.save(&folder) {
            Ok(path) => {
                if !report.healthy {
                    self.hooks(&mut report, &path);
                }
            }
            Err(e) => {
                tracing::error!(folder = %folder.display(), "a health report cannot be kept: {e}");
                if !report.healthy {
                    self.hooks(&mut report, Path::new("/dev/null"));
                }
            }
        }
        report
    }

    fn boot_complete(&self, end: Instant) -> Result {
        let started = Instant::now();
        let ended = run(
            &self.boot_complete,
            &[],
            end.saturating_duration_since(started),
        );
        Result::new(BOOT_COMPLETE, Kind::Required, started.elapsed(), ended)
    }

    fn one(&self, check: &Check, timeout: Duration, more: &[(&str, &str)]) -> Result {
        let started = Instant::now();
        let ended = match check.refusal() {
            Some(why) => Ok(Output {
                ended: Ended::NotStarted(why),
                text: String::new(),
            }),
            None => {
                let trial = if self.trial { "yes" } else { "no" };
                let mut env = vec![
                    ("HOLDFAST_VERSION", self.version.as_str()),
                    ("HOLDFAST_TRIAL", trial),
                ];
                env.extend(more);
                run(&[check.path.display().to_string()], &env, timeout)
            }
        };
        Result::new(&check.name, check.kind, started.elapsed(), ended)
    }

    fn hooks(&self, report: &mut Report, path: &Path) {
        let end = Instant::now() + 2 * HOOK_TIMEOUT;
        let path = path.display().to_string();
        for hook in checks::find(&self.root) {
            let left = end.saturating_duration_since(Instant::now());
            if hook.kind == Kind::OnFailure && !left.is_zero() {
                let env = [("HOLDFAST_REPORT", path.as_str())];
                report
                    .results
                    .push(self.one(&hook, left.min(HOOK_TIMEOUT), &env));
            }
        }
    }
}

#[cfg(test)]
mod tests;
