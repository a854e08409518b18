//! FAT12, FAT16 and FAT32 with VFAT long names (Microsoft's "FAT: General
//! Overview of On-Disk Format", 1.03), read only.

use super::{Entry, MAX_ENTRIES, MediaError, Place, le, read_exact, read_some};
use std::io::{self, Read, Seek};

const ENTRY: usize = 32;
const ATTR_VOLUME: u8 = 0x08;
const ATTR_DIRECTORY: u8 = 0x10;
const ATTR_LONG_NAME: u8 = 0x0f;
/// Pieces a long name may have: 20 of 13 characters.
const MAX_PIECES: u8 = 20;
/// The FAT specification limits a directory to 65536 entries.
const MAX_DIRECTORY: u64 = 65_536 * ENTRY as u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// An open FAT volume.
#[derive(Debug)]
pub struct Fat<R> {
    device: R,
    label: String,
    width: Width,
    /// Bytes per cluster.
    cluster: u64,
    /// Byte offset of the first FAT.
    table: u64,
    /// Byte offset and length of the fixed root directory; FAT32 has none.
    fixed_root: (u64, u64),
    /// First cluster of FAT32's root directory.
    root_cluster: u32,
    /// Byte offset of cluster 2.
    data: u64,
    /// Number of data clusters.
    clusters: u32,
}

fn boot_sector<R: Read + Seek>(device: &mut R) -> io::Result<Option<[u8; 512]>> {
    let mut sector = [0; 512];
    let n = read_some(device, 0, &mut sector)?;
    Ok((n == sector.len() && sector[510..] == [0x55, 0xaa]).then_some(sector))
}

/// Whether the boot sector has a plausible BIOS parameter block.
pub(super) fn recognised<R: Read + Seek>(device: &mut R) -> io::Result<bool> {
    let Some(s) = boot_sector(device)? else {
        return Ok(false);
    };
    let sector_size = le(&s, 11, 2);
    Ok(matches!(sector_size, 512 | 1024 | 2048 | 4096)
        && s[13].is_power_of_two()
        && le(&s, 14, 2) != 0
        && (1..=2).contains(&s[16])
        && (s[21] >= 0xf8 || s[21] == 0xf0)
        && (le(&s, 22, 2) != 0 || le(&s, 36, 4) != 0))
}

impl<R: Read + Seek> Fat<R> {
    /// Opens the volume on `device`.
    ///
    /// # Errors
    /// A device that fails or a parameter block that makes no sense.
    pub fn open(mut device: R) -> Result<Self, MediaError> {
        let damaged = |why| MediaError::Damaged("FAT", why);
        let s = boot_sector(&mut device)?.ok_or(damaged("no boot signature"))?;
        let sector = u64::from(le(&s, 11, 2));
        let cluster = sector * u64::from(s[13]);
        if sector < 512 || cluster == 0 {
            return Err(damaged("its sector or cluster size is zero"));
        }
        let either = |short: u32, long: u32| u64::from(if short != 0 { short } else { long });
        let table = u64::from(le(&s, 14, 2)) * sector;
        let table_len = either(le(&s, 22, 2), le(&s, 36, 4)) * sector;
        let root_at = table + table_len * u64::from(s[16]);
        let root_len = (u64::from(le(&s, 17, 2)) * ENTRY as u64).next_multiple_of(sector);
        let data = root_at + root_len;
        let total = either(le(&s, 19, 2), le(&s, 32, 4)) * sector;
        let room = total
            .checked_sub(data)
            .ok_or(damaged("it is smaller than its own tables"))?;
        let clusters = u32::try_from(room / cluster).map_err(|_| damaged("too many clusters"))?;
        // Like Linux: a zero 16-bit table length means FAT32 whatever the count.
        let width = match (le(&s, 22, 2), clusters) {
            (0, _) => Width::Fat32,
            (_, ..4085) => Width::Fat12,
            _ => Width::Fat16,
        };
        let boot_label = if width == Width::Fat32 {
            &s[71..82]
        } else {
            &s[43..54]
        };
        let label = text(boot_label);
        let root_cluster = if width == Width::Fat32 {
            le(&s, 44, 4)
        } else {
            0
        };
        let fixed_root = (root_at, root_len);
        let mut fat = Fat {
            device,
            label,
            width,
            cluster,
            table,
            fixed_root,
            root_cluster,
            data,
            clusters,
        };
        // The root directory's label is the one tools change.
        match fat.volume_entry()? {
            Some(label) => fat.label = label,
            None if fat.label == "NO NAME" => fat.label.clear(),
            None => {}
        }
        Ok(fat)
    }

    /// Volume label, from the root directory if it has one.
    pub fn label(&self) -> &str {
        &self.label
    }

    fn volume_entry(&mut self) -> Result<Option<String>, MediaError> {
        let root = self.directory(0)?;
        Ok(live(&root)
            .find(|e| e[11] & ATTR_LONG_NAME != ATTR_LONG_NAME && e[11] & ATTR_VOLUME != 0)
            .map(|e| text(&e[..11])))
    }

    pub(super) fn entries(&mut self, place: &Place) -> Result<Vec<Entry>, MediaError> {
        let Place::Cluster(first) = *place else {
            return Ok(Vec::new());
        };
        let data = self.directory(first)?;
        let mut long = LongName::default();
        let mut out = Vec::new();
        for entry in live(&data) {
            let attributes = entry[11];
            if attributes & ATTR_LONG_NAME == ATTR_LONG_NAME {
                long.push(entry);
                continue;
            }
            let long_name = std::mem::take(&mut long).finish(&entry[..11]);
            if attributes & ATTR_VOLUME != 0 || entry[0] == b'.' {
                continue;
            }
            if out.len() == MAX_ENTRIES {
                return Err(MediaError::Damaged(
                    "FAT",
                    "a directory has too many entries",
                ));
            }
            let dir = attributes & ATTR_DIRECTORY != 0;
            let high = if self.width == Width::Fat32 {
                le(entry, 20, 2) << 16
            } else {
                0
            };
            out.push(Entry {
                name: long_name.unwrap_or_else(|| short_name(entry)),
                dir,
                size: if dir { 0 } else { u64::from(le(entry, 28, 4)) },
                place: Place::Cluster(high | le(entry, 26, 2)),
            });
        }
        Ok(out)
    }

    fn directory(&mut self, first: u32) -> Result<Vec<u8>, MediaError> {
        match (first, self.width) {
            (0, Width::Fat32) => self.chain(self.root_cluster, MAX_DIRECTORY),
            (0, _) => Ok(read_exact(
                &mut self.device,
                self.fixed_root.0,
                self.fixed_root.1,
            )?),
            _ => self.chain(first, MAX_DIRECTORY),
        }
    }

    pub(super) fn content(&mut self, place: &Place, size: u64) -> Result<Vec<u8>, MediaError> {
        let Place::Cluster(first) = *place else {
            return Ok(Vec::new());
        };
        if size == 0 {
            return Ok(Vec::new());
        }
        let mut out = self.chain(first, size)?;
        if (out.len() as u64) < size {
            return Err(MediaError::Damaged(
                "FAT",
                "a file's cluster chain is too short",
            ));
        }
        out.truncate(size as usize);
        Ok(out)
    }

    /// Clusters of a chain until its end or at least `want` bytes. A loop in
    /// the chain ends there too.
    fn chain(&mut self, first: u32, want: u64) -> Result<Vec<u8>, MediaError> {
        let mut out = Vec::new();
        let mut cluster = first;
        while (out.len() as u64) < want && (2..self.clusters.saturating_add(2)).contains(&cluster) {
            let at = self.data + u64::from(cluster - 2) * self.cluster;
            out.append(&mut read_exact(&mut self.device, at, self.cluster)?);
            cluster = self.next(cluster)?;
        }
        Ok(out)
    }

    fn next(&mut self, cluster: u32) -> Result<u32, MediaError> {
        let n = u64::from(cluster);
        Ok(match self.width {
            Width::Fat12 => {
                let pair = le(
                    &read_exact(&mut self.device, self.table + n + n / 2, 2)?,
                    0,
                    2,
                );
                if n % 2 == 0 { pair & 0xfff } else { pair >> 4 }
            }
            Width::Fat16 => le(&read_exact(&mut self.device, self.table + n * 2, 2)?, 0, 2),
            Width::Fat32 => {
                le(&read_exact(&mut self.device, self.table + n * 4, 4)?, 0, 4) & 0x0fff_ffff
            }
        })
    }
}

/// Entries in use, up to the end mark.
fn live(directory: &[u8]) -> impl Iterator<Item = &[u8]> {
    directory
        .chunks_exact(ENTRY)
        .take_while(|e| e[0] != 0)
        .filter(|e| e[0] != 0xe5)
}

fn text(padded: &[u8]) -> String {
    String::from_utf8_lossy(padded)
        .trim_end_matches([' ', '\0'])
        .to_owned()
}

/// 8.3 name; Windows NT's case bits tell a lower-case stem or extension.
fn short_name(entry: &[u8]) -> String {
    let part = |bytes: &[u8], lower: bool| {
        let name = text(bytes);
        if lower {
            name.to_ascii_lowercase()
        } else {
            name
        }
    };
    let stem = part(&entry[..8], entry[12] & 0x08 != 0);
    let extension = part(&entry[8..11], entry[12] & 0x10 != 0);
    if extension.is_empty() {
        stem
    } else {
        format!("{stem}.{extension}")
    }
}

/// A long name being collected, last piece first as the disk stores it.
#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    next: u8,
    checksum: u8,
}

impl LongName {
    fn push(&mut self, entry: &[u8]) {
        let order = entry[0] & 0x3f;
        if entry[0] & 0x40 != 0 {
            *self = LongName {
                units: Vec::new(),
                next: order,
                checksum: entry[13],
            };
        }
        if order == 0 || order > MAX_PIECES || order != self.next || entry[13] != self.checksum {
            *self = LongName::default();
            return;
        }
        self.next = order - 1;
        let piece = [(1, 5), (14, 6), (28, 2)]
            .into_iter()
            .flat_map(|(at, count)| (0..count).map(move |i| le(entry, at + 2 * i, 2) as u16));
        self.units.splice(0..0, piece);
    }

    /// The name, if complete and belonging to the short entry `short`.
    fn finish(self, short: &[u8]) -> Option<String> {
        let sum = short
            .iter()
            .fold(0u8, |s, &b| s.rotate_right(1).wrapping_add(b));
        if self.units.is_empty() || self.next != 0 || sum != self.checksum {
            return None;
        }
        let units = self.units.into_iter().take_while(|&u| u != 0);
        Some(
            char::decode_utf16(units)
                .map(|c| c.unwrap_or('\u{fffd}'))
                .collect(),
        )
    }
}
