//! Reading an image's disk, whatever its format.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::qcow2::Qcow2;
use crate::error::{Context, Result};

/// Random access to the bytes of a disk.
pub trait Disk: Send + Sync {
    /// Name of the format.
    fn format(&self) -> &'static str;
    /// Length of the disk in bytes.
    fn len(&self) -> u64;
    /// True for a disk without any byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills `buffer` from `offset`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Opens an image; the format is told from its first bytes.
pub fn open(path: &Path) -> Result<Box<dyn Disk>> {
    let what = || format!("opening {}", path.display());
    let file = File::open(path).environment(what)?;
    let mut magic = [0; 4];
    let short = file.read_at(&mut magic, 0).environment(what)? < 4;
    if !short && u32::from_be_bytes(magic) == crate::format::qcow2::MAGIC {
        return Ok(Box::new(
            Qcow2::open(file).input(|| format!("reading {}", path.display()))?,
        ));
    }
    let len = file.metadata().environment(what)?.len();
    Ok(Box::new(Raw { file, len }))
}

struct Raw {
    file: File,
    len: u64,
}

impl Disk for Raw {
    fn format(&self) -> &'static str {
        "raw"
    }
    fn len(&self) -> u64 {
        self.len
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// Part of a disk as a readable stream. Writes are swallowed: FAT's driver wants
/// to write its flags even when it only reads.
pub(super) struct Part<'a> {
    disk: &'a dyn Disk,
    start: u64,
    len: u64,
    at: u64,
}

impl<'a> Part<'a> {
    pub(super) fn new(disk: &'a dyn Disk, start: u64, len: u64) -> Self {
        Part {
            disk,
            start,
            len,
            at: 0,
        }
    }
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let now = left.min(buffer.len());
        let offset = self
            .start
            .checked_add(self.at)
            .ok_or(io::ErrorKind::InvalidInput)?;
        self.disk.read_at(&mut buffer[..now], offset)?;
        self.at += now as u64;
        Ok(now)
    }
}

impl Write for Part<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.at += buffer.len() as u64;
        Ok(buffer.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Part<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
