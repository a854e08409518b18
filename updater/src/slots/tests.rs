use std::collections::HashSet;

use init::cmdline::RootHash;
use init::gpt::{self, Copy};
use proptest::prelude::*;

use super::testing::{Faults, Log, Op, Ram, image, open};
use super::*;

const OLD: RootHash = RootHash(*b"0123456789abcdefghijklmnopqrstuv");

fn new() -> RootHash {
    RootHash(std::array::from_fn(|at| at as u8))
}

fn v(text: &str) -> Version {
    text.parse().unwrap()
}

fn ram(sector: u32) -> std::sync::Arc<Ram> {
    Ram::new(image(sector, &v("1"), OLD), Log::default())
}

#[test]
fn finds_the_slots() {
    for sector in [512, 4096] {
        let disk = open(&ram(sector), sector, OLD).unwrap();
        assert_eq!(disk.running(), Id::A);
        assert_eq!(disk.running_release(), Some((v("1"), OLD)));
        assert_eq!(disk.inactive().id, Id::B);
        assert_eq!(disk.inactive().content(), Content::Empty);
        assert_eq!(
            (disk.slot(Id::A).usr.number, disk.slot(Id::B).verity.number),
            (4, 7)
        );
        assert_eq!(disk.esp().map(|esp| esp.number), Some(2));
        assert!(disk.damage().is_none());
    }
}

#[test]
fn names_the_inactive_slot_and_no_other() {
    for sector in [512, 4096] {
        let ram = ram(sector);
        let mut disk = open(&ram, sector, OLD).unwrap();
        disk.mark_empty().unwrap();
        let empty = ram.bytes();
        disk.mark_empty().unwrap();
        assert_eq!(ram.bytes(), empty, "a second time changes nothing");
        disk.mark_release(&v("2"), new()).unwrap();
        for disk in [&disk, &open(&ram, sector, OLD).unwrap()] {
            assert_eq!(disk.inactive().content(), Content::Release(v("2"), new()));
            assert_eq!(disk.running_release(), Some((v("1"), OLD)));
        }
        let disk = open(&ram, sector, new()).unwrap();
        assert_eq!((disk.running(), disk.inactive().id), (Id::B, Id::A));
        let (usr, verity) = (&disk.slot(Id::B).usr, &disk.slot(Id::B).verity);
        assert_eq!(usr.guid.to_string(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!(
            verity.guid.to_string(),
            "10111213-1415-1617-1819-1a1b1c1d1e1f"
        );
    }
}

#[test]
fn refuses_what_is_running() {
    let disk = open(&ram(512), 512, OLD).unwrap();
    assert!(disk.check(&v("2"), new(), 1000, 1000).is_ok());
    assert!(matches!(
        disk.check(&v("1"), new(), 1, 1),
        Err(Error::Same(_))
    ));
    assert!(matches!(
        disk.check(&v("2"), OLD, 1, 1),
        Err(Error::Same(_))
    ));
}

#[test]
fn f6_slot_too_small() {
    let disk = open(&ram(512), 512, OLD).unwrap();
    let error = disk.check(&v("2"), new(), testing::USR + 1, 1).unwrap_err();
    assert!(
        matches!(error, Error::TooSmall { number: 6, .. }),
        "{error}"
    );
    let error = disk
        .check(&v("2"), new(), 1, testing::VERITY + 1)
        .unwrap_err();
    assert!(
        matches!(error, Error::TooSmall { number: 7, .. }),
        "{error}"
    );
}

#[test]
fn f6_a_stale_or_damaged_copy_is_written_anew() {
    let ram = ram(512);
    let stale = ram.bytes();
    open(&ram, 512, OLD)
        .unwrap()
        .mark_release(&v("2"), new())
        .unwrap();
    let end = stale.len() - 33 * 512;
    // The backup is that of the image as built: the primary counts.
    let mut bytes = ram.bytes();
    bytes[end..].copy_from_slice(&stale[end..]);
    let ram = Ram::new(bytes.clone(), Log::default());
    let mut disk = open(&ram, 512, OLD).unwrap();
    assert_eq!(disk.inactive().content(), Content::Release(v("2"), new()));
    disk.mark_empty().unwrap();
    assert_ne!(ram.bytes()[end..], stale[end..]);
    // The primary is damaged: the backup counts, and both are good after a change.
    bytes[600] ^= 1;
    let ram = Ram::new(bytes, Log::default());
    let mut disk = open(&ram, 512, OLD).unwrap();
    assert!(disk.damage().is_some());
    assert_eq!(disk.inactive().content(), Content::Empty);
    disk.mark_release(&v("3"), new()).unwrap();
    assert!(open(&ram, 512, OLD).unwrap().damage().is_none());
}

#[test]
fn f6_hybrid_mbr_missing_slots_duplicates_and_resized_disks() {
    let good = ram(512).bytes();
    let open = |bytes: &[u8]| open(&Ram::new(bytes.to_vec(), Log::default()), 512, OLD);
    let mut hybrid = good.clone();
    hybrid[446 + 16 + 4] = 0x0c;
    assert!(matches!(open(&hybrid), Err(Error::Hybrid(_))));
    assert!(matches!(
        open(&good[..good.len() / 2]),
        Err(Error::Table { .. })
    ));
    // A disk that grew keeps its table where it is.
    let mut grown = good.clone();
    grown.resize(good.len() * 2, 0);
    open(&grown).unwrap().mark_empty().unwrap();

    let loaded = gpt::load(
        &mut std::io::Cursor::new(&good),
        512,
        good.len() as u64 / 512,
    );
    let table = loaded.unwrap().table;
    let with = |change: &dyn Fn(&mut gpt::Table)| {
        let mut table = table.clone();
        change(&mut table);
        let encoded = table.encode().unwrap();
        let mut bytes = good.clone();
        bytes[512..512 + encoded.primary.len()].copy_from_slice(&encoded.primary);
        open(&bytes)
    };
    assert!(matches!(
        with(&|t| t.partitions.retain(|p| p.number != 6)),
        Err(Error::Missing {
            usr: 1,
            verity: 2,
            ..
        })
    ));
    assert!(matches!(
        with(&|t| t.partitions[5].guid = t.partitions[3].guid),
        Err(Error::Duplicate(_, 4, 6))
    ));
    assert!(matches!(
        with(&|t| t.partitions[3].guid = t.disk_guid),
        Err(Error::NotRunning { .. })
    ));
    let disk = with(&|t| t.partitions[5].name = "strange".into()).unwrap();
    assert!(matches!(disk.inactive().content(), Content::Unknown(_)));
}

#[test]
fn f4_a_table_that_does_not_stick_is_noticed_before_the_primary_is_touched() {
    let ram = ram(512);
    let before = ram.bytes();
    let backup = before.len() as u64 - 33 * 512;
    for faults in [
        Faults {
            stuck: Some(backup + 5 * 128 + 56),
            ..Faults::default()
        },
        Faults {
            write_error: Some(backup + 100),
            ..Faults::default()
        },
    ] {
        *ram.faults.lock().unwrap() = faults;
        let mut disk = open(&ram, 512, OLD).unwrap();
        assert!(disk.mark_release(&v("2"), new()).is_err());
        assert_eq!(disk.inactive().content(), Content::Empty);
        assert_eq!(ram.bytes()[..backup as usize], before[..backup as usize]);
    }
}

/// The disk after `ops`, with the writes since the last flush that `kept` names.
fn after(image: &[u8], ops: &[Op], kept: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut bytes = image.to_vec();
    let flushed = ops
        .iter()
        .rposition(|op| matches!(op, Op::Sync))
        .unwrap_or(0);
    let mut sector = 0;
    for (number, op) in ops.iter().enumerate() {
        if let Op::Write { at, bytes: new } = op {
            for (piece, at) in new.chunks(512).zip((*at as usize..).step_by(512)) {
                sector += 1;
                if number < flushed || kept(sector) {
                    bytes[at..at + piece.len()].copy_from_slice(piece);
                }
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    /// At every cut of both changes, with any of the unflushed sectors on the disk,
    /// `init` reads the table before or the table after.
    #[test]
    fn f1_a_cut_change_of_the_table_is_old_or_new(seed in any::<u64>(), wide: bool) {
        let sector = if wide { 4096 } else { 512 };
        let log = Log::default();
        let before = image(sector, &v("1"), OLD);
        let ram = Ram::new(before.clone(), log.clone());
        let mut disk = open(&ram, sector, OLD).unwrap();
        disk.mark_empty().unwrap();
        disk.mark_release(&v("2"), new()).unwrap();
        let ops = log.lock().unwrap().clone();
        let mut seen = HashSet::new();
        for end in 0..=ops.len() {
            for mask in [0, u64::MAX, seed, seed.rotate_left(end as u32)] {
                let bytes = after(&before, &ops[..end], |n| mask >> (n % 64) & 1 == 1);
                let count = bytes.len() as u64 / u64::from(sector);
                let loaded = gpt::load(&mut std::io::Cursor::new(&bytes), sector, count).unwrap();
                prop_assert_eq!(loaded.table.partitions.len(), 8);
                let ram = Ram::new(bytes, Log::default());
                let mut disk = open(&ram, sector, OLD).unwrap();
                prop_assert_eq!(disk.running_release(), Some((v("1"), OLD)));
                seen.insert(format!("{:?}", disk.inactive().content()));
                prop_assert!(!matches!(disk.inactive().content(), Content::Unknown(_)));
                disk.mark_release(&v("2"), new()).unwrap();
                let bytes = ram.bytes();
                let loaded = gpt::load(&mut std::io::Cursor::new(&bytes), sector, count).unwrap();
                prop_assert_eq!(loaded.copy, Copy::Primary);
            }
        }
        prop_assert_eq!(seen.len(), 2);
    }

    #[test]
    fn short_and_interrupted_writes_end_in_the_same_bytes(most in 1usize..700) {
        let (whole, parts) = (ram(512), ram(512));
        parts.faults.lock().unwrap().short = Some(most);
        for ram in [&whole, &parts] {
            let mut disk = open(ram, 512, OLD).unwrap();
            disk.mark_release(&v("2"), new()).unwrap();
            let part = disk.inactive().usr.clone();
            let area = disk.area(&part).unwrap();
            area.write(&[7; 5000], 4096).unwrap();
            prop_assert!(area.write(&[7; 2], area.len() - 1).is_err());
            prop_assert!(area.write(&[7; 2], u64::MAX).is_err());
        }
        prop_assert_eq!(whole.bytes(), parts.bytes());
    }
}
