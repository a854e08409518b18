use std::io::Cursor;

use proptest::prelude::*;

use super::*;

const MIB: u64 = 2048;

fn partition(number: u32, first_mib: u64, mib: u64, name: &str) -> Partition {
    Partition {
        number,
        type_guid: types::LINUX_GENERIC,
        guid: Guid::from_random([number as u8; 16]),
        first_lba: first_mib * MIB,
        last_lba: (first_mib + mib) * MIB - 1,
        attributes: Attributes::READ_ONLY,
        name: name.into(),
    }
}

fn table() -> Table {
    let mut table = Table::new(512, 16 * MIB, Guid::from_random([9; 16])).unwrap();
    table.add(partition(1, 1, 2, "esp")).unwrap();
    table.add(partition(2, 3, 4, "holdfast_1.0")).unwrap();
    table
}

fn image(table: &Table) -> Vec<u8> {
    let encoded = table.encode().unwrap();
    let mut disk = vec![0; (table.disk_sectors * u64::from(table.sector_size)) as usize];
    disk[..512].copy_from_slice(&encoded.protective_mbr);
    let at = encoded.primary_offset as usize;
    disk[at..at + encoded.primary.len()].copy_from_slice(&encoded.primary);
    let at = encoded.backup_offset as usize;
    disk[at..at + encoded.backup.len()].copy_from_slice(&encoded.backup);
    disk
}

fn load_image(disk: &[u8]) -> Result<Loaded, Error> {
    load(&mut Cursor::new(disk), 512, disk.len() as u64 / 512)
}

#[test]
fn both_copies_are_read() {
    let table = table();
    let mut disk = image(&table);
    assert_eq!(
        load_image(&disk).unwrap(),
        Loaded {
            table: table.clone(),
            copy: Copy::Primary,
            damage: None
        }
    );
    disk[512 + 60] ^= 1;
    let loaded = load_image(&disk).unwrap();
    assert_eq!((loaded.table, loaded.copy), (table.clone(), Copy::Backup));
    assert_eq!(loaded.damage, Some(Error::HeaderChecksum));
    disk[512 + 60] ^= 1;
    disk[1024 + 3] ^= 1;
    assert_eq!(
        load_image(&disk).unwrap().damage,
        Some(Error::EntriesChecksum)
    );
    let last = disk.len() - 512;
    disk[last] = 0;
    assert!(matches!(load_image(&disk), Err(Error::Neither(..))));
}

#[test]
fn backup_of_a_grown_disk_is_found_through_the_primary() {
    let table = table();
    let mut disk = image(&table);
    disk.resize(disk.len() + 4 * 1024 * 1024, 0);
    disk[1024 + 3] ^= 1;
    assert_eq!(load_image(&disk).unwrap().copy, Copy::Backup);
}

#[test]
fn a_4096_byte_sector_disk_works() {
    let mut table = Table::new(4096, 4096, Guid::from_random([1; 16])).unwrap();
    table
        .add(Partition {
            first_lba: 256,
            last_lba: 511,
            ..partition(0, 0, 1, "four")
        })
        .unwrap();
    let disk = image(&table);
    assert_eq!(
        load(&mut Cursor::new(&disk), 4096, 4096).unwrap().table,
        table
    );
}

#[test]
fn growing_moves_the_backup_and_adds_the_root() {
    let mut table = table();
    assert_eq!(table.largest_free(), Some((7 * MIB, 15 * MIB - 1)));
    table.move_backup(64 * MIB).unwrap();
    assert_eq!(table.last_usable, 64 * MIB - 34);
    let (first_lba, last_lba) = table.largest_free().unwrap();
    assert_eq!((first_lba, last_lba), (7 * MIB, 63 * MIB - 1));
    let root = Partition {
        number: 0,
        type_guid: types::ROOT,
        first_lba,
        last_lba,
        ..partition(0, 0, 1, "root")
    };
    assert_eq!(table.add(root).unwrap(), 3);
    assert_eq!(table.encode().unwrap().backup_offset, (64 * MIB - 33) * 512);
    table.move_backup(128 * MIB).unwrap();
    assert!(table.extend(3).unwrap());
    assert!(!table.extend(3).unwrap());
    assert_eq!(table.partition(3).unwrap().last_lba, 127 * MIB - 1);
    assert!(!table.extend(1).unwrap());
    assert_eq!(table.move_backup(16 * MIB), Err(Error::TooSmall));
    assert_eq!(table.extend(9), Err(Error::NoPartition(9)));
}

#[test]
fn wrong_tables_are_refused() {
    let mut table = table();
    assert_eq!(
        table.add(partition(0, 2, 2, "clash")),
        Err(Error::Overlap(1, 3))
    );
    assert_eq!(
        table.add(partition(1, 9, 1, "twice")),
        Err(Error::Overlap(1, 1))
    );
    assert_eq!(table.add(partition(0, 12, 8, "far")), Err(Error::Range(3)));
    assert_eq!(Table::new(512, 20, Guid::ZERO), Err(Error::TooSmall));
    let long = "x".repeat(37);
    table.add(partition(0, 12, 1, &long)).unwrap();
    assert_eq!(table.encode(), Err(Error::LongName(long)));
}

#[test]
fn boot_code_survives_a_new_size() {
    let mut mbr = protective_mbr(100);
    mbr[..440].fill(0xfa);
    set_protective_size(&mut mbr, 5_000_000_000);
    assert_eq!(mbr[..440], [0xfa; 440]);
    assert_eq!(mbr[458..462], [0xff; 4]);
}

/// gptman reads what we write, and we read what gptman writes.
#[test]
fn agrees_with_gptman() {
    let table = table();
    let disk = image(&table);
    let theirs = gptman::GPT::read_from(&mut Cursor::new(&disk), 512).unwrap();
    assert_eq!(theirs.header.disk_guid, table.disk_guid.to_disk());
    for ours in &table.partitions {
        let entry = &theirs[ours.number];
        assert_eq!(entry.partition_name.as_str(), ours.name);
        assert_eq!(
            (entry.starting_lba, entry.ending_lba),
            (ours.first_lba, ours.last_lba)
        );
        assert_eq!(entry.unique_partition_guid, ours.guid.to_disk());
        assert_eq!(entry.attribute_bits, ours.attributes.0);
    }
    let mut written = Cursor::new(vec![0; disk.len()]);
    let mut theirs = theirs.clone();
    theirs.write_into(&mut written).unwrap();
    assert_eq!(load_image(written.get_ref()).unwrap().table, table);
}

proptest! {
    #[test]
    fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..1024), lba: u64) {
        let _ = decode_header(&bytes, lba);
        let _ = load(&mut Cursor::new(&bytes), 512, bytes.len() as u64 / 512);
    }

    /// A header with a right checksum and any other content.
    #[test]
    fn signed_garbage_never_panics(mut sector in prop::collection::vec(any::<u8>(), 512), entries in prop::collection::vec(any::<u8>(), 0..4096), count in 0u32..64) {
        sector[..8].copy_from_slice(b"EFI PART");
        sector[8..16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
        sector[24..32].copy_from_slice(&1u64.to_le_bytes());
        sector[80..84].copy_from_slice(&count.to_le_bytes());
        sector[84..88].copy_from_slice(&128u32.to_le_bytes());
        let covered = entries.len().min(count as usize * 128);
        sector[88..92].copy_from_slice(&crc32(&entries[..covered]).to_le_bytes());
        sector[16..20].fill(0);
        let crc = crc32(&sector[..92]);
        sector[16..20].copy_from_slice(&crc.to_le_bytes());
        if let Ok(header) = decode_header(&sector, 1) {
            let _ = decode_entries(&header, &entries, 512);
        }
    }

    #[test]
    fn round_trip(sizes in prop::collection::vec((1u64..5, "[a-zA-Z0-9_. äß]{0,36}", any::<u64>()), 0..12), grow in 0u64..40) {
        let mut table = Table::new(512, 64 * MIB, Guid::from_random([3; 16])).unwrap();
        let mut at = 1;
        for (size, name, bits) in sizes {
            let mut new = partition(0, at, size, &name);
            new.guid = Guid::from_random([at as u8; 16]);
            new.attributes = Attributes(bits);
            table.add(new).unwrap();
            at += size;
        }
        table.move_backup((64 + grow) * MIB).unwrap();
        if let Some((first_lba, last_lba)) = table.largest_free() {
            table.add(Partition { first_lba, last_lba, ..partition(0, 0, 1, "root") }).unwrap();
        }
        let encoded = table.encode().unwrap();
        let header = decode_header(&encoded.primary[..512], 1).unwrap();
        prop_assert_eq!(&decode_entries(&header, &encoded.primary[512..], 512).unwrap(), &table);
        let at = encoded.backup.len() - 512;
        let header = decode_header(&encoded.backup[at..], table.disk_sectors - 1).unwrap();
        prop_assert_eq!(&decode_entries(&header, &encoded.backup, 512).unwrap(), &table);
    }
}
