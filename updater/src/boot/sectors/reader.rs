//! Reads a FAT32 as firmware and GRUB do: from the first table, taking what makes
//! sense.

use std::collections::BTreeMap;

use super::volume::{SECTOR, Volume};
use crate::boot::testing::Fat;

/// Bytes of an entry of a directory.
pub(super) const SLOT: usize = 32;
/// Attributes of a part of a long name, and of a directory.
pub(super) const LONG: u8 = 0x0f;
pub(super) const DIRECTORY: u8 = 0x10;
const LABEL: u8 = 0x08;
pub(super) const DELETED: u8 = 0xe5;
/// From here on a number in the table ends a chain.
const END: u32 = 0x0fff_fff8;

/// Sector, and byte in it.
pub(super) type Place = (u64, usize);

/// Where things are, in sectors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub per_cluster: u64,
    /// First sectors of both tables.
    pub tables: [u64; 2],
    data: u64,
    pub root: u32,
    /// One more than the last cluster's number.
    pub end: u32,
}

/// A file or directory.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub name: String,
    pub short: [u8; 11],
    pub first: u32,
    pub size: u32,
    pub directory: bool,
    /// Its entries, that with the short name last.
    pub slots: Vec<Place>,
}

impl Layout {
    pub fn of(volume: &Volume) -> Layout {
        let boot = volume.get(0);
        let number = |at: usize, len: usize| {
            let bytes = boot[at..at + len].iter().rev();
            bytes.fold(0u64, |n, byte| n << 8 | u64::from(*byte))
        };
        assert_eq!((number(11, 2), number(16, 1)), (SECTOR as u64, 2));
        let (first, len) = (number(14, 2), number(36, 4));
        let data = first + 2 * len;
        Layout {
            per_cluster: number(13, 1),
            tables: [first, first + len],
            data,
            root: number(44, 4) as u32,
            end: 2 + ((number(32, 4) - data) / number(13, 1)) as u32,
        }
    }

    /// A cluster's first sector.
    pub fn sector(&self, cluster: u32) -> u64 {
        self.data + u64::from(cluster - 2) * self.per_cluster
    }

    /// Where a cluster's number is in a table.
    pub fn entry(&self, table: usize, cluster: u32) -> Place {
        let at = u64::from(cluster) * 4;
        (
            self.tables[table] + at / SECTOR as u64,
            (at % SECTOR as u64) as usize,
        )
    }

    /// What the first table says about a cluster.
    pub fn next(&self, volume: &Volume, cluster: u32) -> u32 {
        let (sector, at) = self.entry(0, cluster);
        let bytes = volume.get(sector);
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) & 0x0fff_ffff
    }

    /// The clusters of a chain. None if it does not end as it should.
    pub fn chain(&self, volume: &Volume, first: u32) -> Option<Vec<u32>> {
        let mut chain = Vec::new();
        let mut cluster = first;
        while cluster < END {
            if cluster < 2 || cluster >= self.end || chain.contains(&cluster) {
                return None;
            }
            chain.push(cluster);
            cluster = self.next(volume, cluster);
        }
        Some(chain)
    }

    /// All entries of a directory that could be.
    pub fn slots(&self, volume: &Volume, first: u32) -> Vec<Place> {
        let clusters = self.chain(volume, first).unwrap();
        let sectors = clusters
            .iter()
            .flat_map(|c| (0..self.per_cluster).map(|n| self.sector(*c) + n));
        sectors
            .flat_map(|s| (0..SECTOR).step_by(SLOT).map(move |at| (s, at)))
            .collect()
    }

    /// What is in a directory.
    pub fn list(&self, volume: &Volume, first: u32) -> Vec<Found> {
        let mut found = Vec::new();
        let mut long: Vec<(u8, u8, Vec<u16>, Place)> = Vec::new();
        let mut last = (0, volume.get(0));
        for (sector, at) in self.slots(volume, first) {
            if sector != last.0 {
                last = (sector, volume.get(sector));
            }
            let slot = &last.1[at..at + SLOT];
            match (slot[0], slot[11]) {
                (0, _) => break,
                (DELETED, _) => long.clear(),
                (number, LONG) => {
                    let units = [1..11, 14..26, 28..32].into_iter().flat_map(|r| {
                        let pairs = slot[r].as_chunks::<2>().0;
                        pairs.iter().map(|pair| u16::from_le_bytes(*pair))
                    });
                    if number & 0x40 != 0 {
                        long.clear();
                    }
                    // The last part comes first.
                    if number & 0x40 == 0 && long.is_empty() {
                        continue;
                    }
                    long.push((number & 0x3f, slot[13], units.collect(), (sector, at)));
                }
                (_, attributes) if attributes & LABEL != 0 => long.clear(),
                (_, attributes) => {
                    let short: [u8; 11] = slot[..11].try_into().unwrap();
                    let mut slots: Vec<Place> = long.iter().map(|l| l.3).collect();
                    let name = long_name(&long, &short).unwrap_or_else(|| {
                        slots.clear();
                        short_name(&short)
                    });
                    slots.push((sector, at));
                    let word = |at: usize| u32::from(u16::from_le_bytes([slot[at], slot[at + 1]]));
                    found.push(Found {
                        name,
                        short,
                        first: word(20) << 16 | word(26),
                        size: word(30) << 16 | word(28),
                        directory: attributes & DIRECTORY != 0,
                        slots,
                    });
                    long.clear();
                }
            }
        }
        found
    }

    /// A file's bytes. None if its chain is broken.
    pub fn read(&self, volume: &Volume, file: &Found) -> Option<Vec<u8>> {
        if file.size == 0 {
            return Some(Vec::new());
        }
        let chain = self.chain(volume, file.first)?;
        let sectors = chain
            .iter()
            .flat_map(|c| (0..self.per_cluster).map(|n| self.sector(*c) + n));
        let mut bytes: Vec<u8> = sectors.flat_map(|s| volume.get(s)).collect();
        if bytes.len() < file.size as usize {
            return None;
        }
        bytes.truncate(file.size as usize);
        Some(bytes)
    }

    /// Finds an entry by its path; capital letters are the same.
    pub fn find(&self, volume: &Volume, path: &str) -> Option<Found> {
        let mut first = self.root;
        let mut found = None;
        for part in path.split('/') {
            let entry = self
                .list(volume, first)
                .into_iter()
                .find(|f| f.name.eq_ignore_ascii_case(part))?;
            first = entry.first;
            found = Some(entry);
        }
        found
    }

    /// Whether a name belongs to clusters that nothing else has, and all is in order.
    pub fn shared(&self, volume: &Volume) -> bool {
        let mut owners: BTreeMap<u32, u32> = BTreeMap::new();
        for folder in ["EFI/Linux", "grub"] {
            let first = self.find(volume, folder).unwrap().first;
            for file in self.list(volume, first).iter().filter(|f| f.size > 0) {
                for cluster in self.chain(volume, file.first).unwrap_or_default() {
                    *owners.entry(cluster).or_default() += 1;
                }
            }
        }
        owners.values().any(|count| *count > 1)
    }

    /// The files that loaders look at, with what they can read of them.
    pub fn snapshot(&self, volume: &Volume) -> Fat {
        let mut fat = Fat::default();
        for folder in ["EFI/Linux", "grub"] {
            let first = self.find(volume, folder).unwrap().first;
            for file in self.list(volume, first) {
                if !file.directory
                    && let Some(bytes) = self.read(volume, &file)
                {
                    fat.put(&format!("{folder}/{}", file.name), &bytes);
                }
            }
        }
        fat
    }
}

pub(super) fn checksum(short: &[u8; 11]) -> u8 {
    short
        .iter()
        .fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// The long name, if all of its parts are there and belong to this short one.
fn long_name(parts: &[(u8, u8, Vec<u16>, Place)], short: &[u8; 11]) -> Option<String> {
    let count = parts.len();
    let numbers = parts.iter().map(|p| usize::from(p.0));
    let whole = count > 0 && numbers.eq((1..=count).rev());
    if !whole || parts.iter().any(|p| p.1 != checksum(short)) {
        return None;
    }
    let units = parts.iter().rev().flat_map(|p| p.2.iter().copied());
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16(&units).ok()
}

fn short_name(short: &[u8; 11]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (stem, suffix) = (text(&short[..8]), text(&short[8..]));
    match suffix.is_empty() {
        true => stem,
        false => format!("{stem}.{suffix}"),
    }
}
