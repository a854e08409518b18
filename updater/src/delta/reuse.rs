//! Blocks that a machine has already, found by their hashes in two verity trees.

use super::index::{MAX_PIECES, Piece};
use crate::verity::DIGEST;

/// The blocks of a file system by their hashes.
#[derive(Debug, Clone)]
pub struct Blocks {
    leaves: Vec<u8>,
    /// Start of each hash and its block, sorted.
    sorted: Vec<(u64, u32)>,
}

impl Blocks {
    /// `leaves`: hashes of all blocks in order, 32 bytes each.
    pub fn new(leaves: Vec<u8>) -> Self {
        let mut sorted: Vec<(u64, u32)> = (0..)
            .zip(leaves.chunks_exact(DIGEST))
            .map(|(block, leaf)| (start(leaf), block))
            .collect();
        sorted.sort_unstable();
        Self { leaves, sorted }
    }

    /// The pieces that have exactly the blocks with the hashes `wanted`, in that
    /// order. `None` if a block is not there, or if the pieces are too many.
    pub fn pieces(&self, wanted: &[u8]) -> Option<Vec<Piece>> {
        let mut pieces: Vec<Piece> = Vec::new();
        for leaf in wanted.chunks_exact(DIGEST) {
            // A piece that goes on is better than a new one.
            if let Some(last) = pieces.last_mut()
                && self.leaf(last.first + last.count) == Some(leaf)
            {
                last.count += 1;
                continue;
            }
            if pieces.len() == MAX_PIECES {
                return None;
            }
            pieces.push(Piece {
                first: self.find(leaf)?,
                count: 1,
            });
        }
        Some(pieces)
    }

    fn find(&self, leaf: &[u8]) -> Option<u32> {
        let at = self.sorted.partition_point(|(key, _)| *key < start(leaf));
        self.sorted[at..]
            .iter()
            .take_while(|(key, _)| *key == start(leaf))
            .map(|(_, block)| *block)
            .find(|block| self.leaf(*block) == Some(leaf))
    }

    fn leaf(&self, block: u32) -> Option<&[u8]> {
        self.leaves.chunks_exact(DIGEST).nth(block as usize)
    }
}

fn start(leaf: &[u8]) -> u64 {
    leaf.first_chunk()
        .map_or(0, |start| u64::from_be_bytes(*start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(blocks: &[u8]) -> Vec<u8> {
        blocks.iter().flat_map(|block| [*block; DIGEST]).collect()
    }

    #[test]
    fn pieces_are_as_long_as_they_can_be() {
        let have = Blocks::new(leaves(&[1, 2, 3, 1, 4, 1, 2]));
        let pieces = |wanted: &[u8]| {
            let pieces = have.pieces(&leaves(wanted))?;
            Some(
                pieces
                    .iter()
                    .map(|p| (p.first, p.count))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(pieces(&[1, 2, 3, 1, 4]), Some(vec![(0, 5)]));
        assert_eq!(pieces(&[3, 1, 2, 2]), Some(vec![(2, 2), (1, 1), (1, 1)]));
        assert_eq!(pieces(&[1, 9]), None);
        assert_eq!(pieces(&[]), Some(vec![]));
        // Beyond the last block there is nothing.
        assert_eq!(pieces(&[1, 2, 1]), Some(vec![(0, 2), (0, 1)]));
        let many: Vec<u8> = [4, 3].repeat(200);
        assert_eq!(pieces(&many), None);
    }

    #[test]
    fn a_start_in_common_is_not_enough() {
        let mut other = [5; DIGEST];
        other[DIGEST - 1] = 6;
        let have = Blocks::new(other.to_vec());
        assert_eq!(have.pieces(&[5; DIGEST]), None);
        assert!(have.pieces(&other).is_some());
    }
}
