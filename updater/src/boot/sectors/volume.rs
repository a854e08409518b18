//! A sparse volume of sectors, and what was written to it.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

pub(super) const SECTOR: usize = 512;
pub(super) type Sector = [u8; SECTOR];

/// What reached the volume, in order. A sector is the smallest thing that is written
/// whole.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Write(u64, Sector),
    /// All before it is durable.
    Flush,
}

/// Sectors by number; what is not there is zero. A copy is cheap.
#[derive(Debug, Clone, Default)]
pub(super) struct Volume {
    base: Arc<BTreeMap<u64, Sector>>,
    over: BTreeMap<u64, Sector>,
}

impl Volume {
    pub fn get(&self, number: u64) -> Sector {
        let found = self.over.get(&number).or_else(|| self.base.get(&number));
        found.copied().unwrap_or([0; SECTOR])
    }

    pub fn set(&mut self, number: u64, bytes: Sector) {
        self.over.insert(number, bytes);
    }

    /// Makes further copies cheap.
    pub fn settle(&mut self) {
        Arc::make_mut(&mut self.base).append(&mut self.over);
    }

    /// With those of `events` whose place `kept` names.
    pub fn with(&self, events: &[Event], kept: impl Fn(usize) -> bool) -> Volume {
        let mut volume = self.clone();
        for (place, event) in events.iter().enumerate() {
            if let (Event::Write(number, bytes), true) = (event, kept(place)) {
                volume.set(*number, *bytes);
            }
        }
        volume
    }

    /// An empty FAT32 of real size, made by another driver.
    pub fn format() -> Volume {
        let mut cursor = Cursor {
            volume: Volume::default(),
            at: 0,
        };
        let options = fatfs::FormatVolumeOptions::new()
            .fat_type(fatfs::FatType::Fat32)
            .bytes_per_cluster(4096)
            .total_sectors(70_000 * 8);
        fatfs::format_volume(&mut cursor, options).unwrap();
        cursor.volume
    }

    /// For the other driver.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            volume: self.clone(),
            at: 0,
        }
    }
}

/// A volume as a file.
pub(super) struct Cursor {
    pub volume: Volume,
    at: u64,
}

impl Cursor {
    /// Sector, offset in it, and bytes that fit.
    fn place(&self, len: usize) -> (u64, usize, usize) {
        let offset = (self.at % SECTOR as u64) as usize;
        (self.at / SECTOR as u64, offset, len.min(SECTOR - offset))
    }
}

impl Read for Cursor {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let (number, offset, len) = self.place(to.len());
        to[..len].copy_from_slice(&self.volume.get(number)[offset..offset + len]);
        self.at += len as u64;
        Ok(len)
    }
}

impl Write for Cursor {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let (number, offset, len) = self.place(from.len());
        let mut sector = self.volume.get(number);
        sector[offset..offset + len].copy_from_slice(&from[..len]);
        self.volume.set(number, sector);
        self.at += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(_) => None,
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
