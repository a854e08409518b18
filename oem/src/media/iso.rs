//! ISO 9660 (ECMA-119) with Rock Ridge (IEEE P1282 names through SUSP) and
//! Joliet, read only.

use super::{Entry, MAX_ENTRIES, MediaError, Place, le, read_exact, read_some};
use std::io::{self, Read, Seek};

const SECTOR: u64 = 2048;
/// Descriptors start after the system area.
const FIRST_DESCRIPTOR: u64 = 16;
const MAX_DESCRIPTORS: u64 = 32;
/// Larger directories are refused: a configuration drive has a few dozen files.
const MAX_DIRECTORY: u64 = 1 << 20;
/// Continuation areas one entry may chain.
const MAX_CONTINUATIONS: usize = 8;

const FLAG_DIRECTORY: u8 = 0x02;
const FLAG_MULTI_EXTENT: u8 = 0x80;

/// How names are spelled on this volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Plain,
    Joliet,
    /// With the number of bytes to skip in each system use area.
    RockRidge(usize),
}

/// An open ISO 9660 volume.
#[derive(Debug)]
pub struct Iso<R> {
    device: R,
    label: String,
    block: u64,
    root: Place,
    names: Names,
}

/// Whether a primary volume descriptor is where it belongs.
pub(super) fn recognised<R: Read + Seek>(device: &mut R) -> io::Result<bool> {
    let mut head = [0; 6];
    let n = read_some(device, FIRST_DESCRIPTOR * SECTOR, &mut head)?;
    Ok(n == head.len() && &head[1..] == b"CD001")
}

impl<R: Read + Seek> Iso<R> {
    /// Opens the volume on `device`.
    ///
    /// # Errors
    /// A device that fails or descriptors that make no sense.
    pub fn open(mut device: R) -> Result<Self, MediaError> {
        let damaged = |why| MediaError::Damaged("ISO 9660", why);
        let mut primary: Option<(String, u64, Place)> = None;
        let mut joliet: Option<Place> = None;
        for number in 0..MAX_DESCRIPTORS {
            let mut sector = [0; SECTOR as usize];
            let n = read_some(
                &mut device,
                (FIRST_DESCRIPTOR + number) * SECTOR,
                &mut sector,
            )?;
            if n < sector.len() || &sector[1..6] != b"CD001" {
                break;
            }
            let block = u64::from(le(&sector, 128, 2));
            match sector[0] {
                1 if primary.is_none() => {
                    if !matches!(block, 512 | 1024 | 2048) {
                        return Err(damaged("its block size is not 512, 1024 or 2048"));
                    }
                    let label = String::from_utf8_lossy(&sector[40..72])
                        .trim_end()
                        .to_owned();
                    let root = Place::Extents(vec![extent(&sector[156..190], block)]);
                    primary = Some((label.trim_end_matches('\0').to_owned(), block, root));
                }
                2 if matches!(&sector[88..91], b"%/@" | b"%/C" | b"%/E") => {
                    joliet = Some(Place::Extents(vec![extent(&sector[156..190], block)]));
                }
                255 => break,
                _ => {}
            }
        }
        let (label, block, root) = primary.ok_or(damaged("no primary volume descriptor"))?;
        let mut iso = Iso {
            device,
            label,
            block,
            root,
            names: Names::Plain,
        };
        if let Some(skip) = iso.rock_ridge()? {
            iso.names = Names::RockRidge(skip);
        } else if let Some(root) = joliet {
            iso.root = root;
            iso.names = Names::Joliet;
        }
        Ok(iso)
    }

    /// Volume identifier of the primary descriptor.
    pub fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn root(&mut self) -> Result<Vec<Entry>, MediaError> {
        let root = self.root.clone();
        self.entries(&root)
    }

    /// SUSP is announced by an `SP` entry in the root's first record; Rock
    /// Ridge is taken for granted with it, since `NM` is all we read.
    fn rock_ridge(&mut self) -> Result<Option<usize>, MediaError> {
        let root = self.root.clone();
        let data = self.directory(&root)?;
        let Some(record) = records(&data).next() else {
            return Ok(None);
        };
        let area = system_use(record);
        let found = area.len() >= 7 && area.starts_with(b"SP") && area[4..6] == [0xbe, 0xef];
        Ok(found.then(|| usize::from(area[6])))
    }

    fn directory(&mut self, place: &Place) -> Result<Vec<u8>, MediaError> {
        let Place::Extents(extents) = place else {
            return Ok(Vec::new());
        };
        if extents.iter().map(|e| e.1).fold(0, u64::saturating_add) > MAX_DIRECTORY {
            return Err(MediaError::Damaged("ISO 9660", "a directory is over 1 MiB"));
        }
        self.content(place)
    }

    pub(super) fn entries(&mut self, place: &Place) -> Result<Vec<Entry>, MediaError> {
        let data = self.directory(place)?;
        let mut out: Vec<Entry> = Vec::new();
        let mut open_file = false;
        for record in records(&data) {
            let Some(raw_name) = record.get(33..33 + usize::from(record[32])) else {
                continue;
            };
            if matches!(raw_name, [0] | [1]) {
                continue;
            }
            let flags = record[25];
            let piece = extent(record, self.block);
            let continued = open_file;
            open_file = flags & FLAG_MULTI_EXTENT != 0;
            if continued {
                if let Some(Entry {
                    place: Place::Extents(pieces),
                    size,
                    ..
                }) = out.last_mut()
                {
                    pieces.push(piece);
                    *size = size.saturating_add(piece.1);
                }
                continue;
            }
            if out.len() == MAX_ENTRIES {
                return Err(MediaError::Damaged(
                    "ISO 9660",
                    "a directory has too many entries",
                ));
            }
            let dir = flags & FLAG_DIRECTORY != 0;
            out.push(Entry {
                name: self.name(record, raw_name)?,
                dir,
                size: if dir { 0 } else { piece.1 },
                place: Place::Extents(vec![piece]),
            });
        }
        Ok(out)
    }

    fn name(&mut self, record: &[u8], raw: &[u8]) -> Result<String, MediaError> {
        match self.names {
            Names::Plain => Ok(plain(&String::from_utf8_lossy(raw)).to_ascii_lowercase()),
            Names::Joliet => {
                let units = raw
                    .chunks_exact(2)
                    .map(|c| u16::from_be_bytes([c[0], c[1]]));
                let name: String = char::decode_utf16(units)
                    .map(|c| c.unwrap_or('\u{fffd}'))
                    .collect();
                Ok(plain(&name).to_owned())
            }
            Names::RockRidge(skip) => {
                let area = system_use(record);
                let found = self.alternate_name(area.get(skip..).unwrap_or_default().to_vec())?;
                Ok(found
                    .unwrap_or_else(|| plain(&String::from_utf8_lossy(raw)).to_ascii_lowercase()))
            }
        }
    }

    /// Collects `NM` pieces, following `CE` continuation areas.
    fn alternate_name(&mut self, mut area: Vec<u8>) -> Result<Option<String>, MediaError> {
        let mut name: Option<Vec<u8>> = None;
        for _ in 0..=MAX_CONTINUATIONS {
            let mut next = None;
            let mut rest = area.as_slice();
            while rest.len() >= 4 {
                let len = usize::from(rest[2]);
                if len < 4 || len > rest.len() || rest.starts_with(b"ST") {
                    break;
                }
                let (entry, tail) = rest.split_at(len);
                match &entry[..2] {
                    b"NM" if len >= 5 => {
                        name.get_or_insert_default().extend_from_slice(&entry[5..]);
                    }
                    b"CE" if len >= 28 => {
                        let at =
                            u64::from(le(entry, 4, 4)) * self.block + u64::from(le(entry, 12, 4));
                        next = Some((at, u64::from(le(entry, 20, 4)).min(SECTOR)));
                    }
                    _ => {}
                }
                rest = tail;
            }
            match next {
                Some((at, len)) => area = read_exact(&mut self.device, at, len)?,
                None => break,
            }
        }
        Ok(name.map(|n| String::from_utf8_lossy(&n).into_owned()))
    }

    pub(super) fn content(&mut self, place: &Place) -> Result<Vec<u8>, MediaError> {
        let Place::Extents(extents) = place else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        for &(offset, len) in extents {
            out.append(&mut read_exact(&mut self.device, offset, len)?);
        }
        Ok(out)
    }
}

/// Byte offset and length of a directory record's content.
fn extent(record: &[u8], block: u64) -> (u64, u64) {
    // Extended attribute records precede the content.
    let first = u64::from(le(record, 2, 4)) + u64::from(le(record, 1, 1));
    (first * block, u64::from(le(record, 10, 4)))
}

/// Directory records: none crosses a sector, a zero length skips to the next.
fn records(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.chunks(SECTOR as usize).flat_map(|sector| {
        let mut rest = sector;
        std::iter::from_fn(move || {
            let len = usize::from(*rest.first()?);
            // 33 bytes of fixed fields and at least one of name.
            if len < 34 || len > rest.len() {
                return None;
            }
            let (record, tail) = rest.split_at(len);
            rest = tail;
            Some(record)
        })
    })
}

/// What follows the (padded) name of a record.
fn system_use(record: &[u8]) -> &[u8] {
    let name = usize::from(record[32]);
    record.get(33 + name + (name + 1) % 2..).unwrap_or_default()
}

/// A name without its version number and the dot of an empty extension.
fn plain(name: &str) -> &str {
    let name = name.rsplit_once(';').map_or(name, |(stem, _)| stem);
    name.strip_suffix('.').unwrap_or(name)
}
