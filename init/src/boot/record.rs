//! The reason of a failed boot, kept for the next good one.
//!
//! No file system of ours is mounted when most failures happen, and BIOS machines have no variables. So the reason goes
//! to the 4096 bytes before the first mebibyte of our disk, an area no partition of ours uses: a magic, the CRC-32 and
//! the length of the text, the text. When not even the disk is found the reason is on the console alone.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;

use crate::gpt::crc32;

/// Bytes of a record.
pub const SIZE: usize = 4096;
/// Where on the disk it is, in bytes.
pub const OFFSET: u64 = 1024 * 1024 - SIZE as u64;

const MAGIC: &[u8; 16] = b"holdfast-failed\x01";
const HEADER: usize = 24;

/// Encodes a reason; a long one is cut.
pub fn encode(text: &str) -> [u8; SIZE] {
    let mut record = [0; SIZE];
    let text = &text.as_bytes()[..text.len().min(SIZE - HEADER)];
    record[..16].copy_from_slice(MAGIC);
    record[16..20].copy_from_slice(&crc32(text).to_le_bytes());
    record[20..24].copy_from_slice(&(text.len() as u32).to_le_bytes());
    record[HEADER..HEADER + text.len()].copy_from_slice(text);
    record
}

/// The reason in a record, if there is one.
pub fn decode(record: &[u8]) -> Option<String> {
    let header: &[u8; HEADER] = record.first_chunk()?;
    if &header[..16] != MAGIC {
        return None;
    }
    let number = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let text = record[HEADER..].get(..number(20) as usize)?;
    (crc32(text) == number(16)).then(|| String::from_utf8_lossy(text).into_owned())
}

/// Writes a reason to a disk (path of its node) and waits until it is there.
pub fn write(disk: &str, text: &str) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(disk)?;
    file.write_all_at(&encode(text), OFFSET)?;
    file.sync_all()
}

/// Takes the reason off a disk, if there is one.
pub fn take(disk: &str) -> io::Result<Option<String>> {
    let mut record = [0; SIZE];
    OpenOptions::new()
        .read(true)
        .open(disk)?
        .read_exact_at(&mut record, OFFSET)?;
    let text = decode(&record);
    if text.is_some() {
        let file = OpenOptions::new().write(true).open(disk)?;
        file.write_all_at(&[0; SIZE], OFFSET)?;
        file.sync_all()?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(decode(&encode("no disk")), Some("no disk".into()));
        assert_eq!(
            decode(&encode(&"x".repeat(9999))).map(|text| text.len()),
            Some(SIZE - HEADER)
        );
        assert_eq!(decode(&[0; SIZE]), None);
        let mut damaged = encode("no disk");
        damaged[HEADER] ^= 1;
        assert_eq!(decode(&damaged), None);
    }

    #[test]
    fn taken_once() {
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(2 << 20).unwrap();
        let path = disk.path().to_str().unwrap();
        assert_eq!(take(path).unwrap(), None);
        write(path, "why").unwrap();
        assert_eq!(take(path).unwrap(), Some("why".into()));
        assert_eq!(take(path).unwrap(), None);
    }

    proptest! {
        #[test]
        fn decoding_never_panics(mut record in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&record);
            if record.len() >= 24 {
                record[..16].copy_from_slice(MAGIC);
                let _ = decode(&record);
            }
        }
    }
}
