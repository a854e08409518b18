//! Which parts of an older file system look like a window of a newer one.
//!
//! Wherever the hash of the last 64 bytes happens to start with eight zero bits, it
//! is noted: places that depend on nothing but the content around them, so that the
//! same content is found again wherever it went. The older file system is divided
//! into bins; a bin is worth the hashes that it has in common with the window and
//! that no bin taken before has.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;

use crate::delta::index::Piece;
use crate::verity::BLOCK;

/// Bytes of a bin. A window never needs more than 192 of them, which is below the
/// number of pieces that an index allows.
const BIN: u64 = 128 << 10;
/// Content that is in more places than this says nothing about where to look.
const COMMON: usize = 8;
/// Hashes in common that make a bin worth reading.
const WORTH: usize = 2;
/// Bytes read at once.
const CHUNK: u64 = 4 << 20;

/// The noted hashes of a file system.
pub struct Similar {
    /// Hash and bin, sorted.
    marks: Vec<(u32, u32)>,
    size: u64,
}

impl Similar {
    pub fn new(old: &dyn FileExt, size: u64) -> io::Result<Self> {
        let mut marks = Vec::new();
        let mut rolling = 0;
        let mut buffer = Vec::new();
        let mut offset = 0;
        while offset < size {
            buffer.resize(CHUNK.min(size - offset) as usize, 0);
            old.read_exact_at(&mut buffer, offset)?;
            mark(&mut rolling, &buffer, |hash, at| {
                marks.push((hash, ((offset + at) / BIN) as u32));
            });
            offset += buffer.len() as u64;
        }
        marks.sort_unstable();
        marks.dedup();
        Ok(Self { marks, size })
    }

    /// The parts that look most like `plain`, in order, at most `budget` bytes.
    pub fn pieces(&self, plain: &[u8], budget: u64) -> Vec<Piece> {
        let bins = self.bins(plain, (budget / BIN) as usize);
        let per_bin = (BIN / BLOCK as u64) as u32;
        let blocks = (self.size / BLOCK as u64) as u32;
        let mut pieces: Vec<Piece> = Vec::new();
        for bin in bins {
            let first = bin * per_bin;
            let count = per_bin.min(blocks - first);
            match pieces.last_mut() {
                Some(last) if last.first + last.count == first => last.count += count,
                _ => pieces.push(Piece { first, count }),
            }
        }
        pieces
    }

    fn bins(&self, plain: &[u8], most: usize) -> Vec<u32> {
        let mut wanted = Vec::new();
        mark(&mut 0, plain, |hash, _| wanted.push(hash));
        wanted.sort_unstable();
        wanted.dedup();
        let places: Vec<&[(u32, u32)]> = wanted.iter().map(|hash| self.places(*hash)).collect();
        let mut shares: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (number, places) in places.iter().enumerate() {
            for (_, bin) in *places {
                shares.entry(*bin).or_default().push(number);
            }
        }
        let mut worth: BTreeMap<u32, usize> = shares
            .iter()
            .map(|(bin, hashes)| (*bin, hashes.len()))
            .collect();
        let mut covered = vec![false; places.len()];
        let mut taken = Vec::new();
        while taken.len() < most {
            // The first of several that are worth the same.
            let best = worth.iter().rev().max_by_key(|(_, worth)| **worth);
            let Some(bin) = best
                .filter(|(_, worth)| **worth >= WORTH)
                .map(|(bin, _)| *bin)
            else {
                break;
            };
            taken.push(bin);
            for number in &shares[&bin] {
                if std::mem::replace(&mut covered[*number], true) {
                    continue;
                }
                for (_, other) in places[*number] {
                    if let Some(worth) = worth.get_mut(other) {
                        *worth -= 1;
                    }
                }
            }
            worth.remove(&bin);
        }
        taken.sort_unstable();
        taken
    }

    fn places(&self, hash: u32) -> &[(u32, u32)] {
        let from = self.marks.partition_point(|(other, _)| *other < hash);
        let len = self.marks[from..].partition_point(|(other, _)| *other == hash);
        if len > COMMON {
            return &[];
        }
        &self.marks[from..from + len]
    }
}

/// Calls `found` with each noted hash of `data` and its place.
fn mark(rolling: &mut u64, data: &[u8], mut found: impl FnMut(u32, u64)) {
    let mut hash = *rolling;
    for (at, byte) in data.iter().enumerate() {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        if hash >> 56 == 0 {
            found((hash >> 24) as u32, at as u64);
        }
    }
    *rolling = hash;
}

/// A random number for each byte (SplitMix64).
const GEAR: [u64; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut z = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = z ^ (z >> 31);
        at += 1;
    }
    table
};
