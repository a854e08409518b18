//! What was found, kept for the time after a rollback.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Check, Ended, Kind, Output};
use crate::config::in_words;
use crate::version::Version;

/// Folder below the state folder.
pub(super) const FOLDER: &str = "reports";
/// Reports that are kept.
const KEPT: usize = 20;

/// One assessment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// 1.
    pub format: u32,
    /// Version that ran.
    pub version: String,
    /// It was on trial.
    pub trial: bool,
    /// Seconds since 1970.
    pub time: u64,
    /// Every required check passed.
    pub healthy: bool,
    /// Checks and hooks in the order in which they ran.
    pub results: Vec<Result>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Result {
    /// Its name.
    pub name: String,
    /// What it means.
    pub kind: Kind,
    /// How it ended.
    pub outcome: Outcome,
    /// In words; empty when it passed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// How long it took.
    pub milliseconds: u64,
    /// What it said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Well.
    Passed,
    /// With another status, or by a signal, or it could not start.
    Failed,
    /// Killed at its timeout.
    TimedOut,
    /// There was no time left for it.
    NotRun,
}

impl Result {
    pub(super) fn new(
        name: &str,
        kind: Kind,
        took: Duration,
        output: std::io::Result<Output>,
    ) -> Self {
        let output = output.unwrap_or_else(|e| Output {
            ended: Ended::NotStarted(e.to_string()),
            text: String::new(),
        });
        let (outcome, detail) = match output.ended {
            Ended::Status(0) => (Outcome::Passed, String::new()),
            Ended::Status(status) => (Outcome::Failed, format!("ended with status {status}")),
            Ended::Signal(signal) => (Outcome::Failed, format!("ended by signal {signal}")),
            Ended::Killed => {
                let after = in_words(took.as_secs());
                (Outcome::TimedOut, format!("was killed after {after}"))
            }
            Ended::NotStarted(why) => (Outcome::Failed, format!("could not be started: {why}")),
        };
        Result {
            name: name.to_owned(),
            kind,
            outcome,
            detail,
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            output: output.text,
        }
    }

    pub(super) fn not_run(check: &Check) -> Self {
        Result {
            name: check.name.clone(),
            kind: check.kind,
            outcome: Outcome::NotRun,
            detail: "was not run: no time was left".to_owned(),
            milliseconds: 0,
            output: String::new(),
        }
    }
}

impl Report {
    pub(super) fn new(version: &str, trial: bool, results: Vec<Result>) -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let failed = |r: &Result| r.kind == Kind::Required && r.outcome != Outcome::Passed;
        Report {
            format: 1,
            version: version.to_owned(),
            trial,
            time: time.map_or(0, |t| t.as_secs()),
            healthy: !results.iter().any(failed),
            results,
        }
    }

    /// What failed, in words.
    pub fn summary(&self) -> String {
        let failed: Vec<String> = self
            .results
            .iter()
            .filter(|r| r.kind == Kind::Required && r.outcome != Outcome::Passed)
            .map(|r| format!("{} {}", r.name, r.detail))
            .collect();
        failed.join("; ")
    }

    /// Which release failed when and why, with what was said, for people.
    pub fn told(&self) -> String {
        let seconds = i64::try_from(self.time).unwrap_or(i64::MAX);
        let when = jiff::Timestamp::from_second(seconds).unwrap_or_default();
        let mut text = format!("{} at {when}: {}", self.version, self.summary());
        let failed = |r: &&Result| r.outcome != Outcome::Passed && !r.output.is_empty();
        for result in self.results.iter().filter(failed) {
            for line in result.output.lines().filter(|line| !line.trim().is_empty()) {
                text.push_str(&format!("\n  {}: {line}", result.name));
            }
        }
        text
    }

    /// Writes it into `folder`, on disk on return, and removes the oldest ones.
    pub(super) fn save(&self, folder: &Path) -> std::io::Result<PathBuf> {
        // Names in the order of time, whatever the version.
        let version = self.version.parse::<Version>();
        let version = version.as_ref().map_or("unknown", Version::as_str);
        let path = folder.join(format!("{:012}-{version}.json", self.time));
        let bytes = serde_json::to_vec_pretty(self).map_err(std::io::Error::other)?;
        crate::state::replace(&path, &bytes)?;
        let mut names = names(folder);
        while names.len() > KEPT {
            let _ = std::fs::remove_file(folder.join(names.remove(0)));
        }
        Ok(path)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    names
}

/// The reports below the state folder, oldest first. What cannot be read is left out.
pub fn reports(state: &Path) -> Vec<Report> {
    let folder = state.join(FOLDER);
    let read = |name: String| serde_json::from_slice(&std::fs::read(folder.join(name)).ok()?).ok();
    names(&folder).into_iter().filter_map(read).collect()
}
