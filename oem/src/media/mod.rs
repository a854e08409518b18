//! Reading small file systems without mounting them: ISO 9660 (plain, Joliet,
//! Rock Ridge), UDF, and FAT12/16/32 with long names. Configuration drives are one of
//! the three. Needs no privilege beyond reading the device, no kernel module.

mod fat;
mod iso;
mod udf;

use std::io::{self, Read, Seek, SeekFrom};

pub use fat::Fat;
pub use iso::Iso;
pub use udf::Udf;

/// Most entries one directory may have before it is refused.
const MAX_ENTRIES: usize = 4096;

/// Why a medium could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The device failed.
    #[error("cannot read the medium")]
    Io(#[from] io::Error),
    /// None of those that can be read.
    #[error("no ISO 9660, UDF or FAT file system")]
    Unknown,
    /// Structures contradict each other.
    #[error("damaged {0} file system: {1}")]
    Damaged(&'static str, &'static str),
    /// A file is larger than the caller allows.
    #[error("{path} has {size} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Path inside the medium.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The caller's limit in bytes.
        limit: u64,
    },
}

/// One directory entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name as the richest naming scheme of the medium spells it.
    pub name: String,
    /// Whether it is a directory.
    pub dir: bool,
    /// Size in bytes (0 for directories).
    pub size: u64,
    place: Place,
}

/// Where an entry's content is: meaning differs by file system.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// ISO 9660: (byte offset, length) pieces in order.
    Extents(Vec<(u64, u64)>),
    /// FAT: first cluster; 0 is the fixed root directory or an empty file.
    Cluster(u32),
}

/// A file system found on a device or image.
#[derive(Debug)]
pub enum Volume<R> {
    /// ISO 9660.
    Iso(Iso<R>),
    /// UDF without an ISO 9660 beside it.
    Udf(Udf<R>),
    /// FAT12, FAT16 or FAT32.
    Fat(Fat<R>),
}

impl<R: Read + Seek> Volume<R> {
    /// Recognises and opens the file system on `device`.
    ///
    /// # Errors
    /// [`MediaError::Unknown`] when it is of no such kind, else what is wrong.
    pub fn open(mut device: R) -> Result<Self, MediaError> {
        if iso::recognised(&mut device)? {
            return Ok(Volume::Iso(Iso::open(device)?));
        }
        if udf::recognised(&mut device)? {
            return Ok(Volume::Udf(Udf::open(device)?));
        }
        if fat::recognised(&mut device)? {
            return Ok(Volume::Fat(Fat::open(device)?));
        }
        Err(MediaError::Unknown)
    }

    /// Volume label without padding; empty when there is none.
    pub fn label(&self) -> &str {
        match self {
            Volume::Iso(iso) => iso.label(),
            Volume::Udf(udf) => udf.label(),
            Volume::Fat(fat) => fat.label(),
        }
    }

    /// File system name: `iso9660`, `udf` or `vfat`.
    pub fn kind(&self) -> &'static str {
        match self {
            Volume::Iso(_) => "iso9660",
            Volume::Udf(_) => "udf",
            Volume::Fat(_) => "vfat",
        }
    }

    /// Entries of the directory at `path` (`/`-separated, empty for the root);
    /// `None` when there is no such directory.
    ///
    /// # Errors
    /// A device that fails or a damaged file system.
    pub fn list(&mut self, path: &str) -> Result<Option<Vec<Entry>>, MediaError> {
        let mut dir = self.root()?;
        for part in components(path) {
            match find(&dir, part) {
                Some(entry) if entry.dir => dir = self.entries(&entry.place)?,
                _ => return Ok(None),
            }
        }
        Ok(Some(dir))
    }

    /// Content of the file at `path`; `None` when there is no such file.
    ///
    /// # Errors
    /// A device that fails, a damaged file system, more than `limit` bytes.
    pub fn read(&mut self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, MediaError> {
        let (dir, name) = path
            .trim_end_matches('/')
            .rsplit_once('/')
            .unwrap_or(("", path));
        let Some(entries) = self.list(dir)? else {
            return Ok(None);
        };
        let Some(entry) = find(&entries, name).filter(|e| !e.dir) else {
            return Ok(None);
        };
        if entry.size > limit {
            return Err(MediaError::TooLarge {
                path: path.into(),
                size: entry.size,
                limit,
            });
        }
        match self {
            Volume::Iso(iso) => iso.content(&entry.place),
            Volume::Udf(udf) => udf.content(&entry.place),
            Volume::Fat(fat) => fat.content(&entry.place, entry.size),
        }
        .map(Some)
    }

    fn root(&mut self) -> Result<Vec<Entry>, MediaError> {
        match self {
            Volume::Iso(iso) => iso.root(),
            Volume::Udf(udf) => udf.root(),
            Volume::Fat(fat) => fat.entries(&Place::Cluster(0)),
        }
    }

    fn entries(&mut self, place: &Place) -> Result<Vec<Entry>, MediaError> {
        match self {
            Volume::Iso(iso) => iso.entries(place),
            Volume::Udf(udf) => udf.entries(place),
            Volume::Fat(fat) => fat.entries(place),
        }
    }
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

/// Exact name first, then without regard to case: FAT has none, and plain
/// ISO 9660 stores capitals.
fn find<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries
        .iter()
        .find(|e| e.name == name)
        .or_else(|| entries.iter().find(|e| e.name.eq_ignore_ascii_case(name)))
}

/// Fills as much of `buf` as the device has at `offset`; returns the length.
fn read_some<R: Read + Seek>(device: &mut R, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    device.seek(SeekFrom::Start(offset))?;
    let mut done = 0;
    while done < buf.len() {
        match device.read(&mut buf[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Reads exactly `len` bytes at `offset`, allocating only what arrives.
fn read_exact<R: Read + Seek>(device: &mut R, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    device.seek(SeekFrom::Start(offset))?;
    let mut out = Vec::new();
    device.by_ref().take(len).read_to_end(&mut out)?;
    if out.len() as u64 == len {
        Ok(out)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Little-endian integer of 1 to 4 bytes at `at`; 0 past the end.
fn le(bytes: &[u8], at: usize, width: usize) -> u32 {
    bytes.get(at..at.saturating_add(width)).map_or(0, |b| {
        b.iter().rev().fold(0, |n, &x| (n << 8) | u32::from(x))
    })
}

#[cfg(test)]
mod tests;
