//! The dm-verity hash tree (format 1, SHA-256, 4 KiB blocks), as `veritysetup
//! format` lays it out: superblock in the first block, then the levels, the one
//! nearest to the root first and the leaves last.
//!
//! [`leaves::Hasher`] makes leaves out of blocks, [`HashTree::from_leaves`] makes a
//! tree out of leaves, and [`Builder`] does both while data comes in.

mod builder;
mod leaves;

use init::gpt::Guid;
use init::verity::Superblock;

pub use builder::Builder;
pub use leaves::{Hasher, Stored, read};

/// Size of data and hash blocks in bytes.
pub const BLOCK: usize = 4096;
/// Size of a hash in bytes.
pub const DIGEST: usize = 32;

/// A hash tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTree {
    /// The root hash: names all data.
    pub root_hash: [u8; DIGEST],
    /// Number of data blocks covered.
    pub data_blocks: u64,
    /// Content of the hash partition: superblock and levels.
    pub bytes: Vec<u8>,
}

/// Why there is no tree.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Data that is empty or not a whole number of blocks.
    #[error("{0} bytes are not a whole number of 4 KiB blocks")]
    PartOfBlock(u64),
    /// More or less data than was announced.
    #[error("{got} blocks came where {expected} were announced")]
    Blocks {
        /// Announced.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// A superblock that cannot be, for example with a salt of more than 256 bytes.
    #[error(transparent)]
    Superblock(#[from] init::verity::Error),
    /// A stored tree of another kind than this code makes.
    #[error("a hash tree with {0} is not one of ours")]
    Foreign(String),
}

impl HashTree {
    /// Makes the tree above `leaves`, the hashes of all blocks in order.
    ///
    /// The superblock's UUID is derived from the root hash, so that the same data
    /// gives the same bytes.
    pub fn from_leaves(mut leaves: Vec<u8>, salt: &[u8]) -> Result<Self, Error> {
        if leaves.is_empty() || !leaves.len().is_multiple_of(DIGEST) {
            return Err(Error::PartOfBlock(leaves.len() as u64));
        }
        let data_blocks = (leaves.len() / DIGEST) as u64;
        let hasher = Hasher::new(salt);
        let mut root_hash: [u8; DIGEST] = std::array::from_fn(|at| leaves[at]);
        let mut levels = Vec::new();
        // A single data block needs no level: its hash is the root hash.
        if data_blocks > 1 {
            pad(&mut leaves);
            levels.push(leaves);
            while let Some(level) = levels.last().filter(|level| level.len() > BLOCK) {
                let mut above = Vec::new();
                hasher.hash(level, &mut above);
                pad(&mut above);
                levels.push(above);
            }
            root_hash = levels.last().map_or(root_hash, |top| hasher.block(top));
        }
        let superblock = Superblock {
            uuid: partition_guids(&root_hash).0,
            hash_type: 1,
            algorithm: "sha256".to_owned(),
            data_block_size: BLOCK as u32,
            hash_block_size: BLOCK as u32,
            data_blocks,
            salt: salt.to_vec(),
        };
        let mut bytes = superblock.encode()?.to_vec();
        pad(&mut bytes);
        for level in levels.iter().rev() {
            bytes.extend_from_slice(level);
        }
        Ok(Self {
            root_hash,
            data_blocks,
            bytes,
        })
    }

    /// The root hash in hexadecimal, as in `usrhash=`.
    pub fn root_hex(&self) -> String {
        init::verity::hex(&self.root_hash)
    }

    /// The hashes of all blocks in order, [`DIGEST`] bytes each.
    pub fn leaves(&self) -> &[u8] {
        let len = self.data_blocks as usize * DIGEST;
        match self.data_blocks {
            1 => &self.root_hash,
            blocks => {
                let start = leaves_start(blocks) as usize;
                &self.bytes[start..start + len]
            }
        }
    }
}

/// The PARTUUIDs that the Discoverable Partitions Specification derives from a
/// root hash: of the data partition and of the hash partition.
pub fn partition_guids(root_hash: &[u8; DIGEST]) -> (Guid, Guid) {
    let half = |from: usize| Guid::from_bytes(std::array::from_fn(|i| root_hash[from + i]));
    (half(0), half(16))
}

/// Bytes of a hash partition for `data_blocks` blocks of data.
pub fn size(data_blocks: u64) -> u64 {
    (1 + levels(data_blocks).sum::<u64>()) * BLOCK as u64
}

/// Byte of the hash partition at which the leaves of a tree with more than one
/// data block start: they are its last level.
fn leaves_start(data_blocks: u64) -> u64 {
    size(data_blocks) - levels(data_blocks).next().unwrap_or(0) * BLOCK as u64
}

/// Hash blocks of each level, from the leaves up.
fn levels(data_blocks: u64) -> impl Iterator<Item = u64> {
    let above = |blocks: &u64| (*blocks > 1).then(|| blocks.div_ceil((BLOCK / DIGEST) as u64));
    std::iter::successors(above(&data_blocks), above)
}

fn pad(level: &mut Vec<u8>) {
    level.resize(level.len().next_multiple_of(BLOCK), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Root hashes as printed by `veritysetup format --salt aa.. --uuid ..`
    /// (cryptsetup 2.7).
    const KNOWN: [(u64, &str); 4] = [
        (
            1,
            "3764412dbf98f27f85d73ea7a2272af1f46a894ca0dfedd5f8ab4514f3a22361",
        ),
        (
            2,
            "27d4da6f2ddbdf0823c3540c53c2888c2d5e01bd415c1150b9a1af6d3b3fbb2e",
        ),
        (
            128,
            "7eaf4dd1ae49468d85c117bdbc2c527d38e19fa07342a1481039a43ea08a5fa5",
        ),
        (
            129,
            "e8880b27aaac33d88c52090221c79fac52cddd446573ac32a14890f2c447f5df",
        ),
    ];

    fn data(blocks: u64) -> Vec<u8> {
        (0..blocks as usize * BLOCK)
            .map(|i| (i / BLOCK + i % 251) as u8)
            .collect()
    }

    #[test]
    fn agrees_with_veritysetup_however_data_comes() {
        for (blocks, root) in KNOWN {
            let data = data(blocks);
            for piece in [1000, BLOCK, 3 * BLOCK + 5, data.len()] {
                let mut builder = Builder::new(blocks, &[0xaa; 32]);
                for piece in data.chunks(piece) {
                    builder.update(piece);
                }
                let tree = builder.finish().unwrap();
                assert_eq!(tree.root_hex(), root, "{blocks} blocks");
                assert_eq!(tree.bytes.len() as u64, size(blocks));
                let mut leaves = Vec::new();
                Hasher::new(&[0xaa; 32]).hash(&data, &mut leaves);
                assert_eq!(tree.leaves(), leaves);
            }
        }
    }

    #[test]
    fn known_leaves_stand_for_their_blocks() {
        let (blocks, root) = KNOWN[3];
        let data = data(blocks);
        let mut leaves = Vec::new();
        Hasher::new(&[0xaa; 32]).hash(&data, &mut leaves);
        let mut builder = Builder::new(blocks, &[0xaa; 32]);
        builder.update(&data[..10 * BLOCK]);
        builder.leaves(&leaves[10 * DIGEST..100 * DIGEST]).unwrap();
        builder.update(&data[100 * BLOCK..]);
        assert_eq!(builder.finish().unwrap().root_hex(), root);
    }

    #[test]
    fn announced_and_real_length_must_agree() {
        let mut builder = Builder::new(2, &[]);
        builder.update(&[0; BLOCK]);
        assert!(builder.clone().finish().is_err());
        builder.update(&[0; 7]);
        assert!(builder.leaves(&[0; DIGEST]).is_err());
        assert!(builder.clone().finish().is_err());
        builder.update(&[0; BLOCK - 7]);
        assert!(builder.clone().finish().is_ok());
        builder.update(&[0]);
        assert!(builder.finish().is_err());
        assert!(HashTree::from_leaves(vec![], &[]).is_err());
        assert!(HashTree::from_leaves(vec![0; 33], &[]).is_err());
        assert!(HashTree::from_leaves(vec![0; 32], &[0; 257]).is_err());
    }

    #[test]
    fn a_stored_tree_gives_its_leaves() {
        for (blocks, _) in &KNOWN[1..] {
            let blocks = *blocks;
            let mut builder = Builder::new(blocks, &[0xaa; 32]);
            builder.update(&data(blocks));
            let tree = builder.finish().unwrap();
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, &tree.bytes).unwrap();
            let stored = read(&file).unwrap();
            assert_eq!(stored.leaves, tree.leaves());
            assert_eq!(stored.salt, [0xaa; 32]);
            assert_eq!(stored.root_hash, tree.root_hash);
        }
    }
}
