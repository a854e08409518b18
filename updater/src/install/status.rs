//! How a machine stands: both slots, what boots next, and why.

use std::fmt;

use serde::Serialize;

use super::Journal;
use crate::bls::Verdict;
use crate::boot::{self, BootControl, Firmware, State};
use crate::slots::{Content, Disk, Id};

/// A slot in words that need no other source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotStatus {
    /// Which.
    pub slot: Id,
    /// Whether it is running.
    pub running: bool,
    /// Its release, by the partition table; none if it is empty.
    pub version: Option<String>,
    /// The release's root hash.
    pub root_hash: Option<String>,
    /// `good`, `trial`, `bad`, `not-bootable`, `empty`.
    pub verdict: &'static str,
    /// Tries left, while on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries_left: Option<u32>,
}

/// The whole machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Who counts tries.
    pub firmware: Firmware,
    /// The disk.
    pub disk: String,
    /// Slot A, slot B.
    pub slots: [SlotStatus; 2],
    /// The slot that the next boot takes.
    pub next: Id,
    /// The slot that is booted when the next one fails.
    pub last_good: Option<Id>,
    /// The release that is installed and waits for a reboot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staged: Option<String>,
    /// The release that is partly written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writing: Option<String>,
    /// Whether the running release was given up.
    pub rolled_back: bool,
    /// What somebody should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Status {
    /// Reads it. Changes nothing.
    pub fn read(disk: &Disk, boot: &BootControl, journal: &Journal) -> Result<Self, boot::Error> {
        let state = boot.state()?;
        let slots = [Id::A, Id::B].map(|id| slot(disk, &state, id));
        let other = &slots[usize::from(disk.running() == Id::A)];
        let staged = other.version.clone().filter(|_| other.verdict == "trial");
        let writing = journal.read().map(|progress| progress.version);
        let mut warnings = Vec::new();
        if let Some(damage) = disk.damage() {
            warnings.push(format!(
                "the first copy of the partition table is damaged ({damage}); the next update writes it again"
            ));
        }
        if other.verdict == "not-bootable" {
            let version = other.version.as_deref().unwrap_or_default();
            warnings.push(format!(
                "slot {} holds {version} and has no kernel image on the EFI system partition",
                other.slot
            ));
        }
        Ok(Status {
            firmware: state.firmware,
            disk: disk.name().to_owned(),
            next: state.next,
            last_good: state.last_good,
            rolled_back: state.rolled_back,
            writing: writing.filter(|writing| staged.as_ref() != Some(writing)),
            staged,
            slots,
            warnings,
        })
    }
}

fn slot(disk: &Disk, state: &State, id: Id) -> SlotStatus {
    let running = id == disk.running();
    let boot = if running {
        Some(&state.running)
    } else {
        state.other.as_ref()
    };
    let (version, root_hash) = match disk.slot(id).content() {
        Content::Release(version, hash) => (Some(version), Some(hash.to_string())),
        Content::Empty | Content::Unknown(_) => (None, None),
    };
    // An entry of another release than the slot's does not count.
    let boot = boot.filter(|boot| version.as_ref().is_some_and(|v| *v == boot.version));
    let verdict = match (boot, &version) {
        (_, None) => "empty",
        (None, Some(_)) => "not-bootable",
        (Some(boot), Some(_)) => match boot.verdict {
            Verdict::Good => "good",
            Verdict::Trial => "trial",
            Verdict::Bad => "bad",
        },
    };
    SlotStatus {
        slot: id,
        running,
        version: version.map(|v| v.to_string()),
        root_hash,
        verdict,
        tries_left: boot.and_then(|boot| boot.tries_left),
    }
}

impl SlotStatus {
    fn explain(&self) -> String {
        let left = match self.tries_left {
            Some(1) => "1 try left".to_owned(),
            left => format!("{} tries left", left.unwrap_or(0)),
        };
        match (self.verdict, self.running) {
            ("good", true) => "running, known to be good".to_owned(),
            ("good", false) => "known to be good: the way back".to_owned(),
            ("trial", true) => format!("running on trial, {left}; not yet declared good"),
            ("trial", false) => format!("installed, waits for a reboot; {left}"),
            ("bad", true) => "running, without tries left".to_owned(),
            ("bad", false) => {
                "bad: it did not get good within its tries, or was given up".to_owned()
            }
            ("empty", _) => "empty".to_owned(),
            _ => "cannot be booted: no kernel image".to_owned(),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for slot in &self.slots {
            let version = slot.version.as_deref().unwrap_or("-");
            writeln!(f, "slot {}: {version}: {}", slot.slot, slot.explain())?;
        }
        write!(f, "next boot: slot {}", self.next)?;
        match self.last_good {
            Some(good) if good != self.next => writeln!(f, "; if that fails, slot {good}")?,
            Some(_) => writeln!(f)?,
            None => writeln!(f, "; no slot is known to be good")?,
        }
        if self.rolled_back {
            writeln!(f, "the running release was given up; reboot to leave it")?;
        }
        if let Some(writing) = &self.writing {
            writeln!(f, "{writing} is partly written")?;
        }
        self.warnings
            .iter()
            .try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}
