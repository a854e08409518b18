//! Bytes that are written so that they survive a loss of power.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// A block device, a partition, or a plain file.
pub trait Storage: FileExt {
    /// Returns when all that was written is on the medium.
    fn sync(&self) -> io::Result<()>;

    /// Forgets what is in memory, so that what is read next comes from the medium.
    fn forget(&self) -> io::Result<()>;
}

impl Storage for File {
    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn forget(&self) -> io::Result<()> {
        posix_fadvise(self, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        Ok(())
    }
}

/// A partition. Nothing outside of it can be read or written through it.
#[derive(Clone)]
pub struct Area {
    storage: Arc<dyn Storage>,
    start: u64,
    len: u64,
}

impl Area {
    /// Bytes `start..start + len` of a storage.
    pub fn new(storage: Arc<dyn Storage>, start: u64, len: u64) -> Self {
        Area {
            storage,
            start,
            len,
        }
    }

    /// Bytes of the partition.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where `at` is on the storage, if `bytes` bytes from there belong to the area.
    fn place(&self, at: u64, bytes: usize) -> io::Result<u64> {
        let inside = at
            .checked_add(bytes as u64)
            .is_some_and(|end| end <= self.len);
        if !inside {
            let what = format!("{bytes} bytes at {at} are not in {} bytes", self.len);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Ok(self.start + at)
    }

    /// Fills `buffer` from byte `at`.
    pub fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let place = self.place(at, buffer.len())?;
        self.storage.read_exact_at(buffer, place)
    }

    /// Writes all of `bytes` at byte `at`.
    pub fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let place = self.place(at, bytes.len())?;
        self.storage.write_all_at(bytes, place)
    }

    /// See [`Storage::sync`].
    pub fn sync(&self) -> io::Result<()> {
        self.storage.sync()
    }

    /// See [`Storage::forget`].
    pub fn forget(&self) -> io::Result<()> {
        self.storage.forget()
    }
}

impl FileExt for Area {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let len = buffer.len().min(rest);
        self.storage.read_at(&mut buffer[..len], self.start + at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let place = self.place(at, bytes.len())?;
        self.storage.write_at(bytes, place)
    }
}

impl std::fmt::Debug for Area {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Area({}+{})", self.start, self.len)
    }
}

/// Reads a storage from a place that moves, for code that wants a file.
pub(super) struct Cursor<'a> {
    storage: &'a dyn Storage,
    at: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(storage: &'a dyn Storage) -> Self {
        Cursor { storage, at: 0 }
    }
}

impl io::Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.storage.read_at(buffer, self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl io::Seek for Cursor<'_> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let at = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
            // The end is not known, and the reader of tables does not ask for it.
            io::SeekFrom::End(_) => None,
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
