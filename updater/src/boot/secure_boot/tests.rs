//! Signatures and certificates in `testdata/secure_boot` were made by openssl and
//! osslsigncode: `leaf` signed, for which `mid` vouches, for which `root` does;
//! `other` has to do with none of them.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::boot::testing::{make_uki, signed};

fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/secure_boot");
    fs::read(format!("{folder}/{name}")).unwrap()
}

/// A list of one type; entries have the same length.
fn list(kind: &[u8], entries: &[Vec<u8>]) -> Vec<u8> {
    let one = OWNER + entries[0].len();
    let lengths = [LIST + 4 + one * entries.len(), 4, one];
    let lengths = lengths.map(|n| (n as u32).to_le_bytes()).concat();
    let entries = entries.iter().flat_map(|e| [&[9; OWNER], &e[..]].concat());
    [kind, &lengths, b"head"]
        .concat()
        .into_iter()
        .chain(entries)
        .collect()
}

fn firmware(certificates: &[&str]) -> SecureBoot {
    let hashes = list(&[7; 16], &[vec![1; 32], vec![2; 32]]);
    let lists = certificates.iter().map(|name| list(&X509, &[file(name)]));
    let db: Vec<u8> = hashes.into_iter().chain(lists.flatten()).collect();
    SecureBoot {
        known: super::certificates(&db),
    }
}

fn uki(signature: Option<&str>) -> Vec<u8> {
    let plain = make_uki(&"2".parse().unwrap(), "quiet", 5000);
    match signature {
        Some(name) => signed(plain, &file(name)),
        None => plain,
    }
}

#[test]
fn f16_a_kernel_image_that_the_firmware_would_refuse_is_told() {
    let (plain, leaf, other) = (uki(None), uki(Some("leaf.p7")), uki(Some("other.p7")));
    for known in ["root.cer", "mid.cer", "leaf.cer"] {
        let firmware = firmware(&["other.cer", known]);
        assert_eq!(firmware.known.len(), 2);
        assert_eq!(firmware.check(&leaf, &plain), Ok(()), "{known}");
        assert_eq!(firmware.check(&plain, &leaf), Err(Unstartable::Unsigned));
    }
    let other_firmware = firmware(&["other.cer"]);
    let unknown = other_firmware.check(&leaf, &other).unwrap_err();
    assert_eq!(unknown, Unstartable::Unknown("Example release 2026".into()));
    // The image that runs was started, whatever `db` says; what vouches for it was not.
    assert_eq!(other_firmware.check(&leaf, &leaf), Ok(()));
    assert!(firmware(&[]).check(&other, &leaf).is_err());
    // A signature that cannot be read is none.
    let cut = signed(plain.clone(), &file("leaf.p7")[..900]);
    assert_eq!(
        other_firmware.check(&cut, &leaf),
        Err(Unstartable::Unsigned)
    );
}

#[test]
fn one_of_several_signatures_is_enough() {
    let both = signed(uki(Some("leaf.p7")), &file("other.p7"));
    assert_eq!(signatures(&both).unwrap().len(), 2);
    for known in ["root.cer", "other.cer"] {
        assert_eq!(firmware(&[known]).check(&both, &[]), Ok(()));
    }
}

#[test]
fn the_firmware_is_asked() {
    let root = tempfile::tempdir().unwrap();
    let vars = root.path().join("sys/firmware/efi/efivars");
    fs::create_dir_all(&vars).unwrap();
    assert_eq!(SecureBoot::of_machine(root.path()), None);
    let path = vars.join("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    for off in [&[6, 0, 0, 0, 0][..], &[6, 0, 0, 0], &[1]] {
        fs::write(&path, off).unwrap();
        assert_eq!(SecureBoot::of_machine(root.path()), None);
    }
    fs::write(&path, [6, 0, 0, 0, 1]).unwrap();
    let none = SecureBoot::of_machine(root.path()).unwrap();
    assert!(none.known.is_empty());
    let db = [&[7, 0, 0, 0], &list(&X509, &[file("root.cer")])[..]].concat();
    let path = vars.join("db-d719b2cb-3d3a-4596-a3bc-dad00e67656f");
    fs::write(path, db).unwrap();
    let asked = SecureBoot::of_machine(root.path());
    assert_eq!(asked, Some(firmware(&["root.cer"])));
}

proptest! {
    /// Whatever is wrong with a signature or a list.
    #[test]
    fn never_panics(at in 0usize..2300, byte in any::<u8>(), cut in 0usize..2300) {
        let mut p7 = file("leaf.p7");
        let len = p7.len();
        p7[at % len] = byte;
        p7.truncate(cut.max(1));
        let _ = firmware(&["root.cer"]).check(&signed(uki(None), &p7), &[]);
        let mut db = list(&X509, &[file("root.cer")]);
        let len = db.len();
        db[at % len] = byte;
        db.truncate(cut);
        let _ = super::certificates(&db);
    }
}
