//! The repair of an ESP: changes to a FAT32 with two kernel images, one of which has a
//! second name.
#![no_main]

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{LazyLock, Mutex};

use fuzz::Patched;
use libfuzzer_sys::fuzz_target;
use updater::boot::repair;
use updater::slots::Storage;

struct Memory(Mutex<Vec<u8>>);

impl FileExt for Memory {
    fn read_at(&self, to: &mut [u8], at: u64) -> io::Result<usize> {
        let bytes = self.0.lock().expect("one thread");
        let rest = bytes.get(at as usize..).unwrap_or_default();
        let len = rest.len().min(to.len());
        to[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, from: &[u8], at: u64) -> io::Result<usize> {
        let mut bytes = self.0.lock().expect("one thread");
        let rest = bytes.get_mut(at as usize..).unwrap_or_default();
        let len = rest.len().min(from.len());
        rest[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }
}

impl Storage for Memory {
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn forget(&self) -> io::Result<()> {
        Ok(())
    }
}

/// One reserved sector, two tables of one, clusters of one: the root is the first,
/// then come `EFI`, `Linux` and files.
static DISK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut disk = vec![0; 64 * 512];
    for (at, bytes) in [
        (11, &[0, 2, 1, 1, 0, 2][..]),
        (32, &[64]),
        (36, &[1]),
        (44, &[2]),
        (510, &[0x55, 0xaa]),
    ] {
        disk[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let end = 0x0fff_ffffu32;
    for table in [512, 1024] {
        for (cluster, next) in [end, end, end, end, end, 6, end, 8, end, end]
            .iter()
            .enumerate()
        {
            disk[table + cluster * 4..][..4].copy_from_slice(&next.to_le_bytes());
        }
    }
    let mut entry =
        |cluster: usize, slot: usize, name: &[u8; 11], directory: bool, first: u8, size: u16| {
            let at = (cluster + 1) * 512 + slot * 32;
            disk[at..at + 11].copy_from_slice(name);
            disk[at + 11] = if directory { 0x10 } else { 0x20 };
            disk[at + 26] = first;
            disk[at + 28..at + 30].copy_from_slice(&size.to_le_bytes());
        };
    entry(2, 0, b"EFI        ", true, 3, 0);
    entry(3, 0, b"LINUX      ", true, 4, 0);
    entry(4, 0, b"HOLDFA~1EFI", false, 5, 1000);
    entry(4, 1, b"HOLDFA~2TMP", false, 5, 1000);
    entry(4, 2, b"HOLDFA~3EFI", false, 7, 600);
    disk
});

fuzz_target!(|data: &[u8]| {
    let memory = Memory(Mutex::new(Patched::new(&DISK, data).bytes()));
    if repair(&memory).is_ok()
        && let Ok(again) = repair(&memory)
    {
        // Whose clusters were damaged names of ours, now is free.
        assert_eq!(again.names, 0);
    }
});
