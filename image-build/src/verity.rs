//! The dm-verity hash tree of a file, its leaves made on all CPUs. The format and
//! everything above the leaves are `updater::verity`'s.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::prelude::*;
use updater::verity::Hasher;
pub use updater::verity::{BLOCK, DIGEST, HashTree, partition_guids, size};

use crate::error::{Context, Error, Result};

/// Blocks one task reads and hashes.
const BATCH: usize = 256;

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
    let hasher = Hasher::new(salt);
    let batches = data_blocks.div_ceil(BATCH as u64);
    let leaves = (0..batches)
        .into_par_iter()
        .map(|batch| {
            let first = batch * BATCH as u64;
            let count = (data_blocks - first).min(BATCH as u64) as usize;
            let mut buffer = vec![0; count * BLOCK];
            read(&mut buffer, first * block)?;
            let mut digests = Vec::new();
            hasher.hash(&buffer, &mut digests);
            Ok(digests)
        })
        .collect::<std::io::Result<Vec<Vec<u8>>>>()
        .environment(|| "reading the data".to_owned())?;
    HashTree::from_leaves(leaves.concat(), salt).input(|| "making the hash tree".to_owned())
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
