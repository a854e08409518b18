//! UDF (ECMA-167, OSTA UDF 1.02 to 2.01) as on CDs, read only: one partition on one
//! volume. Azure's provisioning CD is one.

use super::{Entry, MAX_ENTRIES, MediaError, Place, le, read_exact, read_some};
use std::io::{self, Read, Seek};

const SECTOR: u64 = 2048;
/// Volume structures start after the system area.
const FIRST_STRUCTURE: u64 = 16;
const MAX_STRUCTURES: u64 = 16;
/// Where the anchor is.
const ANCHOR: u64 = 256;
const MAX_DESCRIPTORS: u64 = 64;
/// Larger directories are refused: a configuration drive has a few dozen files.
const MAX_DIRECTORY: u64 = 1 << 20;
/// Pieces one file may have.
const MAX_EXTENTS: usize = 4096;

const FLAG_DIRECTORY: u8 = 0x02;
const FLAG_DELETED: u8 = 0x04;
const FLAG_PARENT: u8 = 0x08;
const TYPE_DIRECTORY: u8 = 4;

/// Tags of descriptors.
mod tag {
    pub(super) const ANCHOR: u32 = 2;
    pub(super) const PARTITION: u32 = 5;
    pub(super) const LOGICAL_VOLUME: u32 = 6;
    pub(super) const END: u32 = 8;
    pub(super) const FILE_SET: u32 = 256;
    pub(super) const FILE_NAME: u32 = 257;
    pub(super) const FILE: u32 = 261;
    pub(super) const EXTENDED_FILE: u32 = 266;
}

/// An open UDF volume.
#[derive(Debug)]
pub struct Udf<R> {
    device: R,
    label: String,
    /// Byte where the partition starts.
    start: u64,
    root: Place,
}

/// A file's entry: what it is, how long, and where.
struct Node {
    dir: bool,
    size: u64,
    place: Place,
}

const fn damaged(why: &'static str) -> MediaError {
    MediaError::Damaged("UDF", why)
}

/// Whether the volume's structures say that there is a UDF.
pub(super) fn recognised<R: Read + Seek>(device: &mut R) -> io::Result<bool> {
    for number in 0..MAX_STRUCTURES {
        let mut head = [0; 6];
        let n = read_some(device, (FIRST_STRUCTURE + number) * SECTOR, &mut head)?;
        match &head[1..] {
            _ if n < head.len() => return Ok(false),
            b"NSR02" | b"NSR03" => return Ok(true),
            b"BEA01" | b"CD001" | b"BOOT2" => {}
            _ => return Ok(false),
        }
    }
    Ok(false)
}

impl<R: Read + Seek> Udf<R> {
    /// Opens the volume on `device`.
    ///
    /// # Errors
    /// A device that fails or descriptors that make no sense.
    pub fn open(mut device: R) -> Result<Self, MediaError> {
        let anchor = descriptor(&mut device, ANCHOR * SECTOR)?;
        if tag(&anchor) != Some(tag::ANCHOR) {
            return Err(damaged("no anchor"));
        }
        let (length, first) = (u64::from(le(&anchor, 16, 4)), u64::from(le(&anchor, 20, 4)));
        let (mut start, mut volume) = (None, None);
        for number in 0..(length / SECTOR).min(MAX_DESCRIPTORS) {
            let found = descriptor(&mut device, (first + number) * SECTOR)?;
            match tag(&found) {
                Some(tag::PARTITION) => start = Some(u64::from(le(&found, 188, 4)) * SECTOR),
                Some(tag::LOGICAL_VOLUME) => volume = Some(found),
                Some(tag::END) | None => break,
                _ => {}
            }
        }
        let start = start.ok_or(damaged("no partition"))?;
        let volume = volume.ok_or(damaged("no logical volume"))?;
        if u64::from(le(&volume, 212, 4)) != SECTOR {
            return Err(damaged("its block size is not 2048"));
        }
        // One map, of the kind that maps nothing.
        if le(&volume, 268, 4) != 1 || volume.get(440) != Some(&1) {
            return Err(damaged("more than a plain partition"));
        }
        let label = volume.get(84..212).map(label).unwrap_or_default();
        let mut udf = Udf {
            device,
            label,
            start,
            root: Place::Extents(Vec::new()),
        };
        let set = udf.at(&volume, 252)?;
        let set = descriptor(&mut udf.device, set)?;
        if tag(&set) != Some(tag::FILE_SET) {
            return Err(damaged("no file set"));
        }
        let root = udf.at(&set, 404)?;
        let root = udf.node(root)?;
        if !root.dir {
            return Err(damaged("its root is no directory"));
        }
        udf.root = root.place;
        Ok(udf)
    }

    /// Name of the logical volume.
    pub fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn root(&mut self) -> Result<Vec<Entry>, MediaError> {
        let root = self.root.clone();
        self.entries(&root)
    }

    pub(super) fn entries(&mut self, place: &Place) -> Result<Vec<Entry>, MediaError> {
        if size_of(place) > MAX_DIRECTORY {
            return Err(damaged("a directory of more than a megabyte"));
        }
        let names = self.content(place)?;
        let mut rest = names.as_slice();
        let mut entries = Vec::new();
        while rest.len() >= 38 {
            if tag(rest) != Some(tag::FILE_NAME) {
                return Err(damaged("a directory holds what is no name"));
            }
            let (flags, name_length) = (rest[18], usize::from(rest[19]));
            let from = 38 + le(rest, 36, 2) as usize;
            let name = rest.get(from..from + name_length);
            let name = text(name.ok_or(damaged("a name ends too early"))?);
            if flags & (FLAG_DELETED | FLAG_PARENT) == 0 {
                if entries.len() >= MAX_ENTRIES {
                    return Err(damaged("a directory of too many entries"));
                }
                let at = self.at(rest, 24)?;
                let node = self.node(at)?;
                entries.push(Entry {
                    name,
                    dir: flags & FLAG_DIRECTORY != 0 && node.dir,
                    size: if node.dir { 0 } else { node.size },
                    place: node.place,
                });
            }
            let used = (from + name_length).next_multiple_of(4);
            rest = rest.get(used..).unwrap_or_default();
        }
        Ok(entries)
    }

    pub(super) fn content(&mut self, place: &Place) -> Result<Vec<u8>, MediaError> {
        let Place::Extents(extents) = place else {
            return Err(damaged("a file of another file system"));
        };
        let mut out = Vec::new();
        for &(offset, length) in extents {
            out.extend(read_exact(&mut self.device, offset, length)?);
        }
        Ok(out)
    }

    /// Byte of the block whose number in the partition is in `bytes` at `at`.
    fn at(&self, bytes: &[u8], at: usize) -> Result<u64, MediaError> {
        if bytes.len() < at + 4 {
            return Err(damaged("a descriptor ends too early"));
        }
        Ok(self.start + u64::from(le(bytes, at, 4)) * SECTOR)
    }

    /// The file whose entry is at byte `at`.
    fn node(&mut self, at: u64) -> Result<Node, MediaError> {
        let entry = descriptor(&mut self.device, at)?;
        let head = match tag(&entry) {
            Some(tag::FILE) => 176,
            Some(tag::EXTENDED_FILE) => 216,
            _ => return Err(damaged("a file without an entry")),
        };
        let size = u64::from(le(&entry, 56, 4)) | u64::from(le(&entry, 60, 4)) << 32;
        let from = head + le(&entry, head - 8, 4) as usize;
        let length = le(&entry, head - 4, 4) as usize;
        let list = from
            .checked_add(length)
            .and_then(|end| entry.get(from..end))
            .ok_or(damaged("a file's entry ends too early"))?;
        let extents = match le(&entry, 34, 2) & 7 {
            0 => self.extents(list, 8, size)?,
            1 => self.extents(list, 16, size)?,
            3 if size <= length as u64 => vec![(at + from as u64, size)],
            _ => return Err(damaged("a file whose place is told in an unknown way")),
        };
        Ok(Node {
            dir: entry[27] == TYPE_DIRECTORY,
            size,
            place: Place::Extents(extents),
        })
    }

    /// The pieces of a file of `size` bytes, from descriptors of `width` bytes.
    fn extents(&self, list: &[u8], width: usize, size: u64) -> Result<Vec<(u64, u64)>, MediaError> {
        let mut extents = Vec::new();
        let mut left = size;
        for piece in list.chunks_exact(width).take(MAX_EXTENTS) {
            let (length, kind) = (le(piece, 0, 4) & 0x3fff_ffff, le(piece, 0, 4) >> 30);
            if length == 0 || left == 0 {
                break;
            }
            if kind != 0 {
                return Err(damaged("a file with holes, or with too many pieces"));
            }
            let length = u64::from(length).min(left);
            extents.push((self.at(piece, 4)?, length));
            left -= length;
        }
        if left > 0 {
            return Err(damaged("a file of fewer pieces than it has bytes"));
        }
        Ok(extents)
    }
}

fn size_of(place: &Place) -> u64 {
    match place {
        Place::Extents(extents) => extents.iter().map(|(_, length)| length).sum(),
        Place::Cluster(_) => 0,
    }
}

fn descriptor<R: Read + Seek>(device: &mut R, at: u64) -> Result<Vec<u8>, MediaError> {
    Ok(read_exact(device, at, SECTOR)?)
}

/// The kind of a descriptor, if its checksum is right.
fn tag(bytes: &[u8]) -> Option<u32> {
    let head = bytes.get(..16)?;
    let sum = |part: &[u8]| part.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
    let right = sum(&head[..4]).wrapping_add(sum(&head[5..])) == head[4];
    right.then(|| le(head, 0, 2))
}

/// Text of a field of fixed length: how much of it counts is in its last byte.
fn label(field: &[u8]) -> String {
    let Some((length, field)) = field.split_last() else {
        return String::new();
    };
    text(&field[..usize::from(*length).min(field.len())])
}

/// Characters of 8 or of 16 bits, as the first byte says.
fn text(bytes: &[u8]) -> String {
    match bytes.split_first() {
        Some((8, bytes)) => bytes.iter().copied().map(char::from).collect(),
        Some((16, bytes)) => {
            let units = bytes
                .chunks_exact(2)
                .map(|b| u16::from_be_bytes([b[0], b[1]]));
            char::decode_utf16(units)
                .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        _ => String::new(),
    }
}
