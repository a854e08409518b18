//! FAT file systems, written in place into the disk image.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use fatfs::{Date, DateTime, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider};

use crate::boot::esp::Files;
use crate::error::{Context, Error, Result};

/// Part of a file that looks like a file of its own.
#[derive(Debug)]
pub struct Window<'a> {
    file: &'a File,
    start: u64,
    len: u64,
    at: u64,
}

impl<'a> Window<'a> {
    /// `len` bytes of `file` from byte `start`.
    pub fn new(file: &'a File, start: u64, len: u64) -> Self {
        Window { file, start, len, at: 0 }
    }

    /// How much of `want` is inside the window.
    fn room(&self, want: usize) -> usize {
        usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(usize::MAX).min(want)
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.room(buffer.len());
        let got = self.file.read_at(&mut buffer[..room], self.start + self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

impl Write for Window<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let room = self.room(buffer.len());
        let put = self.file.write_at(&buffer[..room], self.start + self.at)?;
        self.at += put as u64;
        Ok(put)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Window<'_> {
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

/// 1980-01-01, the earliest FAT knows: firmware and loaders do not look at times.
#[derive(Debug)]
struct Earliest;

impl TimeProvider for Earliest {
    fn get_current_date(&self) -> Date {
        Date { year: 1980, month: 1, day: 1 }
    }
    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: self.get_current_date(), time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}

/// Formats the window and writes the files.
///
/// FAT32 when the volume is large enough for it (260 MiB), as UEFI wants on an
/// ESP; FAT16 otherwise.
pub fn write(window: Window, label: &str, id: u32, files: &Files) -> Result<()> {
    let what = || format!("making the file system {label}");
    let mut padded = [b' '; 11];
    for (to, from) in padded.iter_mut().zip(label.bytes()) {
        *to = from;
    }
    let len = window.len;
    let mut options = FormatVolumeOptions::new().volume_label(padded).volume_id(id).bytes_per_cluster(4096);
    if len >= 260 << 20 {
        options = options.fat_type(fatfs::FatType::Fat32);
    }
    let mut window = window;
    fatfs::format_volume(&mut window, options).environment(what)?;
    window.at = 0;
    let volume = FileSystem::new(window, FsOptions::new().update_accessed_date(false).time_provider(&Earliest)).environment(what)?;
    {
        let root = volume.root_dir();
        for (path, content) in files {
            let mut parent = String::new();
            let names: Vec<&str> = path.split('/').collect();
            for name in names.iter().take(names.len().saturating_sub(1)) {
                parent = if parent.is_empty() { (*name).to_owned() } else { format!("{parent}/{name}") };
                root.create_dir(&parent).environment(|| format!("making {parent} on {label}"))?;
            }
            root.create_file(path)
                .and_then(|mut file| file.write_all(content).and_then(|()| file.flush()))
                .map_err(|e| {
                    Error::environment(format!("writing {path} on {label}")).because(e).hint("the partition may be too small")
                })?;
        }
    }
    volume.unmount().environment(what)
}
