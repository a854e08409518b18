//! FAT16 and FAT32 file systems (Microsoft's FAT specification 1.03), written in
//! one go: all files are known, so each is one run of clusters and nothing is
//! ever changed. The same files give the same bytes.

mod directory;
mod geometry;
mod name;

use std::fs::File;
use std::os::unix::fs::FileExt;

use directory::{Directory, Place, place};
use geometry::Geometry;

use crate::boot::esp::Files;
use crate::error::{Context, Error, Result};

/// Bytes of a sector.
const SECTOR: u64 = 512;
/// Bytes of a cluster: a page, and as many clusters as FAT32 asks for on an ESP.
const CLUSTER: u64 = 4096;

/// Part of the disk image.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// The image; what is not written reads as zeros.
    pub file: &'a File,
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Window<'_> {
    fn put(&self, bytes: &[u8], at: u64) -> std::io::Result<()> {
        self.file.write_all_at(bytes, self.start + at)
    }
}

/// The next free cluster, and the chains made so far.
struct Clusters {
    entries: Vec<u32>,
    end: u32,
}

impl Clusters {
    /// Takes the clusters for `bytes` bytes and returns the first; 0 for none.
    fn take(&mut self, bytes: u64) -> Option<u32> {
        let count = u32::try_from(bytes.div_ceil(CLUSTER)).ok()?;
        let first = self.entries.len() as u32;
        if count == 0 {
            return Some(0);
        }
        let last = first
            .checked_add(count - 1)
            .filter(|last| *last < self.end)?;
        self.entries.extend((first + 1..=last).chain([0x0fff_ffff]));
        Some(first)
    }
}

/// Formats the window and writes the files. `label` has at most 11 characters of
/// ASCII; `id` is the volume's serial number. All times are 1980-01-01, the
/// earliest FAT knows: firmware and loaders do not look at them.
pub fn write(window: Window, label: &str, id: u32, files: &Files) -> Result<()> {
    let what = || format!("writing the file system {label}");
    let mut volume = [b' '; 11];
    for (to, from) in volume.iter_mut().zip(label.bytes()) {
        *to = from;
    }
    let geometry = Geometry::new(window.len).ok_or_else(|| {
        Error::input(format!(
            "{} bytes are too few for the file system {label}",
            window.len
        ))
        .hint("make the partition 18 MiB or larger")
    })?;
    let mut clusters = Clusters {
        entries: geometry.reserved_entries(),
        end: geometry.clusters + 2,
    };
    let full = || {
        Error::refused(format!("the files do not fit into the file system {label}"))
            .hint("enlarge the partition under `sizes` in the recipe")
    };

    let root = Directory::new(files, volume)?;
    let mut here = Place {
        cluster: 0,
        parent: 0,
        at: geometry.root_offset(),
    };
    if geometry.fat32 {
        here.cluster = clusters.take(root.bytes()).ok_or_else(full)?;
        here.at = geometry.offset(here.cluster);
    } else if root.bytes() > geometry.root_bytes() {
        return Err(full());
    }
    let mut put = |at: u64, bytes: &[u8]| window.put(bytes, at);
    place(&root, here, &geometry, &mut clusters, &mut put)
        .ok_or_else(full)?
        .environment(what)?;

    let free = geometry.clusters + 2 - clusters.entries.len() as u32;
    let next = clusters.entries.len() as u32;
    for (at, bytes) in geometry.boot_sectors(volume, id, here.cluster, free, next) {
        window.put(&bytes, at).environment(what)?;
    }
    let table = geometry.encode(&clusters.entries);
    for at in geometry.tables() {
        window.put(&table, at).environment(what)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn files() -> Files {
        let mut files = Files::new();
        for i in 0..200 {
            files.insert(
                format!("many/File number {i}.txt"),
                format!("{i}").repeat(i * 40).into_bytes(),
            );
        }
        files.insert("EFI/Linux/holdfast_1.0.efi".into(), vec![7; 100_000]);
        files.insert("empty".into(), Vec::new());
        files
    }

    #[test]
    fn another_driver_reads_it() {
        for len in [64 << 20, 512 << 20] {
            let image = tempfile::tempfile().unwrap();
            image.set_len(len + 4096).unwrap();
            write(
                Window {
                    file: &image,
                    start: 0,
                    len,
                },
                "ESP",
                0x1234_5678,
                &files(),
            )
            .unwrap();
            let volume = fatfs::FileSystem::new(image, fatfs::FsOptions::new()).unwrap();
            assert_eq!(volume.volume_id(), 0x1234_5678);
            assert_eq!(
                volume.read_volume_label_from_root_dir().unwrap().as_deref(),
                Some("ESP")
            );
            for (path, content) in files() {
                let mut read = Vec::new();
                volume
                    .root_dir()
                    .open_file(&path)
                    .unwrap()
                    .read_to_end(&mut read)
                    .unwrap();
                assert_eq!(read, content, "{path}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let image = tempfile::tempfile().unwrap();
        let window = Window {
            file: &image,
            start: 0,
            len: 20 << 20,
        };
        let big = Files::from([("big".to_owned(), vec![1; 21 << 20])]);
        assert!(
            write(window, "OEM", 1, &big)
                .unwrap_err()
                .hint_text()
                .is_some()
        );
        let bad = Files::from([("a:b".to_owned(), Vec::new())]);
        assert!(write(window, "OEM", 1, &bad).is_err());
    }
}
