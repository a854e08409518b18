//! A program is signed, read back and changed.

use proptest::prelude::*;

use super::*;
use crate::boot::pe::checksum;
use crate::boot::secure_boot::testing;

/// A PE32+ file with room for signatures, and a section of 100 bytes and one of 512 with
/// a byte behind them that no section has.
pub fn program() -> Vec<u8> {
    let mut file = vec![0u8; 0x400];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40u32.to_le_bytes());
    put(0x40, b"PE\0\0\x64\x86\x02\0");
    put(0x54, &(112 + 16 * 8u16).to_le_bytes());
    let optional = 0x58;
    put(optional, &0x20bu16.to_le_bytes());
    put(optional + 60, &0x400u32.to_le_bytes());
    put(optional + 108, &16u32.to_le_bytes());
    for (n, (len, at)) in [(512u32, 0x464u32), (100, 0x400)].into_iter().enumerate() {
        let section = optional + 112 + 16 * 8 + 40 * n;
        put(section + 16, &len.to_le_bytes());
        put(section + 20, &at.to_le_bytes());
    }
    file.extend((0..613u32).map(|n| n as u8));
    file
}

fn offset(program: &[u8]) -> (Layout, usize) {
    let layout = Layout::parse(program).expect("a program");
    let checksum = layout.checksum.start;
    (layout, checksum)
}

#[test]
fn the_hash_is_over_all_but_what_signing_changes() {
    use sha2::{Digest, Sha256};
    let file = program();
    let (layout, at) = offset(&file);
    assert_eq!((at, layout.entry.clone()), (0x98, 0xe8..0xf0));
    let plain = [&file[..at], &file[at + 4..0xe8], &file[0xf0..]].concat();
    let want: [u8; 32] = Sha256::digest(plain).into();
    assert_eq!(hash::hash(&file, &layout), want);
}

#[test]
fn signed_programs_are_read_back() {
    let signer = testing::signer();
    let file = program();
    assert_eq!(read(&file).expect("a program"), []);
    let signed = sign(&file, &signer).expect("signs");
    assert_eq!(signed, sign(&file, &signer).expect("signs"));
    assert_eq!(signed.len() % 8, 0);
    // Nothing moves: GRUB reads kernel and initrd at their places in the file.
    let (layout, at) = offset(&signed);
    let (a, b) = (at + 4, layout.entry.clone());
    assert_eq!(signed[..at], file[..at]);
    assert_eq!(signed[a..b.start], file[a..b.start]);
    assert_eq!(signed[b.end..file.len()], file[b.end..]);
    let mut zero = signed.clone();
    zero[at..a].fill(0);
    assert_eq!(signed[at..a], checksum(&zero).to_le_bytes());

    let [found] = &read(&signed).expect("reads")[..] else {
        panic!("one signature");
    };
    assert_eq!(found.certificate, *signer.certificate());
    assert!(found.intact);
    assert!(sign(&signed, &signer).is_err(), "twice");
    for at in [0x30, 0x3f0, 0x400, file.len() - 1] {
        let mut changed = signed.clone();
        changed[at] ^= 1;
        assert!(!read(&changed).expect("reads")[0].intact, "{at:#x}");
    }
}

#[test]
fn headers_without_room_are_refused() {
    let mut file = program();
    file[0x58 + 108] = 4;
    assert!(sign(&file, &testing::signer()).is_err());
    assert!(sign(b"MZ", &testing::signer()).is_err());
}

/// `testdata/sbsign.efi` is `program()`, signed by sbsign 0.9.4 with the key of `testing`.
#[test]
fn signatures_of_others_are_read() {
    let file = include_bytes!("testdata/sbsign.efi");
    let [found] = &read(file).expect("reads")[..] else {
        panic!("one signature");
    };
    assert!(found.intact);
    assert_eq!(found.certificate, *testing::signer().certificate());
}

proptest! {
    #[test]
    fn never_panics(at in 0usize..0x700, bytes in prop::collection::vec(any::<u8>(), 1..8), cut in 0usize..0x900) {
        let mut file = sign(&program(), &testing::signer()).expect("signs");
        for (to, from) in file.iter_mut().skip(at).zip(bytes) {
            *to = from;
        }
        file.truncate(file.len().saturating_sub(cut));
        let _ = read(&file);
    }

    #[test]
    fn foreign_signatures_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..2000) {
        let _ = pkcs7::open(&bytes);
        let file = sign(&program(), &testing::signer()).expect("signs");
        let parsed = Layout::parse(&file).expect("parses");
        let found = table::read(&file, &parsed).expect("reads");
        let mut message = found[0].to_vec();
        for (to, from) in message.iter_mut().skip(at).zip(bytes) {
            *to = from;
        }
        let _ = pkcs7::open(&message);
    }
}
