//! Finds the disk of `usrhash=`: asks for the modules of all devices, then follows the kernel's events.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::disk::{self, Disk};
use super::failure::{Failure, OrFail, RECORD_DISK};
use super::loader::Loader;
use super::log;
use super::uevent::{Listener, Next, Uevent};
use crate::cmdline::RootHash;
use crate::gpt::{Copy, Guid, types};
use crate::modules::ALWAYS;
use crate::slots::{self, Missing, Slot};

/// When the table is good and the kernel still has no partitions, how long it may take before we add them.
const KERNEL_SCAN: Duration = Duration::from_secs(3);

/// The disk and the slot to boot from.
#[derive(Debug)]
pub struct Found {
    /// The disk.
    pub disk: Disk,
    /// Number of the data partition.
    pub usr: u32,
    /// Number of the hash partition.
    pub verity: u32,
}

/// How long our disk may take to appear, once all paravirtual devices have their drivers, before we look for it elsewhere.
const HELD_BACK: Duration = Duration::from_millis(50);
/// Devices that only virtual machines have: where there is one, it is what the machine boots from, as a rule.
const PARAVIRTUAL: [&str; 3] = ["virtio", "xen", "vmbus"];

/// The modules of all devices, asked for in two steps: each module takes a while to link, and a machine that boots from
/// a paravirtual disk never needs those of its other controllers here.
#[derive(Debug)]
pub struct Coldplug<'a> {
    loader: &'a Loader,
    /// The modules of the first step, while the second is held back.
    first: Option<Vec<String>>,
    /// When the last of them was there.
    complete: Option<Instant>,
}

impl<'a> Coldplug<'a> {
    /// Asks for what paravirtual devices need, and for [`ALWAYS`]. Without such a device, asks for everything.
    pub fn start(loader: &'a Loader) -> Self {
        let first: Vec<String> = PARAVIRTUAL
            .iter()
            .flat_map(|bus| modaliases(&Path::new("/sys/bus").join(bus)))
            .flat_map(|alias| loader.request_for(&alias))
            .collect();
        ALWAYS.iter().for_each(|name| loader.request(name));
        let mut coldplug = Self {
            loader,
            first: Some(first),
            complete: None,
        };
        if coldplug.first.as_ref().is_some_and(Vec::is_empty) {
            coldplug.finish();
        }
        coldplug
    }

    /// Takes the second step when it is time; how long to wait for events before this is to be called again.
    fn proceed(&mut self) -> Option<Duration> {
        let first = self.first.as_ref()?;
        if self.loader.finished(first) {
            let since = self.complete.get_or_insert_with(Instant::now).elapsed();
            if since >= HELD_BACK {
                self.finish();
                return None;
            }
        }
        Some(HELD_BACK)
    }

    /// Asks for the modules of every device there is.
    pub fn finish(&mut self) {
        self.first = None;
        fs::read_dir("/sys/bus")
            .into_iter()
            .flatten()
            .flatten()
            .flat_map(|bus| modaliases(&bus.path()))
            .for_each(|alias| drop(self.loader.request_for(&alias)));
    }
}

/// The modaliases of all devices of a bus.
fn modaliases(bus: &Path) -> impl Iterator<Item = String> + use<> {
    fs::read_dir(bus.join("devices"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|device| fs::read_to_string(device.path().join("modalias")).ok())
        .map(|alias| alias.trim().to_owned())
        .filter(|alias| !alias.is_empty())
}

/// The modalias of the processor: what it needs are faster versions of checksums.
pub fn processor() -> String {
    fs::read_to_string("/sys/devices/system/cpu/modalias")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

struct Search<'a> {
    hash: RootHash,
    /// Only a disk with this partition counts (`root=PARTUUID=`).
    root: Option<Guid>,
    loader: &'a Loader,
    disks: BTreeMap<String, Disk>,
}

impl Search<'_> {
    fn look_at(&mut self, name: &str) {
        if let Some(disk) = Disk::open(name) {
            self.disks.insert(name.into(), disk);
        } else {
            self.disks.remove(name);
        }
    }

    fn look_at_all(&mut self) {
        disk::names().iter().for_each(|name| self.look_at(name));
    }

    fn handle(&mut self, event: &Uevent) {
        if let Some(modalias) = event.get("MODALIAS") {
            drop(self.loader.request_for(modalias));
        }
        let (Some("block"), Some(kind), Some(name)) = (
            event.get("SUBSYSTEM"),
            event.get("DEVTYPE"),
            event.get("DEVNAME"),
        ) else {
            return;
        };
        match (event.get("ACTION"), kind) {
            (Some("remove"), "disk") => {
                self.disks.remove(name);
            }
            (Some("add" | "change"), "disk") if disk::names().iter().any(|known| known == name) => {
                self.look_at(name)
            }
            _ => {}
        }
    }

    fn candidates(&self) -> Vec<&Disk> {
        self.disks
            .values()
            .filter(|disk| {
                self.root
                    .is_none_or(|root| disk.table.by_guid(root).is_some())
            })
            .collect()
    }

    fn slot(&self) -> Result<Slot, Missing> {
        slots::find(
            self.candidates().into_iter().map(|disk| &disk.table),
            self.hash,
        )
    }

    fn take(mut self, slot: Slot) -> Option<Found> {
        let name = self.candidates().get(slot.disk)?.name.clone();
        let disk = self.disks.remove(&name)?;
        Some(Found {
            disk,
            usr: slot.usr,
            verity: slot.verity,
        })
    }

    /// The only disk with partitions for /usr: a failure to find the right one can be recorded there.
    fn recordable(&self) -> Option<String> {
        let mut ours = self
            .disks
            .values()
            .filter(|disk| disk.table.by_type(types::USR).next().is_some());
        let disk = ours.next().filter(|disk| disk.has_record_area())?;
        ours.next().is_none().then(|| disk.path())
    }

    fn failure(&self, missing: &Missing, waited: Duration) -> Failure {
        let recordable = self.recordable();
        if let Ok(mut disk) = RECORD_DISK.lock() {
            *disk = recordable;
        }
        let candidates = self.candidates();
        let name = |at: usize| candidates.get(at).map_or("?", |disk| disk.name.as_str());
        let seen: Vec<&str> = self.disks.keys().map(String::as_str).collect();
        match missing {
            Missing::Nowhere { usr } if seen.is_empty() => Failure::new(
                format!(
                    "no disk with a partition table appeared in {} s (looking for PARTUUID {usr})",
                    waited.as_secs()
                ),
                "attach the disk, or use a controller whose driver is in the initrd",
            ),
            Missing::Nowhere { usr } => Failure::new(
                format!(
                    "no usr partition {usr} on {} after {} s",
                    seen.join(", "),
                    waited.as_secs()
                ),
                "the kernel and /usr do not belong together: boot the other slot or write the image again",
            ),
            Missing::NoVerity { disk, verity } => Failure::new(
                format!(
                    "{} has the usr partition but not usr-verity {verity}",
                    name(*disk)
                ),
                "boot the other slot or write the image again",
            ),
            Missing::TwoDisks(a, b) => Failure::new(
                format!(
                    "both {} and {} hold the /usr of usrhash=",
                    name(*a),
                    name(*b)
                ),
                "detach the copy, or name the right disk's root partition with root=PARTUUID=",
            ),
        }
    }
}

/// Makes sure, before anything is written, that no disk which came after `found` holds the same slot.
pub fn confirm(
    found: &Found,
    loader: &Loader,
    hash: RootHash,
    root: Option<Guid>,
) -> Result<(), Failure> {
    let mut search = Search {
        hash,
        root,
        loader,
        disks: BTreeMap::new(),
    };
    search.look_at_all();
    match search.slot() {
        Err(missing @ Missing::TwoDisks(..)) => Err(search.failure(&missing, Duration::ZERO)),
        Ok(slot)
            if search
                .candidates()
                .get(slot.disk)
                .is_some_and(|disk| disk.name == found.disk.name) =>
        {
            Ok(())
        }
        Ok(_) | Err(_) => Err(Failure::new(
            format!("{} changed while it was set up", found.disk.name),
            "boot again",
        )),
    }
}

/// Waits for the disk that holds the slot of `hash`, at most `limit`.
pub fn find(
    listener: &Listener,
    mut coldplug: Coldplug<'_>,
    hash: RootHash,
    root: Option<Guid>,
    limit: Duration,
) -> Result<Found, Failure> {
    let began = Instant::now();
    let mut search = Search {
        hash,
        root,
        loader: coldplug.loader,
        disks: BTreeMap::new(),
    };
    search.look_at_all();
    let mut complete_since = None;
    loop {
        let waited = began.elapsed();
        let mut patience = limit.saturating_sub(waited);
        match search.slot() {
            Ok(slot) => {
                let disk = search.candidates()[slot.disk];
                let known = [slot.usr, slot.verity]
                    .iter()
                    .all(|number| disk.partition_path(*number).is_some());
                let since = complete_since.get_or_insert_with(Instant::now).elapsed();
                if !known && (disk.copy == Copy::Backup || since >= KERNEL_SCAN) {
                    disk.announce_partitions()?;
                } else if !known {
                    patience = patience.min(KERNEL_SCAN - since);
                }
                if [slot.usr, slot.verity]
                    .iter()
                    .all(|number| disk.partition_path(*number).is_some())
                {
                    if slot.repeated {
                        log::warning(&format!(
                            "{} holds this /usr twice; using the first",
                            disk.name
                        ));
                    }
                    return search
                        .take(slot)
                        .ok_or_else(|| Failure::new("the disk went away", "attach it again"));
                }
            }
            Err(missing @ Missing::TwoDisks(..)) => return Err(search.failure(&missing, waited)),
            Err(missing) if waited >= limit => return Err(search.failure(&missing, waited)),
            Err(_) => {}
        }
        if waited >= limit {
            return Err(Failure::new(
                format!(
                    "the kernel shows no partitions of our disk after {} s",
                    waited.as_secs()
                ),
                "boot the other slot or write the image again",
            ));
        }
        if let Some(soon) = coldplug.proceed() {
            patience = patience.min(soon);
        }
        match listener
            .next(patience)
            .or_fail("device events", "build the image again")?
        {
            Next::Event(event) => search.handle(&event),
            Next::Lost => {
                coldplug.finish();
                search.look_at_all();
            }
            Next::Quiet => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline::Cmdline;
    use crate::modules::Index;

    fn disk(name: &str, partitions: &[(Guid, Guid)]) -> Disk {
        Disk {
            name: name.into(),
            sectors: 1 << 20,
            table: slots::tests::disk(partitions),
            copy: Copy::Primary,
        }
    }

    fn cause(disks: Vec<Disk>, root: Option<Guid>) -> (Option<String>, Option<String>) {
        let loader = Loader::start(Index::default(), Cmdline::default());
        let disks = disks
            .into_iter()
            .map(|disk| (disk.name.clone(), disk))
            .collect();
        let search = Search {
            hash: RootHash([0x11; 32]),
            root,
            loader: &loader,
            disks,
        };
        let cause = search
            .slot()
            .err()
            .map(|missing| search.failure(&missing, Duration::from_secs(90)).cause);
        (cause, search.recordable())
    }

    #[test]
    fn each_failure_says_what_is_missing() {
        let guid = Guid::from_bytes([0x11; 16]);
        let other = Guid::from_random([2; 16]);
        let good = |name| {
            disk(
                name,
                &[
                    (types::USR, guid),
                    (types::USR_VERITY, guid),
                    (types::ROOT, other),
                ],
            )
        };
        let (found, record) = cause(vec![], None);
        assert!(
            found
                .unwrap()
                .starts_with("no disk with a partition table appeared in 90 s")
        );
        assert_eq!(record, None);
        let (found, record) = cause(
            vec![
                disk("sda", &[(types::USR, other)]),
                disk("sdb", &[(types::ESP, guid)]),
            ],
            None,
        );
        assert_eq!(
            found.unwrap(),
            format!("no usr partition {guid} on sda, sdb after 90 s")
        );
        assert_eq!(record.unwrap(), "/dev/sda");
        let (found, _) = cause(vec![disk("sda", &[(types::USR, guid)])], None);
        assert_eq!(
            found.unwrap(),
            format!("sda has the usr partition but not usr-verity {guid}")
        );
        let (found, record) = cause(vec![good("vda"), good("vdb")], None);
        assert_eq!(found.unwrap(), "both vda and vdb hold the /usr of usrhash=");
        assert_eq!(record, None);
        let copy = disk("vdb", &[(types::USR, guid), (types::USR_VERITY, guid)]);
        assert_eq!(
            cause(vec![good("vda"), copy], Some(other)).0,
            None,
            "root=PARTUUID= tells them apart"
        );
    }
}
