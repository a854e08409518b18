//! Hashes of single blocks: made, and read back from a stored tree.

use std::io;
use std::os::unix::fs::FileExt;

use init::verity::{SUPERBLOCK_SIZE, Superblock};
use sha2::{Digest, Sha256};

use super::{BLOCK, DIGEST, Error, HashTree, leaves_start};

/// Largest number of data blocks that [`read`] takes: those of 64 GiB.
const MAX_BLOCKS: u64 = 16 << 20;

/// Hashes blocks with a salt.
#[derive(Debug, Clone)]
pub struct Hasher(Sha256);

impl Hasher {
    /// A hasher; the same salt for all releases of a product keeps the hashes of
    /// blocks that did not change.
    pub fn new(salt: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(salt))
    }

    /// Hash of one block.
    pub fn block(&self, block: &[u8]) -> [u8; DIGEST] {
        self.0.clone().chain_update(block).finalize().into()
    }

    /// Appends the hashes of `blocks` to `out`.
    pub fn hash(&self, blocks: &[u8], out: &mut Vec<u8>) {
        out.reserve(blocks.len() / BLOCK * DIGEST);
        for block in blocks.chunks(BLOCK) {
            out.extend_from_slice(&self.block(block));
        }
    }
}

/// What a stored tree says of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Salt of the hashes.
    pub salt: Vec<u8>,
    /// Hashes of all blocks in order.
    pub leaves: Vec<u8>,
    /// The root hash above these leaves: whether they are what the running system
    /// was booted with is the caller's comparison.
    pub root_hash: [u8; DIGEST],
}

/// Reads the leaves out of a hash partition made by this project.
///
/// The levels above are made again from the leaves, not read.
pub fn read(hash: &dyn FileExt) -> io::Result<Stored> {
    let mut block = [0; SUPERBLOCK_SIZE];
    hash.read_exact_at(&mut block, 0)?;
    let superblock = Superblock::decode(&block).map_err(invalid)?;
    let blocks = superblock.data_blocks;
    if superblock.hash_type != 1
        || superblock.algorithm != "sha256"
        || superblock.data_block_size != BLOCK as u32
        || superblock.hash_block_size != BLOCK as u32
    {
        let kind = superblock.table("data", "hash", "root", &[]);
        return Err(invalid(Error::Foreign(kind)));
    }
    if blocks > MAX_BLOCKS {
        return Err(invalid(Error::Foreign(format!("{blocks} blocks"))));
    }
    if blocks == 1 {
        return Err(invalid(Error::Foreign("a single block".to_owned())));
    }
    let mut leaves = vec![0; blocks as usize * DIGEST];
    hash.read_exact_at(&mut leaves, leaves_start(blocks))?;
    let tree = HashTree::from_leaves(leaves.clone(), &superblock.salt).map_err(invalid)?;
    Ok(Stored {
        salt: superblock.salt,
        leaves,
        root_hash: tree.root_hash,
    })
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
