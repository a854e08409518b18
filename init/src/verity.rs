//! dm-verity: the superblock of a hash device and the line that describes the target to the kernel.
//!
//! The superblock is cryptsetup's version 1 (512 bytes at the start of the hash device, the tree in the next block);
//! the table line is that of the kernel's `Documentation/admin-guide/device-mapper/verity.rst`.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use crate::gpt::Guid;

/// Bytes of an encoded superblock.
pub const SUPERBLOCK_SIZE: usize = 512;
/// The longest salt a superblock holds, in bytes.
pub const MAX_SALT: usize = 256;

const SIGNATURE: &[u8; 8] = b"verity\0\0";

/// What the superblock of a verity device says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// UUID of the device; part of the device-mapper UUID.
    pub uuid: Guid,
    /// Hash format: 1 for all but Chrome OS.
    pub hash_type: u32,
    /// Hash algorithm as the kernel names it, for example `sha256`.
    pub algorithm: String,
    /// Bytes of a data block.
    pub data_block_size: u32,
    /// Bytes of a hash block.
    pub hash_block_size: u32,
    /// Number of data blocks.
    pub data_blocks: u64,
    /// Salt, at most 256 bytes.
    pub salt: Vec<u8>,
}

/// Why bytes are not a superblock we can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Fewer than 512 bytes.
    Short(usize),
    /// No `verity` signature.
    NoSignature,
    /// A field with a value that cannot be right.
    Field(&'static str, u64),
    /// An algorithm name that is empty, too long, or has strange characters.
    Algorithm(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(have) => write!(
                f,
                "verity superblock needs {SUPERBLOCK_SIZE} bytes, found {have}"
            ),
            Self::NoSignature => f.write_str("no verity superblock"),
            Self::Field(field, value) => write!(f, "verity superblock: {field} cannot be {value}"),
            Self::Algorithm(name) => write!(f, "verity superblock: algorithm cannot be {name:?}"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "write the usr-verity partition again from the same build as usr"
    }
}

impl Superblock {
    /// Decodes the first 512 bytes of a hash device.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let block: &[u8; SUPERBLOCK_SIZE] = bytes.first_chunk().ok_or(Error::Short(bytes.len()))?;
        if &block[..8] != SIGNATURE {
            return Err(Error::NoSignature);
        }
        let u32_at = |at: usize| {
            u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
        };
        let version = u32_at(8);
        if version != 1 {
            return Err(Error::Field("version", version.into()));
        }
        let uuid = std::array::from_fn(|at| block[16 + at]);
        let name: Vec<u8> = block[32..64]
            .iter()
            .copied()
            .take_while(|byte| *byte != 0)
            .collect();
        let salt_size = usize::from(u16::from_le_bytes([block[80], block[81]]));
        let salt = block[88..88 + MAX_SALT]
            .get(..salt_size)
            .ok_or(Error::Field("salt size", salt_size as u64))?;
        let superblock = Self {
            uuid: Guid::from_bytes(uuid),
            hash_type: u32_at(12),
            algorithm: String::from_utf8_lossy(&name).into_owned(),
            data_block_size: u32_at(64),
            hash_block_size: u32_at(68),
            data_blocks: u64::from(u32_at(72)) | u64::from(u32_at(76)) << 32,
            salt: salt.to_vec(),
        };
        superblock.check()?;
        Ok(superblock)
    }

    /// Encodes the superblock.
    pub fn encode(&self) -> Result<[u8; SUPERBLOCK_SIZE], Error> {
        self.check()?;
        let mut block = [0; SUPERBLOCK_SIZE];
        block[..8].copy_from_slice(SIGNATURE);
        block[8..12].copy_from_slice(&1u32.to_le_bytes());
        block[12..16].copy_from_slice(&self.hash_type.to_le_bytes());
        block[16..32].copy_from_slice(self.uuid.as_bytes());
        block[32..32 + self.algorithm.len()].copy_from_slice(self.algorithm.as_bytes());
        block[64..68].copy_from_slice(&self.data_block_size.to_le_bytes());
        block[68..72].copy_from_slice(&self.hash_block_size.to_le_bytes());
        block[72..80].copy_from_slice(&self.data_blocks.to_le_bytes());
        block[80..82].copy_from_slice(&(self.salt.len() as u16).to_le_bytes());
        block[88..88 + self.salt.len()].copy_from_slice(&self.salt);
        Ok(block)
    }

    fn check(&self) -> Result<(), Error> {
        if self.hash_type > 1 {
            return Err(Error::Field("hash type", self.hash_type.into()));
        }
        for (name, size) in [
            ("data block size", self.data_block_size),
            ("hash block size", self.hash_block_size),
        ] {
            if !size.is_power_of_two() || !(512..=65536).contains(&size) {
                return Err(Error::Field(name, size.into()));
            }
        }
        // The device's length in 512-byte sectors must fit, too.
        if self.data_blocks == 0 || self.data_blocks > u64::MAX / u64::from(self.data_block_size) {
            return Err(Error::Field("number of data blocks", self.data_blocks));
        }
        if self.salt.len() > MAX_SALT {
            return Err(Error::Field("salt size", self.salt.len() as u64));
        }
        let name_ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.algorithm.is_empty()
            || self.algorithm.len() > 31
            || !self.algorithm.chars().all(name_ok)
        {
            return Err(Error::Algorithm(self.algorithm.clone()));
        }
        Ok(())
    }

    /// Length of the verified device in 512-byte sectors.
    pub fn data_sectors(&self) -> u64 {
        self.data_blocks * u64::from(self.data_block_size) / 512
    }

    /// Offsets in bytes, on the hash device, of the first block of each level of the tree, the top level first.
    ///
    /// Digests of 32 bytes; the levels lie one after the other, the top one in the block after the superblock.
    fn first_tree_blocks(&self) -> Vec<u64> {
        let per_block = u64::from(self.hash_block_size) / 32;
        let mut blocks = self.data_blocks;
        let mut levels = Vec::new();
        while blocks > 1 {
            blocks = blocks.div_ceil(per_block);
            levels.push(blocks);
        }
        let mut at = 1;
        let mut offsets = Vec::new();
        for blocks in levels.iter().rev() {
            offsets.push(at * u64::from(self.hash_block_size));
            at += blocks;
        }
        offsets
    }

    /// Whether the first block of the data belongs to the root hash, by the blocks of the tree above it. None when the
    /// tree is not of the kind we make (SHA-256, salt first).
    pub fn matches(&self, root: &[u8; 32], data: &File, tree: &File) -> io::Result<Option<bool>> {
        if self.hash_type != 1 || self.algorithm != "sha256" {
            return Ok(None);
        }
        let mut expected = *root;
        let on_tree = self.first_tree_blocks().into_iter();
        let blocks = on_tree.map(|at| (tree, at, self.hash_block_size)).chain([(
            data,
            0,
            self.data_block_size,
        )]);
        for (device, at, size) in blocks {
            let mut block = vec![0; size as usize];
            device.read_exact_at(&mut block, at)?;
            let digest = Sha256::new().chain_update(&self.salt).chain_update(&block);
            if digest.finalize()[..] != expected {
                return Ok(Some(false));
            }
            // The digest of the first block of the level below comes first.
            expected.copy_from_slice(&block[..32]);
        }
        Ok(Some(true))
    }

    /// Parameters of the kernel's `verity` target. `data` and `hash` are paths or `major:minor`; the tree starts in the
    /// block after the superblock.
    pub fn table(&self, data: &str, hash: &str, root_hash: &str, options: &[&str]) -> String {
        let salt: String = if self.salt.is_empty() {
            "-".into()
        } else {
            hex(&self.salt)
        };
        let mut line = format!(
            "{} {data} {hash} {} {} {} 1 {} {root_hash} {salt}",
            self.hash_type,
            self.data_block_size,
            self.hash_block_size,
            self.data_blocks,
            self.algorithm
        );
        if !options.is_empty() {
            line.push_str(&format!(" {} {}", options.len(), options.join(" ")));
        }
        line
    }
}

/// Lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn superblock() -> Superblock {
        Superblock {
            uuid: "d2ac1b1e-2f1c-4f3a-9a0b-0123456789ab".parse().unwrap(),
            hash_type: 1,
            algorithm: "sha256".into(),
            data_block_size: 4096,
            hash_block_size: 4096,
            data_blocks: 1000,
            salt: vec![0xaa; 32],
        }
    }

    #[test]
    fn fields_are_where_cryptsetup_has_them() {
        let block = superblock().encode().unwrap();
        assert_eq!(block[..16], *b"verity\0\0\x01\0\0\0\x01\0\0\0");
        assert_eq!(block[32..40], *b"sha256\0\0");
        assert_eq!(block[72..82], [0xe8, 3, 0, 0, 0, 0, 0, 0, 32, 0]);
        assert_eq!(block[88..120], [0xaa; 32]);
        assert_eq!(Superblock::decode(&block).unwrap(), superblock());
    }

    #[test]
    fn table_line() {
        let mut superblock = superblock();
        superblock.salt = vec![1, 0xff];
        assert_eq!(
            superblock.table("254:4", "254:5", "00ff", &[]),
            "1 254:4 254:5 4096 4096 1000 1 sha256 00ff 01ff"
        );
        superblock.salt.clear();
        assert_eq!(
            superblock.table(
                "a",
                "b",
                "00",
                &["restart_on_corruption", "restart_on_error"]
            ),
            "1 a b 4096 4096 1000 1 sha256 00 - 2 restart_on_corruption restart_on_error"
        );
        assert_eq!(superblock.data_sectors(), 8000);
    }

    #[test]
    fn wrong_fields_are_refused() {
        let good = superblock().encode().unwrap();
        for (at, value) in [(0, 0), (8, 2), (12, 2), (32, b' '), (64, 1), (81, 2)] {
            let mut bad = good;
            bad[at] = value;
            assert!(Superblock::decode(&bad).is_err(), "byte {at} = {value}");
        }
        assert_eq!(Superblock::decode(&good[..511]), Err(Error::Short(511)));
    }

    proptest! {
        #[test]
        fn decoding_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = Superblock::decode(&bytes);
            if bytes.len() >= 16 {
                bytes[..16].copy_from_slice(b"verity\0\0\x01\0\0\0\x01\0\0\0");
                if let Ok(superblock) = Superblock::decode(&bytes) {
                    prop_assert_eq!(Superblock::decode(&superblock.encode().unwrap()).unwrap(), superblock);
                }
            }
        }
    }
}
