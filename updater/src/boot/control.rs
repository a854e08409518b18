//! The operations of boot control.

use std::path::Path;

use serde::Serialize;

use super::entries::{self, Entry, Name, same};
use super::{Error, Esp, Firmware, SecureBoot, loaders, order};
use crate::bls::{Counters, EntryName, FOLDER, TRIES, Verdict};
use crate::grub::{self, ENV_SIZE, Env};
use crate::slots::Id;
use crate::version::Version;

const ENV: &str = "grub/grubenv";
/// What FAT needs beyond a file's own bytes: part of a cluster, folders.
const MARGIN: u64 = 1 << 20;

/// Decides what boots next.
#[derive(Clone)]
pub struct BootControl<'e> {
    esp: &'e dyn Esp,
    firmware: Firmware,
    running: Id,
    version: Version,
    secure_boot: Option<&'e SecureBoot>,
}

/// What is known about one slot's release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotState {
    /// The slot.
    pub slot: Id,
    /// Its release.
    #[serde(serialize_with = "as_text")]
    pub version: Version,
    /// What the loader in use says about it.
    #[serde(serialize_with = "verdict_text")]
    pub verdict: Verdict,
    /// Tries left, while on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries_left: Option<u32>,
}

/// What boots now and next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// Who counts.
    pub firmware: Firmware,
    /// The running release.
    pub running: SlotState,
    /// The other slot's, if it can be booted.
    pub other: Option<SlotState>,
    /// The slot that the next boot takes.
    pub next: Id,
    /// The slot that is booted when all else fails.
    pub last_good: Option<Id>,
    /// Whether the operator or the health checks gave up the running release.
    pub rolled_back: bool,
}

fn as_text<S: serde::Serializer>(version: &Version, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(version)
}

fn verdict_text<S: serde::Serializer>(verdict: &Verdict, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match verdict {
        Verdict::Good => "good",
        Verdict::Trial => "trial",
        Verdict::Bad => "bad",
    })
}

impl std::fmt::Debug for BootControl<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BootControl({}, {:?})", self.version, self.firmware)
    }
}

/// Adds what was being done.
trait During<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            what: what(),
            source,
        })
    }
}

/// The entries: the running release's, and the other's.
struct Pair {
    running: Entry,
    /// All that are not running belong to the inactive slot. There is more than one
    /// only after something went wrong; the first counts.
    others: Vec<Entry>,
}

impl<'e> BootControl<'e> {
    /// `version` is running, in slot `running`.
    pub fn new(esp: &'e dyn Esp, firmware: Firmware, running: Id, version: Version) -> Self {
        BootControl {
            esp,
            firmware,
            running,
            version,
            secure_boot: None,
        }
    }

    /// The firmware starts only what is signed by somebody it knows.
    pub fn with_secure_boot(self, secure_boot: Option<&'e SecureBoot>) -> Self {
        BootControl {
            secure_boot,
            ..self
        }
    }

    fn other(&self) -> Id {
        self.running.other()
    }

    fn pair(&self) -> Result<Pair, Error> {
        let entries = entries::list(self.esp).during(|| format!("reading {FOLDER} of the ESP"))?;
        let (mut ours, others): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|e| same(&e.version, &self.version));
        match ours.pop() {
            Some(running) => Ok(Pair { running, others }),
            None => Err(Error::NoEntry(self.version.to_string())),
        }
    }

    /// GRUB's state. A damaged block reads as GRUB reads it: without variables.
    fn grub(&self) -> grub::State {
        let env = self.esp.read(ENV).ok();
        let env = env.and_then(|block| Env::parse(&block).ok());
        grub::State::read(&env.unwrap_or_default())
    }

    /// Writes GRUB's state, if it changed. In place: one sector, old or new.
    fn set_grub(&self, state: &grub::State) -> Result<(), Error> {
        let block = state.write()?;
        let what = || "writing GRUB's environment block".to_owned();
        match self.esp.read(ENV) {
            Ok(old) if old == block => Ok(()),
            Ok(old) if old.len() == ENV_SIZE => self.esp.overwrite(ENV, &block).during(what),
            // Damaged or missing: GRUB is not running, so another place does no harm.
            _ => self.esp.create(ENV, &block).during(what),
        }
    }

    /// What the loader in use will make of an entry.
    fn judge(&self, slot: Id, entry: &Entry, grub: &grub::State) -> (Verdict, Option<u32>) {
        let left = grub.left.iter().find(|(s, _)| *s == slot.letter());
        let left = left.map(|(_, left)| u32::from(*left));
        let known = grub.order.contains(&slot.letter()) || grub.good == Some(slot.letter());
        match (self.firmware, entry.verdict(), left) {
            // It stands back for a release that sorts below it.
            (Firmware::Uefi, Verdict::Bad, None) if known => (Verdict::Good, None),
            (Firmware::Uefi, verdict, _) => (verdict, entry.left().filter(|left| *left > 0)),
            (Firmware::Bios, _, Some(0)) => (Verdict::Bad, None),
            (Firmware::Bios, _, Some(left)) => (Verdict::Trial, Some(left)),
            (Firmware::Bios, _, None) if known => (Verdict::Good, None),
            // GRUB's block was lost or not written yet.
            (Firmware::Bios, verdict, None) => (verdict, entry.left().filter(|left| *left > 0)),
        }
    }

    fn slot_state(&self, slot: Id, entry: &Entry, grub: &grub::State) -> SlotState {
        let (verdict, tries_left) = self.judge(slot, entry, grub);
        SlotState {
            slot,
            version: entry.version.clone(),
            verdict,
            tries_left,
        }
    }

    /// Whether what runs was given up: it has no tries, and the other one is preferred.
    fn is_rolled_back(&self, running: &SlotState, grub: &grub::State) -> bool {
        running.verdict == Verdict::Bad && grub.order.first() == Some(&self.other().letter())
    }

    /// What boots now and next.
    pub fn state(&self) -> Result<State, Error> {
        let pair = self.pair()?;
        let grub = self.grub();
        let running = self.slot_state(self.running, &pair.running, &grub);
        let other = pair.others.first();
        let other = other.map(|entry| self.slot_state(self.other(), entry, &grub));
        let good = |state: &SlotState| state.verdict == Verdict::Good;
        let next = self.takes(&pair, &grub);
        let last_good = [Some(&running), other.as_ref()]
            .into_iter()
            .flatten()
            .find(|state| good(state))
            .map(|state| state.slot);
        Ok(State {
            firmware: self.firmware,
            next,
            last_good,
            rolled_back: self.is_rolled_back(&running, &grub),
            running,
            other,
        })
    }

    /// Whether a UKI of `bytes` bytes could be installed, without changing anything.
    pub fn check(&self, bytes: u64) -> Result<(), Error> {
        let pair = self.pair()?;
        let grub = self.grub();
        let running = self.slot_state(self.running, &pair.running, &grub);
        if self.is_rolled_back(&running, &grub) {
            return Err(Error::RolledBack(self.version.to_string()));
        }
        if running.verdict != Verdict::Good {
            return Err(Error::Unproven(self.version.to_string()));
        }
        let stale = entries::stale(self.esp).during(|| "reading the ESP".to_owned())?;
        // Two names of one file free its bytes once.
        let removable = pair
            .others
            .iter()
            .filter_map(|entry| entry.name().map(|name| name.bytes));
        let removable: u64 = removable.chain(stale.iter().map(|(_, bytes)| *bytes)).sum();
        let free = self.esp.free().during(|| "reading the ESP".to_owned())?;
        self.room(free + removable, bytes)
    }

    /// Refuses a UKI that this machine's firmware would not start. It asks, and changes
    /// nothing.
    pub fn check_uki(&self, uki: &[u8]) -> Result<(), Error> {
        let Some(secure_boot) = self.secure_boot else {
            return Ok(());
        };
        let running = self.running_uki()?;
        Ok(secure_boot.check(uki, &running.unwrap_or_default())?)
    }

    fn room(&self, free: u64, bytes: u64) -> Result<(), Error> {
        let need = bytes + MARGIN;
        if free < need {
            return Err(Error::Full { free, need });
        }
        Ok(())
    }

    /// Makes the inactive slot unbootable and its room on the ESP free, for a UKI of
    /// `bytes` bytes. From here on the running release is the only one there is.
    pub fn prepare(&self, bytes: u64) -> Result<(), Error> {
        self.check(bytes)?;
        let pair = self.pair()?;
        // It may stand back for the release that goes now. First: that one is
        // still there, should the name that is changed get lost.
        self.bless(&pair.running)?;
        self.set_grub(&grub::State {
            order: vec![self.running.letter()],
            good: Some(self.running.letter()),
            left: Vec::new(),
        })?;
        for name in pair.others.iter().flat_map(|entry| &entry.files) {
            self.remove(&name.path())?;
        }
        let stale = entries::stale(self.esp).during(|| "reading the ESP".to_owned())?;
        for (path, _) in stale {
            self.remove(&path)?;
        }
        self.remove(&script_path(self.other()))?;
        let free = self.esp.free().during(|| "reading the ESP".to_owned())?;
        self.room(free, bytes)
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        self.esp
            .remove(path)
            .during(|| format!("removing {path} from the ESP"))
    }

    fn rename(&self, from: &str, to: &EntryName) -> Result<(), Error> {
        let to = format!("{FOLDER}/{to}");
        if from == to {
            return Ok(());
        }
        self.esp
            .rename(from, &to)
            .during(|| format!("renaming {from} on the ESP to {to}"))
    }

    /// The slot that the next boot takes.
    fn takes(&self, pair: &Pair, grub: &grub::State) -> Id {
        match (self.firmware, pair.others.first()) {
            (_, None) => self.running,
            (Firmware::Uefi, Some(entry)) => self.uefi_takes(&pair.running, entry),
            (Firmware::Bios, Some(_)) => self.bios_takes(grub),
        }
    }

    /// systemd-boot's choice: the newest with tries left, else the newest.
    fn uefi_takes(&self, running: &Entry, other: &Entry) -> Id {
        let exhausted = |entry: &Entry| entry.verdict() == Verdict::Bad;
        let order = exhausted(other)
            .cmp(&exhausted(running))
            .then(order::compare(&running.version, &other.version));
        if order.is_lt() {
            self.other()
        } else {
            self.running
        }
    }

    /// GRUB's choice: the first in order that has tries left, else the good one.
    fn bios_takes(&self, grub: &grub::State) -> Id {
        let left = |slot: &char| {
            grub.left
                .iter()
                .find(|(s, _)| s == slot)
                .map(|(_, left)| *left)
        };
        let first = grub
            .order
            .iter()
            .copied()
            .find(|slot| left(slot) != Some(0));
        if first.or(grub.good) == Some(self.other().letter()) {
            self.other()
        } else {
            self.running
        }
    }

    /// Takes the counter off an entry's name.
    fn bless(&self, entry: &Entry) -> Result<(), Error> {
        self.name(entry, None)
    }

    /// Leaves an entry no tries.
    fn condemn(&self, entry: &Entry) -> Result<(), Error> {
        let counters = entry.name().and_then(|name| name.entry.counters);
        let done = counters.map_or(0, |c| c.done);
        self.name(entry, Some(Counters { left: 0, done }))
    }

    /// Gives an entry a name, and this name alone.
    fn name(&self, entry: &Entry, counters: Option<Counters>) -> Result<(), Error> {
        let named = |counters| EntryName {
            version: entry.version.clone(),
            counters,
        };
        let Some(name) = entry.name() else {
            return Ok(());
        };
        if entry.files.len() == 1 {
            return self.rename(&name.path(), &named(counters));
        }
        // Two names of one file, from a rename that was cut: removing one frees what
        // the other needs. So a copy takes their place, bootable at each moment: by a
        // name that GRUB looks for, too.
        let free = |name: &EntryName| entry.files.iter().all(|file| file.entry != *name);
        let copies = (1..=TRIES).map(|left| {
            named(Some(Counters {
                left,
                done: TRIES - left,
            }))
        });
        let Some(copy) = copies.into_iter().find(free) else {
            return Ok(());
        };
        let path = name.path();
        let bytes = self.esp.read(&path).during(|| format!("reading {path}"))?;
        let temporary = format!("{FOLDER}/{copy}.tmp");
        self.write_new(&temporary, &bytes)?;
        self.rename(&temporary, &copy)?;
        for name in &entry.files {
            self.remove(&name.path())?;
        }
        self.rename(&format!("{FOLDER}/{copy}"), &named(counters))
    }

    /// Puts a release on trial in the inactive slot, which was prepared. Its slot of
    /// the disk must be complete: when this returns, or is cut, it may be booted.
    /// At most [`TRIES`] tries.
    pub fn install(&self, version: &Version, uki: &[u8], tries: u32) -> Result<(), Error> {
        let tries = tries.clamp(1, TRIES);
        let slot = self.other();
        let trial = EntryName {
            version: version.clone(),
            counters: Some(Counters {
                left: tries,
                done: 0,
            }),
        };
        let temporary = format!("{FOLDER}/{trial}.tmp");
        self.put_script(slot, version, uki)?;

        let pair = self.pair()?;
        let there = pair.others.iter().find(|e| same(&e.version, version));
        let complete = there
            .and_then(Entry::name)
            .is_some_and(|name| self.esp.read(&name.path()).is_ok_and(|bytes| bytes == uki));
        if !complete {
            for name in there.iter().flat_map(|entry| &entry.files) {
                self.remove(&name.path())?;
            }
            self.write_new(&temporary, uki)?;
            self.rename(&temporary, &trial)?;
        }
        self.set_grub(&grub::State {
            order: vec![slot.letter(), self.running.letter()],
            good: Some(self.running.letter()),
            left: vec![(slot.letter(), tries as u8)],
        })?;
        // Last: should a careless driver lose the name that is changed here, both
        // loaders have the new release already.
        if order::compare(version, &self.version).is_lt() {
            self.condemn(&pair.running)?;
        }
        Ok(())
    }

    /// Writes a file and compares what is on the medium.
    fn write_new(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        let what = || format!("writing {path} to the ESP");
        self.esp.create(path, bytes).during(what)?;
        if self.esp.read(path).during(what)? != bytes {
            self.remove(path)?;
            return Err(Error::ReadBack(path.to_owned()));
        }
        Ok(())
    }

    /// Writes what GRUB boots from a slot, if it is not there already.
    fn put_script(&self, slot: Id, version: &Version, uki: &[u8]) -> Result<(), Error> {
        let script = grub::Slot::from_uki(version, uki)?.script()?.into_bytes();
        let path = script_path(slot);
        if self.esp.read(&path).is_ok_and(|there| there == script) {
            return Ok(());
        }
        let temporary = format!("{path}.tmp");
        self.write_new(&temporary, &script)?;
        self.esp
            .rename(&temporary, &path)
            .during(|| format!("renaming {temporary} on the ESP"))
    }

    /// The running release's UKI as the ESP has it; none if it is not there.
    pub fn running_uki(&self) -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = self.running_name()?.map(|name| name.path()) else {
            return Ok(None);
        };
        let bytes = self.esp.read(&path).during(|| format!("reading {path}"))?;
        Ok(Some(bytes))
    }

    /// Its length in bytes.
    pub fn running_uki_length(&self) -> Result<Option<u64>, Error> {
        Ok(self.running_name()?.map(|name| name.bytes))
    }

    fn running_name(&self) -> Result<Option<Name>, Error> {
        match self.pair() {
            Ok(pair) => Ok(pair.running.name().cloned()),
            Err(Error::NoEntry(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts the UKI of the running release, which is good, back onto the ESP, and what
    /// GRUB needs to know of it. One that is there is damaged and goes.
    pub fn bring_back_uki(&self, uki: &[u8]) -> Result<(), Error> {
        self.check_uki(uki)?;
        // A name without counter would make it the first to boot again.
        if self.grub().left.contains(&(self.running.letter(), 0)) {
            return Err(Error::RolledBack(self.version.to_string()));
        }
        let name = EntryName {
            version: self.version.clone(),
            counters: None,
        };
        let temporary = format!("{FOLDER}/{name}.tmp");
        self.write_new(&temporary, uki)?;
        let damaged = self.pair().map(|pair| pair.running.files);
        self.rename(&temporary, &name)?;
        let damaged = damaged.unwrap_or_default().into_iter();
        for old in damaged.filter(|old| old.entry != name) {
            self.remove(&old.path())?;
        }
        self.put_script(self.running, &self.version, uki)
    }

    /// Brings the loaders' own files back, see [`loaders`]. `root` is `/`.
    pub fn bring_back_loaders(&self, root: &Path) -> Result<Vec<&'static str>, Error> {
        loaders::bring_back(self.esp, root)
    }

    /// Declares the running release good, and makes both loaders agree on both
    /// slots. A release on trial in the other slot stays on trial. Does nothing when
    /// nothing changed: it runs after every boot.
    ///
    /// A release that was rolled back from is refused unless `force` is given.
    pub fn mark_good(&self, force: bool) -> Result<(), Error> {
        let pair = self.pair()?;
        let grub = self.grub();
        let running = self.slot_state(self.running, &pair.running, &grub);
        if self.is_rolled_back(&running, &grub) && !force {
            return Err(Error::RolledBack(self.version.to_string()));
        }
        let (ours, theirs) = (self.running.letter(), self.other().letter());
        let other = pair.others.first();
        let judged = other.map(|entry| (entry, self.judge(self.other(), entry, &grub)));
        let mut state = grub::State {
            order: vec![ours, theirs],
            good: Some(ours),
            left: Vec::new(),
        };
        match judged {
            Some((_, (Verdict::Trial, left))) => {
                state.order = vec![theirs, ours];
                // Otherwise it may stand back, and has to go on with that.
                if running.verdict != Verdict::Good {
                    self.bless(&pair.running)?;
                }
                let left = left.map_or(1, |left| left.min(9) as u8);
                state.left = vec![(theirs, left)];
            }
            Some((entry, (Verdict::Bad, _))) => {
                self.condemn(entry)?;
                state.left = vec![(theirs, 0)];
                self.bless(&pair.running)?;
            }
            Some((entry, (Verdict::Good, _))) => {
                // A good release that somebody chose for one boot is not preferred
                // from then on.
                let chosen = running.verdict == Verdict::Good
                    && !grub.order.is_empty()
                    && self.takes(&pair, &grub) == self.other();
                let (first, second) = match chosen {
                    true => (entry, &pair.running),
                    false => (&pair.running, entry),
                };
                self.bless(first)?;
                if order::compare(&first.version, &second.version).is_lt() {
                    self.condemn(second)?;
                }
                if chosen {
                    state.order.reverse();
                }
            }
            None => {
                state.order = vec![ours];
                self.bless(&pair.running)?;
            }
        }
        if self.esp.read(&script_path(self.running)).is_err()
            && let Some(name) = self.pair()?.running.name()
        {
            let path = name.path();
            let uki = self.esp.read(&path).during(|| format!("reading {path}"))?;
            self.put_script(self.running, &self.version, &uki)?;
        }
        self.set_grub(&state)
    }

    /// Makes the other slot, which must be good, the one to boot, and leaves the
    /// running release no tries. Takes effect with the next boot.
    pub fn rollback(&self) -> Result<(), Error> {
        let pair = self.pair()?;
        let grub = self.grub();
        let nothing = || Error::NothingGood(self.other());
        let other = pair.others.first().ok_or_else(nothing)?;
        if self.judge(self.other(), other, &grub).0 != Verdict::Good {
            return Err(nothing());
        }
        let (ours, theirs) = (self.running.letter(), self.other().letter());
        self.bless(other)?;
        self.condemn(&pair.running)?;
        self.set_grub(&grub::State {
            order: vec![theirs, ours],
            good: Some(theirs),
            left: vec![(ours, 0)],
        })
    }
}

/// What GRUB boots from a slot.
fn script_path(slot: Id) -> String {
    format!("grub/{}.cfg", slot.letter())
}
