//! The dm-verity hash tree (format 1, SHA-256, 4 KiB blocks), as `veritysetup
//! format` lays it out: superblock in the first block, then the levels, the one
//! nearest to the root first.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use init::gpt::Guid;
use init::verity::Superblock;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Result};

/// Size of data and hash blocks in bytes.
pub const BLOCK: usize = 4096;
const DIGEST: usize = 32;
/// Blocks one task reads and hashes.
const BATCH: usize = 256;

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

impl HashTree {
    /// The root hash in hexadecimal, as in `usrhash=`.
    pub fn root_hex(&self) -> String {
        init::verity::hex(&self.root_hash)
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
    let per_block = (BLOCK / DIGEST) as u64;
    let (mut level, mut blocks) = (data_blocks, 1);
    while level > 1 {
        level = level.div_ceil(per_block);
        blocks += level;
    }
    blocks * BLOCK as u64
}

/// Hashes a file whose length is a multiple of 4 KiB.
///
/// The same salt for all releases of a product keeps the hashes of blocks that
/// did not change, so trees can be compared to find them.
pub fn build(data: &Path, salt: &[u8]) -> Result<HashTree> {
    let file = File::open(data).environment(|| format!("opening {}", data.display()))?;
    let len = file
        .metadata()
        .environment(|| format!("opening {}", data.display()))?
        .len();
    build_from(len, salt, |buffer, offset| {
        file.read_exact_at(buffer, offset)
    })
    .map_err(|e| {
        Error::environment(format!("making the hash tree of {}", data.display())).because(e)
    })
}

/// Hashes `len` bytes that `read` fills buffers with, by offset.
pub fn build_from<R>(len: u64, salt: &[u8], read: R) -> Result<HashTree>
where
    R: Fn(&mut [u8], u64) -> std::io::Result<()> + Sync,
{
    let block = BLOCK as u64;
    if len == 0 || !len.is_multiple_of(block) {
        return Err(Error::input(format!(
            "{len} bytes are not a whole number of 4 KiB blocks"
        )));
    }
    let data_blocks = len / block;
    let salted = Sha256::new_with_prefix(salt);
    let batches = data_blocks.div_ceil(BATCH as u64);
    let digests = (0..batches)
        .into_par_iter()
        .map(|batch| {
            let first = batch * BATCH as u64;
            let count = (data_blocks - first).min(BATCH as u64) as usize;
            let mut buffer = vec![0; count * BLOCK];
            read(&mut buffer, first * block)?;
            Ok(hash_blocks(&salted, &buffer))
        })
        .collect::<std::io::Result<Vec<Vec<u8>>>>()
        .environment(|| "reading the data".to_owned())?;

    let mut levels = vec![padded(digests.concat())];
    while let Some(level) = levels.last().filter(|level| level.len() > BLOCK) {
        let above = level
            .par_chunks(BATCH * BLOCK)
            .map(|part| hash_blocks(&salted, part))
            .collect::<Vec<_>>();
        levels.push(padded(above.concat()));
    }
    // A single data block needs no level: its hash is the root hash.
    let top = levels.last().map(Vec::as_slice).unwrap_or_default();
    let root = if data_blocks == 1 {
        top[..DIGEST].to_vec()
    } else {
        hash_blocks(&salted, top)
    };
    let root_hash: [u8; DIGEST] = std::array::from_fn(|i| root[i]);

    let superblock = Superblock {
        // Names the mapped device; derived, so that the same data gives the same bytes.
        uuid: partition_guids(&root_hash).0,
        hash_type: 1,
        algorithm: "sha256".to_owned(),
        data_block_size: BLOCK as u32,
        hash_block_size: BLOCK as u32,
        data_blocks,
        salt: salt.to_vec(),
    };
    let mut bytes = superblock
        .encode()
        .input(|| "making the verity superblock".to_owned())?
        .to_vec();
    bytes.resize(BLOCK, 0);
    if data_blocks > 1 {
        levels
            .iter()
            .rev()
            .for_each(|level| bytes.extend_from_slice(level));
    }
    Ok(HashTree {
        root_hash,
        data_blocks,
        bytes,
    })
}

fn hash_blocks(salted: &Sha256, blocks: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(blocks.len() / BLOCK * DIGEST);
    for block in blocks.chunks(BLOCK) {
        out.extend_from_slice(&salted.clone().chain_update(block).finalize());
    }
    out
}

fn padded(mut level: Vec<u8>) -> Vec<u8> {
    level.resize(level.len().next_multiple_of(BLOCK), 0);
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(blocks: usize) -> HashTree {
        let data: Vec<u8> = (0..blocks * BLOCK)
            .map(|i| (i / BLOCK + i % 251) as u8)
            .collect();
        build_from(data.len() as u64, &[0xaa; 32], |buffer, at| {
            buffer.copy_from_slice(&data[at as usize..at as usize + buffer.len()]);
            Ok(())
        })
        .unwrap()
    }

    const KNOWN: [(usize, &str); 5] = [
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
        (
            20000,
            "28c892ffc647bd5068c81d4cee3c0cc6c091a3724aae5073dde2c3e42005124c",
        ),
    ];

    /// Root hashes as printed by `veritysetup format --salt aa.. --uuid ..`
    /// (cryptsetup 2.7) for the same data.
    #[test]
    fn agrees_with_veritysetup() {
        for (blocks, root) in KNOWN {
            let tree = sample(blocks);
            assert_eq!(tree.root_hex(), root, "{blocks} blocks");
            assert_eq!(tree.bytes.len() as u64, size(blocks as u64));
        }
    }

    #[test]
    fn refuses_part_of_a_block() {
        assert!(build_from(0, &[], |_, _| Ok(())).is_err());
        assert!(build_from(4097, &[], |_, _| Ok(())).is_err());
    }
}
