use std::io;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::vfat::Vfat;
use super::volume::{Event, Volume};
use crate::boot::{Esp, Repaired, repair};

fn with(files: &[(&str, &[u8])]) -> Vfat {
    let mut cursor = Volume::format().cursor();
    let system = fatfs::FileSystem::new(&mut cursor, fatfs::FsOptions::new()).unwrap();
    for folder in ["EFI", "EFI/Linux", "grub", "mine"] {
        system.root_dir().create_dir(folder).unwrap();
    }
    system.unmount().unwrap();
    let esp = Vfat::new(cursor.volume);
    for (path, bytes) in files {
        esp.create(path, bytes).unwrap();
    }
    esp.take_log();
    esp
}

/// Undoes what was written since the last call but for its first `kept` sectors.
fn cut(esp: &Vfat, before: &Volume, kept: usize) -> Vfat {
    let log = esp.take_log();
    Vfat::new(before.with(&log, |n| n < kept))
}

#[test]
fn f5_a_cut_rename_leaves_one_name_and_a_cut_removal_no_lost_clusters() {
    let old = "EFI/Linux/holdfast_1.efi";
    let bytes = [5; 30_000];
    let esp = with(&[(old, &bytes), ("mine/notes", b"mine"), ("grub/a.cfg", b"a")]);
    let before = esp.volume();
    esp.rename(old, "EFI/Linux/holdfast_1+0.efi").unwrap();
    let both = cut(&esp, &before, 2);
    assert_eq!(both.list("EFI/Linux").unwrap().len(), 2);
    let done = Repaired {
        names: 1,
        clusters: 0,
    };
    assert_eq!(repair(&both).unwrap(), done);
    let left = both.list("EFI/Linux").unwrap();
    assert_eq!(left, [("holdfast_1+0.efi".to_owned(), 30_000)]);
    assert_eq!(both.read("EFI/Linux/holdfast_1+0.efi").unwrap(), bytes);

    // Without the clusters, the new name goes.
    let esp = Vfat::new(before.clone());
    esp.rename(old, "EFI/Linux/holdfast_1+0.efi").unwrap();
    let empty = cut(&esp, &before, 1);
    assert_eq!(repair(&empty).unwrap(), done);
    assert_eq!(empty.read(old).unwrap(), bytes);

    // The name is gone, the clusters are not.
    let esp = Vfat::new(before.clone());
    esp.remove(old).unwrap();
    let lost = cut(&esp, &before, 1);
    let done = Repaired {
        names: 0,
        clusters: 8,
    };
    assert_eq!(repair(&lost).unwrap(), done);
    assert_eq!(repair(&lost).unwrap(), Repaired::default());
    assert_eq!(lost.read("mine/notes").unwrap(), b"mine");
    assert_eq!(lost.read("grub/a.cfg").unwrap(), b"a");
}

/// The repair is cut as well, by losses of any sectors, and done again.
#[test]
fn f1_a_repair_that_is_cut_can_be_done_again() {
    let (tmp, uki) = (
        "EFI/Linux/holdfast_2+3.efi.tmp",
        "EFI/Linux/holdfast_2+3.efi",
    );
    let esp = with(&[("EFI/Linux/holdfast_1.efi", &[1; 9000]), (tmp, &[2; 9000])]);
    let before = esp.volume();
    esp.rename(tmp, uki).unwrap();
    esp.remove("EFI/Linux/holdfast_1.efi").unwrap();
    let log = esp.take_log();
    // Neither old name is gone from the disk, or one is without its clusters.
    for kept in [vec![0, 1], vec![0, 1, 4], vec![0, 1, 2, 4, 5]] {
        let damaged = before.with(&log, |n| kept.contains(&n));
        let repaired = Vfat::new(damaged.clone());
        repair(&repaired).unwrap();
        let log = repaired.take_log();
        let writes = log.iter().filter(|e| matches!(e, Event::Write(..)));
        for mask in 0..1u32 << writes.count().min(10) {
            let again = Vfat::new(damaged.with(&log, |n| mask >> (n % 10) & 1 == 1));
            repair(&again).unwrap();
            assert_eq!(repair(&again).unwrap(), Repaired::default());
            assert_eq!(again.read(uki).unwrap(), [2; 9000]);
            assert_eq!(
                again.list("EFI/Linux").unwrap(),
                repaired.list("EFI/Linux").unwrap()
            );
        }
    }
}

#[test]
fn f5_what_belongs_to_others_stays() {
    let esp = with(&[
        ("EFI/Linux/debian.efi", b""),
        ("EFI/Linux/debian.efi.tmp", b"x"),
        ("EFI/Linux/holdfast_3.efi.tmp", b"x"),
        ("mine/a.tmp", b"x"),
        ("grub/b.cfg.tmp", b"x"),
    ]);
    let done = Repaired {
        names: 2,
        clusters: 2,
    };
    assert_eq!(repair(&esp).unwrap(), done);
    assert_eq!(esp.list("EFI/Linux").unwrap().len(), 2);
    assert_eq!(esp.list("mine").unwrap().len(), 1);
    // A damaged file of somebody: no cluster is freed.
    let esp = with(&[("mine/big", &[1; 20_000]), ("mine/other", b"x")]);
    let before = esp.volume();
    esp.remove("mine/big").unwrap();
    let log = esp.take_log();
    let damaged = Vfat::new(before.with(&log, |n| n == 1));
    assert_eq!(repair(&damaged).unwrap(), Repaired::default());
    assert!(damaged.take_log().is_empty());
}

/// Other file systems, and none.
#[test]
fn f5_what_is_no_fat32_is_left_alone() {
    for bytes in [
        vec![0; 4096],
        vec![0xff; 4096],
        b"\xeb<\x90mkfs.fat".repeat(400),
    ] {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        assert_eq!(repair(&file).unwrap(), Repaired::default());
    }
    let short = tempfile::tempfile().unwrap();
    let error = repair(&short).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the sectors hold, it ends without a panic, and done twice it is done.
    #[test]
    fn f5_damage_anywhere(changes in proptest::collection::vec((0u64..40, 0usize..512, any::<u8>()), 1..12)) {
        let files: [(&str, &[u8]); 2] = [("EFI/Linux/holdfast_1.efi", &[1; 9000]), ("grub/a.cfg", b"a")];
        let esp = with(&files);
        let data = esp.layout().sector(2);
        for (place, at, byte) in changes {
            // The boot sector, the tables' start, the folders.
            let sector = match place {
                0..4 => 0,
                4..14 => esp.layout().tables[(place % 2) as usize],
                _ => data + place - 14,
            };
            esp.write_all_at(&[byte], sector * 512 + at as u64).unwrap();
        }
        if repair(&esp).is_ok() {
            let again = repair(&esp);
            prop_assert!(again.is_ok_and(|r| r.names == 0));
        }
    }
}
