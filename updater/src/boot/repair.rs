//! Puts the ESP in order after a loss of power, before it is mounted.
//!
//! FAT has no journal, and nothing else checks this file system. What a cut leaves
//! does harm only later: of a rename two names of the same clusters, where removing
//! one frees what the other needs; a name that was made and has no clusters yet;
//! clusters that belong to nothing, until the ESP is full of them. So names of ours
//! that are in the way go, without their clusters, and then clusters that no file has
//! are free again. Both can be cut and done again.
//!
//! What makes no sense otherwise, and all that is not ours, is left as it is.

use std::io;

use super::entries::{self, has_suffix};
use crate::bls::FOLDER;
use crate::slots::Storage;

/// Bytes of an entry of a directory.
const SLOT: usize = 32;
const DELETED: u8 = 0xe5;
const LONG: u8 = 0x0f;
const LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
/// From here on a number in the table ends a chain; the one before marks a bad cluster.
const END: u32 = 0x0fff_fff8;
const NUMBER: u32 = 0x0fff_ffff;
/// Longest table that is read, in bytes: that of a file system of 16 GiB.
const MAX_TABLE: u64 = 16 << 20;
/// Deepest folder that is looked into.
const DEPTH: usize = 16;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Names that went.
    pub names: usize,
    /// Clusters that are free again.
    pub clusters: usize,
}

/// Repairs a FAT32 that nobody has mounted. Anything else is left alone.
pub fn repair(storage: &dyn Storage) -> io::Result<Repaired> {
    let mut done = Repaired::default();
    let Some(volume) = Volume::open(storage)? else {
        return Ok(done);
    };
    let Some(mut files) = volume.walk()? else {
        return Ok(done);
    };
    let litter = litter(&volume, &files);
    for at in litter.iter().flat_map(|n| &files[*n].slots) {
        storage.write_all_at(&[DELETED], *at)?;
    }
    if !litter.is_empty() {
        done.names = litter.len();
        storage.sync()?;
    }
    let mut number = 0..;
    files.retain(|_| number.next().is_none_or(|n| !litter.contains(&n)));
    done.clusters = volume.reclaim(&files)?;
    Ok(done)
}

/// A file or folder.
struct Item {
    /// Its folder, without `/` at either end.
    folder: String,
    /// Its long name, or else its short one.
    name: String,
    first: u32,
    size: u32,
    directory: bool,
    /// Bytes of the volume where its entries are.
    slots: Vec<u64>,
}

/// Names that are in the way: of `files`, which ones.
fn litter(volume: &Volume, files: &[Item]) -> Vec<usize> {
    let kernels = |item: &Item| item.folder.eq_ignore_ascii_case(FOLDER);
    let mut litter = Vec::new();
    for (number, item) in files.iter().enumerate().filter(|(_, f)| !f.directory) {
        let temporary = match kernels(item) {
            true => entries::is_temporary(&item.name),
            false => item.folder.eq_ignore_ascii_case("grub") && has_suffix(&item.name, ".tmp"),
        };
        // It never had its clusters, or has them no more: nothing can be started
        // from it, and they will belong to others.
        let empty = kernels(item) && is_ours(&item.name) && !volume.is_whole(item);
        if temporary || empty {
            litter.push(number);
        }
    }
    // Of several names for the same clusters one stays.
    let mut kept: Vec<&Item> = Vec::new();
    let ours = |item: &Item| kernels(item) && !item.directory && is_ours(&item.name);
    let numbers = 0..files.len();
    let mut left: Vec<usize> = numbers
        .filter(|n| ours(&files[*n]) && !litter.contains(n))
        .collect();
    left.sort_by_key(|n| entries::parse(&files[*n].name).map_or((3, 0), |e| entries::rank(&e)));
    for number in left {
        let item = &files[number];
        match kept.iter().any(|other| other.first == item.first) {
            true => litter.push(number),
            false => kept.push(item),
        }
    }
    litter
}

/// A kernel image's name, or what is left of one.
fn is_ours(name: &str) -> bool {
    entries::parse(name).is_some() || entries::is_short(name)
}

/// A FAT32, by Microsoft's specification 1.03. Places are bytes of the volume.
struct Volume<'s> {
    storage: &'s dyn Storage,
    tables: Vec<u64>,
    /// The first table: what follows each cluster.
    next: Vec<u32>,
    data: u64,
    cluster: u64,
    root: u32,
    /// The sector that says how many clusters are free.
    info: Option<u64>,
}

fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let bytes = bytes.get(at..at + len).unwrap_or_default();
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

impl<'s> Volume<'s> {
    fn open(storage: &'s dyn Storage) -> io::Result<Option<Self>> {
        let mut boot = [0; 512];
        storage.read_exact_at(&mut boot, 0)?;
        let (sector, per_cluster) = (number(&boot, 11, 2), number(&boot, 13, 1));
        let (reserved, count) = (number(&boot, 14, 2), number(&boot, 16, 1));
        let (total, len) = (number(&boot, 32, 4), number(&boot, 36, 4));
        let root = number(&boot, 44, 4) as u32;
        // The older kinds have these; here one table alone may be in use.
        let other = number(&boot, 17, 2) | number(&boot, 19, 2) | number(&boot, 22, 2);
        let single = number(&boot, 40, 2) & 0x80;
        let fat32 = number(&boot, 510, 2) == 0xaa55
            && [512, 1024, 2048, 4096].contains(&sector)
            && per_cluster.is_power_of_two()
            && reserved > 0
            && (1..=2).contains(&count)
            && (other | single) == 0;
        let start = (reserved + count * len) * sector;
        if !fat32 || len * sector > MAX_TABLE || total * sector <= start {
            return Ok(None);
        }
        let clusters = (total - start / sector) / per_cluster + 2;
        if clusters * 4 > len * sector || !(2..clusters).contains(&u64::from(root)) {
            return Ok(None);
        }
        let mut table = vec![0; clusters as usize * 4];
        storage.read_exact_at(&mut table, reserved * sector)?;
        let next = table.as_chunks::<4>().0.iter();
        let info = number(&boot, 48, 2);
        Ok(Some(Volume {
            storage,
            tables: (0..count).map(|n| (reserved + n * len) * sector).collect(),
            next: next.map(|e| u32::from_le_bytes(*e) & NUMBER).collect(),
            data: start,
            cluster: per_cluster * sector,
            root,
            info: (1..reserved).contains(&info).then_some(info * sector),
        }))
    }

    /// The clusters of a chain; none if it has no proper end.
    fn chain(&self, first: u32) -> Option<Vec<u32>> {
        let mut chain = Vec::new();
        let mut cluster = first;
        while cluster < END {
            let next = self.next.get(cluster as usize).filter(|_| cluster >= 2)?;
            if chain.len() == self.next.len() {
                return None;
            }
            chain.push(cluster);
            cluster = *next;
        }
        Some(chain)
    }

    /// Whether a file has clusters for all of its bytes, and some.
    fn is_whole(&self, file: &Item) -> bool {
        let chain = self.chain(file.first);
        let room = chain.map_or(0, |chain| chain.len() as u64 * self.cluster);
        file.size > 0 && u64::from(file.size) <= room
    }

    /// All files and folders. None if a folder makes no sense.
    fn walk(&self) -> io::Result<Option<Vec<Item>>> {
        let mut all = Vec::new();
        let mut folders = vec![(String::new(), self.root, 0)];
        let mut seen = Vec::new();
        while let Some((folder, first, depth)) = folders.pop() {
            let Some(chain) = self.chain(first).filter(|_| !seen.contains(&first)) else {
                return Ok(None);
            };
            if depth > DEPTH {
                return Ok(None);
            }
            seen.push(first);
            for item in self.list(&folder, &chain)? {
                if item.directory {
                    let path = format!("{folder}/{}", item.name);
                    let path = path.trim_start_matches('/').to_owned();
                    folders.push((path, item.first, depth + 1));
                }
                all.push(item);
            }
        }
        Ok(Some(all))
    }

    fn list(&self, folder: &str, chain: &[u32]) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut long = LongName::default();
        let mut bytes = vec![0; self.cluster as usize];
        for cluster in chain {
            let start = self.data + u64::from(cluster - 2) * self.cluster;
            self.storage.read_exact_at(&mut bytes, start)?;
            for (slot, at) in bytes
                .as_chunks::<SLOT>()
                .0
                .iter()
                .zip((start..).step_by(SLOT))
            {
                let attributes = slot[11];
                match slot[0] {
                    0 => return Ok(items),
                    DELETED => long = LongName::default(),
                    _ if attributes & 0x3f == LONG => long.add(slot, at),
                    _ if attributes & LABEL != 0 || slot[0] == b'.' => long = LongName::default(),
                    _ => {
                        let (name, mut slots) = std::mem::take(&mut long).finish(slot);
                        slots.push(at);
                        items.push(Item {
                            folder: folder.to_owned(),
                            name,
                            first: (number(slot, 20, 2) << 16 | number(slot, 26, 2)) as u32,
                            size: number(slot, 28, 4) as u32,
                            directory: attributes & DIRECTORY != 0,
                            slots,
                        });
                    }
                }
            }
        }
        Ok(items)
    }

    /// Frees clusters that none of `files` has. Nothing, if one of them is damaged.
    fn reclaim(&self, files: &[Item]) -> io::Result<usize> {
        let mut used = vec![false; self.next.len()];
        let firsts = files
            .iter()
            .map(|file| file.first)
            .filter(|first| *first != 0);
        for first in firsts.chain([self.root]) {
            let Some(chain) = self.chain(first) else {
                return Ok(0);
            };
            for cluster in chain {
                used[cluster as usize] = true;
            }
        }
        let lost: Vec<u64> = (2..self.next.len())
            .filter(|n| !used[*n] && self.next[*n] != 0 && self.next[*n] != END - 1)
            .map(|n| n as u64)
            .collect();
        if lost.is_empty() {
            return Ok(0);
        }
        if let Some(info) = self.info {
            // Not known: whoever wants to know counts.
            self.storage.write_all_at(&[0xff; 4], info + 488)?;
        }
        for table in &self.tables {
            for cluster in &lost {
                self.storage.write_all_at(&[0; 4], table + cluster * 4)?;
            }
        }
        self.storage.sync()?;
        Ok(lost.len())
    }
}

/// The parts of a long name, which come before the short one.
#[derive(Default)]
struct LongName {
    parts: Vec<(u8, u8, Vec<u16>)>,
    slots: Vec<u64>,
}

impl LongName {
    fn add(&mut self, slot: &[u8; SLOT], at: u64) {
        // The last part comes first, and says so.
        match slot[0] & 0x40 != 0 {
            true => *self = LongName::default(),
            false if self.parts.is_empty() => return,
            false => {}
        }
        let units = (1..11).chain(14..26).chain(28..32).step_by(2);
        let units = units.map(|at| number(slot, at, 2) as u16).collect();
        self.parts.push((slot[0] & 0x3f, slot[13], units));
        self.slots.push(at);
    }

    /// The name, and where its long parts are: if they belong to the short one.
    fn finish(self, slot: &[u8; SLOT]) -> (String, Vec<u64>) {
        let short = &slot[..11];
        let sum = short
            .iter()
            .fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let count = self.parts.len();
        let numbers = self.parts.iter().map(|part| usize::from(part.0));
        let whole = count > 0 && numbers.eq((1..=count).rev());
        if whole && self.parts.iter().all(|part| part.1 == sum) {
            let units = self.parts.iter().rev().flat_map(|part| &part.2);
            let units: Vec<u16> = units.copied().take_while(|unit| *unit != 0).collect();
            return (String::from_utf16_lossy(&units), self.slots);
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let (stem, suffix) = (text(&short[..8]), text(&short[8..]));
        let name = match suffix.is_empty() {
            true => stem,
            false => format!("{stem}.{suffix}"),
        };
        (name, Vec::new())
    }
}
