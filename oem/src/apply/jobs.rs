//! systemd jobs: queued, never waited for, once per boot and content.

use super::{Outcome, Systemd, deferred};
use crate::cloudconfig::Verb;
use crate::error::{Context as _, Result};
use crate::root::{Root, SystemView as _};
use crate::status::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Forgotten at reboot, as it must be.
const PATH: &str = "/run/oem/jobs.json";

/// What was queued in this boot.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Jobs {
    queued: BTreeSet<String>,
    /// Unit files changed, and systemd could not be told.
    pub reload_owed: bool,
    #[serde(skip)]
    dirty: bool,
}

impl Jobs {
    pub fn read(root: &Root) -> Result<Jobs> {
        let jobs: Jobs = match root.read(PATH)? {
            // A damaged record only means that a job is queued once more.
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            None => Jobs::default(),
        };
        Ok(Jobs {
            dirty: jobs.reload_owed,
            ..jobs
        })
    }

    pub fn write(&self, root: &Root) -> Result<()> {
        if !self.dirty && !self.reload_owed {
            return Ok(());
        }
        let text = serde_json::to_string(self)
            .environment(|| "cannot record the queued jobs".to_owned())?;
        root.write(PATH, text.as_bytes(), 0o600, Some((0, 0)))
    }

    /// Stops a unit that runs, and forgets what was queued of it: should it come back
    /// in this boot, it starts again.
    pub fn stop(&mut self, systemd: Option<&dyn Systemd>, unit: &str) -> Result<Outcome> {
        let of = |id: &String| id.split(' ').nth(1) == Some(unit);
        if self.queued.iter().any(of) {
            self.queued.retain(|id| !of(id));
            self.dirty = true;
        }
        let Some(systemd) = systemd else {
            return Ok(deferred());
        };
        match systemd.active_state(unit)?.as_deref() {
            None | Some("inactive" | "failed") => {
                Ok(Outcome::with(State::Unchanged, "it does not run"))
            }
            Some(_) => {
                let job = systemd.job(unit, Verb::Stop)?;
                Ok(Outcome::with(State::Done, format!("queued as {job}")))
            }
        }
    }

    pub fn queue(
        &mut self,
        systemd: Option<&dyn Systemd>,
        unit: &str,
        verb: Verb,
        hash: &str,
    ) -> Result<Outcome> {
        let Some(systemd) = systemd else {
            return Ok(deferred());
        };
        let id = format!("{} {unit} {hash}", verb.as_str());
        if self.queued.contains(&id) {
            return Ok(Outcome::with(
                State::Unchanged,
                "already queued in this boot",
            ));
        }
        let active = systemd.active_state(unit)?.is_some_and(|s| s == "active");
        let outcome = if verb == Verb::Start && active {
            Outcome::with(State::Unchanged, "already active")
        } else {
            Outcome::with(
                State::Done,
                format!("queued as {}", systemd.job(unit, verb)?),
            )
        };
        self.queued.insert(id);
        self.dirty = true;
        Ok(outcome)
    }
}
