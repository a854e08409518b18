//! What was done, for people and programs. Never holds contents, only names,
//! origins, states and hashes.

pub mod drift;

use crate::cloudconfig::Diagnostic;
use crate::error::{Context as _, Error, Result};
use crate::plan::Origin;
use crate::root::{Found, Root, SystemView as _};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Report of the last run in this boot.
pub const RUN: &str = "/run/oem/status.json";
/// Report of the last run that changed something, kept over reboots.
pub const KEPT: &str = "/var/lib/oem/status.json";

/// What became of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was changed, or its job was queued.
    Done,
    /// It was already so.
    Unchanged,
    /// Not done, for the reason given.
    Skipped,
    /// Needs a running systemd; happens at the next boot.
    Deferred,
    /// No longer asked for, and left in place for the reason given.
    Kept,
    /// Tried, and failed.
    Failed,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name, e.g. `file /etc/motd`.
    pub resource: String,
    /// Who asked for it, e.g. `user-data:12`.
    pub origin: String,
    /// What became of it.
    pub state: State,
    /// Why, or what was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// SHA-256 of what was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// One finding in user-data, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `error` or `warning`.
    pub severity: String,
    /// Whose text and line, e.g. `user-data:3`.
    pub origin: String,
    /// Which key.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// Takes over a finding of the parser.
    pub fn new(origin: Origin, d: &Diagnostic) -> Self {
        Finding {
            severity: if d.is_error() { "error" } else { "warning" }.to_owned(),
            origin: origin.to_string(),
            key: d.key.clone(),
            message: d.message.clone(),
            hint: d.hint.clone(),
        }
    }
}

/// How one source answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Provider on whose behalf it was asked.
    pub provider: String,
    /// The source, for people.
    pub source: String,
    /// What came of it.
    pub result: String,
}

/// Everything one run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Provider, when one was found.
    pub provider: Option<String>,
    /// Where user-data came from.
    pub source: Option<String>,
    /// Which stage ran: `local`, `network` or `manual`.
    pub stage: String,
    /// Seconds since 1970 when it ended.
    pub finished: u64,
    /// Milliseconds it took.
    pub milliseconds: u64,
    /// Sources that were asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Asked>,
    /// What else the operator should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Findings in the texts.
    pub findings: Vec<Finding>,
    /// Resources in the order of the plan.
    pub resources: Vec<Resource>,
}

impl Report {
    /// How many resources are in a state.
    pub fn count(&self, state: State) -> usize {
        self.resources.iter().filter(|r| r.state == state).count()
    }
    /// Whether everything asked for is in place.
    pub fn is_good(&self) -> bool {
        self.count(State::Failed) == 0
            && self.count(State::Skipped) == 0
            && self.findings.iter().all(|f| f.severity != "error")
    }

    /// The first things that are not in place, in a line; `None` when all are.
    pub fn wrong(&self) -> Option<String> {
        const SHOWN: usize = 3;
        let errors = self.findings.iter().filter(|f| f.severity == "error");
        let errors = errors.map(|f| format!("{}: {} {}", f.origin, f.key, f.message));
        let is_missing = |r: &&Resource| matches!(r.state, State::Failed | State::Skipped);
        let missing = self.resources.iter().filter(is_missing).map(|r| {
            let why = r.detail.as_deref().unwrap_or_default();
            format!("{} ({}): {why}", r.resource, r.origin)
        });
        let all: Vec<String> = errors.chain(missing).collect();
        let more = match all.len() {
            0 => return None,
            n if n > SHOWN => format!("; and {} more", n - SHOWN),
            _ => String::new(),
        };
        let shown = all[..all.len().min(SHOWN)].join("; ");
        Some(shown.replace(char::is_control, " ") + &more)
    }

    /// Writes the report where `oem status` looks.
    pub fn write(&self, root: &Root) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .environment(|| "cannot write the status".to_owned())?
            + "\n";
        root.write(RUN, text.as_bytes(), 0o600, Some((0, 0)))?;
        // A run that changed nothing writes nothing that lasts.
        if self.count(State::Done) > 0 || root.look(KEPT)? == Found::Missing {
            root.write(KEPT, text.as_bytes(), 0o600, Some((0, 0)))?;
        }
        Ok(())
    }

    /// Reads the last report.
    pub fn read(root: &Root) -> Result<Report> {
        for path in [RUN, KEPT] {
            if let Some(bytes) = root.read(path)? {
                return serde_json::from_slice(&bytes)
                    .environment(|| format!("{path} is damaged"))
                    .map_err(|e| e.hint("run `oem apply` to write it anew"));
            }
        }
        Err(
            Error::environment("nothing was applied on this machine yet")
                .hint("run `oem apply`, or read `journalctl -u oem -u oem-local`"),
        )
    }

    /// For people.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "provider: {}",
            self.provider.as_deref().unwrap_or("none")
        );
        if let Some(source) = &self.source {
            let _ = writeln!(out, "source: {source}");
        }
        let _ = writeln!(
            out,
            "{}: {} done, {} unchanged, {} skipped, {} failed, in {} ms",
            if self.is_good() { "good" } else { "incomplete" },
            self.count(State::Done),
            self.count(State::Unchanged),
            self.count(State::Skipped),
            self.count(State::Failed),
            self.milliseconds
        );
        for a in &self.asked {
            let _ = writeln!(
                out,
                "asked      {:<14} {}: {}",
                a.provider, a.source, a.result
            );
        }
        for w in &self.warnings {
            let _ = writeln!(out, "warning    {w}");
        }
        for f in &self.findings {
            let key = if f.key.is_empty() {
                String::new()
            } else {
                format!("{}: ", f.key)
            };
            let _ = writeln!(
                out,
                "{:<10} {:<14} {key}{}",
                f.severity, f.origin, f.message
            );
            hint(&mut out, f.hint.as_deref());
        }
        for r in &self.resources {
            let state = match r.state {
                State::Done => "done",
                State::Unchanged => "unchanged",
                State::Skipped => "skipped",
                State::Deferred => "deferred",
                State::Kept => "kept",
                State::Failed => "failed",
            };
            let detail = r
                .detail
                .as_ref()
                .map(|d| format!(" ({})", d.trim_end().replace('\n', "; ")))
                .unwrap_or_default();
            let _ = writeln!(out, "{state:<10} {:<14} {}{detail}", r.origin, r.resource);
            hint(&mut out, r.hint.as_deref());
        }
        out
    }
}

fn hint(out: &mut String, hint: Option<&str>) {
    if let Some(h) = hint {
        let _ = writeln!(out, "{:<10} hint: {h}", "");
    }
}
