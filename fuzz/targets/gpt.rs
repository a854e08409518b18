//! Partition tables. Checksums are made right, or nothing behind them would be tried.
#![no_main]

use fuzz::Patched;
use init::gpt::{Attributes, Guid, Partition, Table, crc32, load};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use std::sync::LazyLock;

const SECTORS: u64 = 128;

static DISK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut table = Table::new(512, SECTORS, Guid::from_bytes([1; 16])).expect("a table");
    for number in 1..4 {
        table.partitions.push(Partition {
            number,
            type_guid: Guid::from_bytes([7; 16]),
            guid: Guid::from_bytes([number as u8; 16]),
            first_lba: 34 + u64::from(number) * 8,
            last_lba: 34 + u64::from(number) * 8 + 7,
            attributes: Attributes(0),
            name: "usr".into(),
        });
    }
    let encoded = table.encode().expect("a small table");
    let mut disk = vec![0; SECTORS as usize * 512];
    for (at, bytes) in [
        (encoded.primary_offset, &encoded.primary),
        (encoded.backup_offset, &encoded.backup),
    ] {
        disk[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
    }
    disk
});

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn seal(disk: &mut [u8], lba: u64) {
    let at = lba as usize * 512;
    let count = number(disk, at + 80) as u32 as u64;
    let bytes = count.saturating_mul(number(disk, at + 84) as u32 as u64);
    let entries = number(disk, at + 72).saturating_mul(512);
    let area = (entries.try_into(), entries.saturating_add(bytes).try_into());
    if let (Ok(from), Ok(to)) = area
        && let Some(entries) = disk.get::<std::ops::Range<usize>>(from..to)
    {
        let sum = crc32(entries);
        disk[at + 88..at + 92].copy_from_slice(&sum.to_le_bytes());
    }
    let size = (number(disk, at + 12) as u32 as usize).min(512);
    disk[at + 16..at + 20].fill(0);
    let sum = crc32(&disk[at..at + size]);
    disk[at + 16..at + 20].copy_from_slice(&sum.to_le_bytes());
}

fuzz_target!(|data: &[u8]| {
    let mut disk = Patched::new(&DISK, data).bytes();
    seal(&mut disk, 1);
    seal(&mut disk, SECTORS - 1);
    if let Ok(loaded) = load(&mut Cursor::new(disk), 512, SECTORS) {
        let table = loaded.table;
        for partition in &table.partitions {
            assert!(partition.sectors() > 0 && partition.last_lba < SECTORS);
        }
        if let Ok(encoded) = table.encode() {
            let mut disk = vec![0; SECTORS as usize * 512];
            let at = encoded.primary_offset as usize;
            disk[at..at + encoded.primary.len()].copy_from_slice(&encoded.primary);
            load(&mut Cursor::new(disk), 512, SECTORS).expect("what we write, we read");
        }
    }
});
