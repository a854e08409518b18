//! The partition table in memory and on the disk.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use init::cmdline::RootHash;
use init::gpt::{self, Attributes, Copy, Guid, Partition, Table, types};
use sha2::{Digest, Sha256};

use super::device::Machine;
use super::storage::Cursor;
use super::{Area, Content, EMPTY, Error, Id, Part, Slot, Storage};
use crate::version::Version;

/// A disk with two slots, one of which is running.
#[derive(Clone)]
pub struct Disk {
    name: String,
    storage: Arc<dyn Storage>,
    /// The kernel's partitions; none for an image in a file.
    machine: Option<Machine>,
    table: Table,
    damage: Option<gpt::Error>,
    slots: [Slot; 2],
    running: Id,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk")
            .field("name", &self.name)
            .field("running", &self.running)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

impl Disk {
    /// The disk that /usr of this machine is on. `root` is `/`.
    pub fn of_machine(root: &Path, booted: RootHash) -> Result<Self, Error> {
        let machine = Machine::find(root)?;
        let node = machine.node();
        let file = File::options().read(true).write(true).open(&node);
        let file = file.map_err(|source| Error::Io {
            what: format!("opening {}", node.display()),
            source,
        })?;
        let mut disk = Self::open(
            &machine.disk,
            Arc::new(file),
            machine.sector_size,
            machine.bytes,
            booted,
        )?;
        let running = disk.slot(disk.running).clone();
        for part in [&running.usr, &running.verity] {
            if !machine.in_use.contains(&part.number) {
                return Err(Error::NotRunning {
                    disk: disk.name,
                    hash: booted,
                });
            }
        }
        disk.machine = Some(machine);
        Ok(disk)
    }

    /// An image in a plain file with 512-byte sectors.
    pub fn of_image(path: &Path, booted: RootHash) -> Result<Self, Error> {
        let name = path.display().to_string();
        let io = |source| Error::Io {
            what: format!("opening {name}"),
            source,
        };
        let file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.file_type().is_block_device() {
            return Err(io(io::Error::other("a block device is not an image file")));
        }
        Self::open(&name, Arc::new(file), 512, metadata.len(), booted)
    }

    /// A storage of `bytes` bytes. `booted` is the root hash of the running /usr.
    pub fn open(
        name: &str,
        storage: Arc<dyn Storage>,
        sector_size: u32,
        bytes: u64,
        booted: RootHash,
    ) -> Result<Self, Error> {
        let name = name.to_owned();
        let table = |source| Error::Table {
            disk: name.clone(),
            source,
        };
        if bytes < u64::from(sector_size) * 8 {
            return Err(table(gpt::Error::TooSmall));
        }
        let mut mbr = [0; 512];
        storage
            .read_exact_at(&mut mbr, 0)
            .map_err(|source| Error::Io {
                what: format!("reading {name}"),
                source,
            })?;
        if !is_protective(&mbr) {
            return Err(Error::Hybrid(name));
        }
        let mut cursor = Cursor::new(storage.as_ref());
        let loaded =
            gpt::load(&mut cursor, sector_size, bytes / u64::from(sector_size)).map_err(table)?;
        let (slots, running) = identify(&name, &loaded.table, booted)?;
        Ok(Disk {
            damage: loaded.damage.filter(|_| loaded.copy == Copy::Backup),
            name,
            storage,
            machine: None,
            table: loaded.table,
            slots,
            running,
        })
    }

    /// Name for messages: the kernel's, or the path of the image.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why the primary copy of the table was not used, if it was not. The next
    /// change writes both copies anew.
    pub fn damage(&self) -> Option<&gpt::Error> {
        self.damage.as_ref()
    }

    /// A slot.
    pub fn slot(&self, id: Id) -> &Slot {
        match id {
            Id::A => &self.slots[0],
            Id::B => &self.slots[1],
        }
    }

    /// The slot that is running.
    pub fn running(&self) -> Id {
        self.running
    }

    /// The slot that is not: the only one that is ever changed.
    pub fn inactive(&self) -> &Slot {
        self.slot(self.running.other())
    }

    /// The running release, if the running slot is named after one.
    pub fn running_release(&self) -> Option<(Version, RootHash)> {
        match self.slot(self.running).content() {
            Content::Release(version, hash) => Some((version, hash)),
            Content::Empty | Content::Unknown(_) => None,
        }
    }

    /// The EFI system partition: the first there is.
    pub fn esp(&self) -> Option<&Partition> {
        self.table.by_type(types::ESP).next()
    }

    /// The root partition: of a machine the one that is mounted as `/`, of an image the
    /// first of that type.
    pub fn root(&self) -> Result<&Partition, Error> {
        for partition in self.table.by_type(types::ROOT) {
            let Some(machine) = &self.machine else {
                return Ok(partition);
            };
            if machine.is_mounted(partition.number, "/")? {
                return Ok(partition);
            }
        }
        Err(Error::NoRoot(self.name.clone()))
    }

    /// Gives the root partition another name, which tells `init` what to do with it.
    pub fn name_root(&mut self, name: &str) -> Result<(), Error> {
        let number = self.root()?.number;
        let mut table = self.table.clone();
        for partition in &mut table.partitions {
            if partition.number == number {
                partition.name = name.to_owned();
            }
        }
        self.write(&table)?;
        self.table = table;
        self.damage = None;
        Ok(())
    }

    /// The machine the disk belongs to; none for an image.
    pub fn machine(&self) -> Option<&Machine> {
        self.machine.as_ref()
    }

    /// Refuses a release that does not fit, or that has the running one's name or
    /// content. Sizes in bytes.
    pub fn check(
        &self,
        version: &Version,
        root_hash: RootHash,
        usr: u64,
        verity: u64,
    ) -> Result<(), Error> {
        let slot = self.inactive();
        for (part, need) in [(&slot.usr, usr), (&slot.verity, verity)] {
            if need > part.len {
                return Err(Error::TooSmall {
                    disk: self.name.clone(),
                    number: part.number,
                    have: part.len,
                    need,
                });
            }
        }
        match self.running_release() {
            // FAT does not tell upper from lower case: file names would be the same.
            Some((running, hash))
                if hash == root_hash || running.as_str().eq_ignore_ascii_case(version.as_str()) =>
            {
                Err(Error::Same(running.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// A partition of the inactive slot for writing. On a machine nothing else can
    /// have it open at the same time, neither as a file system nor below another
    /// device.
    pub fn area(&self, part: &Part) -> Result<Area, Error> {
        let Some(machine) = &self.machine else {
            return Ok(Area::new(self.storage.clone(), part.start, part.len));
        };
        let file = machine.open_partition(part.number, part.start, part.len)?;
        Ok(Area::new(Arc::new(file), 0, part.len))
    }

    /// A partition of the running slot, for reading only. What is read is not verified.
    pub fn running_area(&self, part: &Part) -> Result<Area, Error> {
        let Some(machine) = &self.machine else {
            return Ok(Area::new(self.storage.clone(), part.start, part.len));
        };
        let node = machine.partition_node(part.number)?;
        let file = File::open(&node).map_err(|source| Error::Io {
            what: format!("opening {}", node.display()),
            source,
        })?;
        Ok(Area::new(Arc::new(file), 0, part.len))
    }

    /// Marks the inactive slot as empty: no root hash finds it any more.
    pub fn mark_empty(&mut self) -> Result<(), Error> {
        let disk = self.table.disk_guid;
        // Derived, so that doing it again changes nothing.
        let guid = |number: u32| {
            let hash = Sha256::new()
                .chain_update(b"holdfast empty partition\0")
                .chain_update(disk.as_bytes())
                .chain_update(number.to_le_bytes())
                .finalize();
            Guid::from_random(std::array::from_fn(|at| hash[at]))
        };
        let slot = self.inactive();
        let guids = (guid(slot.usr.number), guid(slot.verity.number));
        self.rename(EMPTY, guids, true)
    }

    /// Names the inactive slot after the release that was written into it.
    pub fn mark_release(&mut self, version: &Version, root_hash: RootHash) -> Result<(), Error> {
        self.rename(
            &version.partition_name(),
            root_hash.partition_guids(),
            false,
        )
    }

    fn rename(&mut self, name: &str, guids: (Guid, Guid), empty: bool) -> Result<(), Error> {
        let slot = self.inactive();
        let changes = HashMap::from([(slot.usr.number, guids.0), (slot.verity.number, guids.1)]);
        let mut table = self.table.clone();
        for partition in &mut table.partitions {
            if let Some(guid) = changes.get(&partition.number) {
                partition.guid = *guid;
                partition.name = name.to_owned();
                // An empty slot is no business of automatic mounting.
                let no_auto = Attributes::NO_AUTO.0;
                let bits = partition.attributes.0;
                partition.attributes = Attributes(if empty {
                    bits | no_auto
                } else {
                    bits & !no_auto
                });
            }
        }
        let booted = self.slot(self.running).root_hash();
        let (slots, running) = identify(&self.name, &table, booted)?;
        self.write(&table)?;
        (self.table, self.slots, self.running) = (table, slots, running);
        self.damage = None;
        Ok(())
    }

    /// Writes what differs from the disk: backup, then primary.
    fn write(&self, table: &Table) -> Result<(), Error> {
        let encoded = table.encode().map_err(|source| Error::Table {
            disk: self.name.clone(),
            source,
        })?;
        let io = |source| Error::Io {
            what: format!("writing the partition table of {}", self.name),
            source,
        };
        for (bytes, at) in [
            (&encoded.backup, encoded.backup_offset),
            (&encoded.primary, encoded.primary_offset),
        ] {
            if self.holds(bytes, at).map_err(io)? {
                continue;
            }
            self.storage.write_all_at(bytes, at).map_err(io)?;
            self.storage.sync().map_err(io)?;
            self.storage.forget().map_err(io)?;
            if !self.holds(bytes, at).map_err(io)? {
                return Err(Error::ReadBack(self.name.clone()));
            }
        }
        Ok(())
    }

    fn holds(&self, bytes: &[u8], at: u64) -> io::Result<bool> {
        let mut there = vec![0; bytes.len()];
        self.storage.read_exact_at(&mut there, at)?;
        Ok(there == bytes)
    }
}

/// Whether the MBR says nothing but that this is a GPT disk.
fn is_protective(mbr: &[u8; 512]) -> bool {
    let kinds: Vec<u8> = (0..4)
        .map(|entry| mbr[446 + 16 * entry + 4])
        .filter(|kind| *kind != 0)
        .collect();
    mbr[510..] == [0x55, 0xaa] && kinds == [0xee]
}

/// Finds the slots and which of them is running.
fn identify(disk: &str, table: &Table, booted: RootHash) -> Result<([Slot; 2], Id), Error> {
    let mut seen: HashMap<Guid, u32> = HashMap::new();
    for partition in &table.partitions {
        if let Some(first) = seen.insert(partition.guid, partition.number) {
            return Err(Error::Duplicate(disk.to_owned(), first, partition.number));
        }
    }
    let sector = u64::from(table.sector_size);
    let parts = |type_guid: Guid| {
        let mut parts: Vec<Part> = table
            .by_type(type_guid)
            .map(|p| Part {
                number: p.number,
                guid: p.guid,
                name: p.name.clone(),
                start: p.first_lba * sector,
                len: p.sectors() * sector,
            })
            .collect();
        parts.sort_by_key(|part| part.start);
        parts
    };
    let (usr, verity) = (parts(types::USR), parts(types::USR_VERITY));
    let (Ok([usr_a, usr_b]), Ok([verity_a, verity_b])) = (
        <[Part; 2]>::try_from(usr.clone()),
        <[Part; 2]>::try_from(verity.clone()),
    ) else {
        return Err(Error::Missing {
            disk: disk.to_owned(),
            usr: usr.len(),
            verity: verity.len(),
        });
    };
    let slots = [(Id::A, usr_a, verity_a), (Id::B, usr_b, verity_b)]
        .map(|(id, usr, verity)| Slot { id, usr, verity });
    let running = slots.iter().find(|slot| slot.root_hash() == booted);
    let running = running.map(|slot| slot.id).ok_or(Error::NotRunning {
        disk: disk.to_owned(),
        hash: booted,
    })?;
    Ok((slots, running))
}
