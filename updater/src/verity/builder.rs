//! A hash tree made while its data comes in.

use super::{BLOCK, DIGEST, Error, HashTree, Hasher};

/// Takes the data of a file system in order and makes its hash tree. Memory: the
/// tree's, 1/128 of the data.
#[derive(Debug, Clone)]
pub struct Builder {
    hasher: Hasher,
    salt: Vec<u8>,
    data_blocks: u64,
    leaves: Vec<u8>,
    /// Start of a block whose end has not come yet.
    part: Vec<u8>,
}

impl Builder {
    /// For `data_blocks` blocks of data.
    pub fn new(data_blocks: u64, salt: &[u8]) -> Self {
        Self {
            hasher: Hasher::new(salt),
            salt: salt.to_vec(),
            data_blocks,
            leaves: Vec::new(),
            part: Vec::with_capacity(BLOCK),
        }
    }

    /// The next bytes of data.
    pub fn update(&mut self, mut data: &[u8]) {
        if !self.part.is_empty() {
            let (fill, rest) = data.split_at(data.len().min(BLOCK - self.part.len()));
            self.part.extend_from_slice(fill);
            data = rest;
            if self.part.len() < BLOCK {
                return;
            }
            let digest = self.hasher.block(&self.part);
            self.leaves.extend_from_slice(&digest);
            self.part.clear();
        }
        let (whole, rest) = data.split_at(data.len() / BLOCK * BLOCK);
        self.hasher.hash(whole, &mut self.leaves);
        self.part.extend_from_slice(rest);
    }

    /// Hashes of the next blocks instead of the blocks: for data that was written
    /// and verified before.
    pub fn leaves(&mut self, digests: &[u8]) -> Result<(), Error> {
        if !self.part.is_empty() || !digests.len().is_multiple_of(DIGEST) {
            let bytes = self.blocks() * BLOCK as u64 + self.part.len() as u64;
            return Err(Error::PartOfBlock(bytes));
        }
        self.leaves.extend_from_slice(digests);
        Ok(())
    }

    /// Whole blocks taken so far.
    pub fn blocks(&self) -> u64 {
        (self.leaves.len() / DIGEST) as u64
    }

    /// The tree, if all announced data came.
    pub fn finish(self) -> Result<HashTree, Error> {
        if !self.part.is_empty() {
            let bytes = self.blocks() * BLOCK as u64 + self.part.len() as u64;
            return Err(Error::PartOfBlock(bytes));
        }
        if self.blocks() != self.data_blocks {
            return Err(Error::Blocks {
                expected: self.data_blocks,
                got: self.blocks(),
            });
        }
        HashTree::from_leaves(self.leaves, &self.salt)
    }
}
