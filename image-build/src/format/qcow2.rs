//! qcow2, version 3 (QEMU's `docs/interop/qcow2.txt`): clusters of 64 KiB, each
//! compressed by itself with deflate.
//!
//! Written in one pass: header, L1 table, data, L2 tables, reference counts. The
//! result depends on the disk's bytes alone, not on its holes or the number of
//! CPUs. Deflate here uses its full window of 32 KiB; QEMU announces 4 KiB when it
//! reads, but zlib, which unpacks a cluster into its own buffer in one call, does
//! not need a window for that.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use libdeflater::{CompressionLvl, Compressor};
use rayon::prelude::*;

use super::sparse::Sparse;
use crate::error::{Context, Result};

/// log2 of the cluster size.
pub(crate) const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries of an L2 table, one cluster of 64-bit numbers.
const L2_ENTRIES: u64 = CLUSTER / 8;
/// Reference counts (16 bits) in one cluster.
const REFCOUNTS: u64 = CLUSTER / 2;
pub(crate) const MAGIC: u32 = 0x5146_49fb;
const HEADER: usize = 104;
/// Set in entries whose cluster has exactly one reference.
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// Clusters compressed at once; bounds memory to about 32 MiB.
const BATCH: usize = 256;
/// Level of libdeflate.
const LEVEL: i32 = 6;

/// Writes the image.
pub fn write(from: &Sparse, to: &Path) -> Result<()> {
    let what = || format!("writing {}", to.display());
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(to)
        .environment(what)?;
    let mut out = Output {
        file: BufWriter::with_capacity(1 << 20, file),
        at: 0,
        refcounts: Vec::new(),
    };

    let l1_entries = from.len().div_ceil(CLUSTER * L2_ENTRIES);
    let l1_at = CLUSTER;
    let data_at = l1_at + (l1_entries * 8).next_multiple_of(CLUSTER);
    out.pad_to(data_at).environment(what)?;
    out.count(0, data_at);

    let mut l2: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for batch in from.blocks(CLUSTER).chunks(BATCH) {
        let packed = batch
            .par_iter()
            .map(|number| pack(from, *number))
            .collect::<Result<Vec<_>>>()?;
        for (number, cluster) in batch.iter().zip(packed) {
            let entry = match cluster {
                Packed::Zeros => continue,
                Packed::Deflate(bytes) => {
                    let (start, len) = (out.at, bytes.len() as u64);
                    out.append(&bytes).environment(what)?;
                    let sectors = (start + len - 1) / 512 - start / 512;
                    // 62 - (cluster_bits - 8) bits of offset, then the count of further sectors.
                    COMPRESSED | start | sectors << (62 - (CLUSTER_BITS - 8))
                }
                Packed::Plain(bytes) => {
                    out.align().environment(what)?;
                    let start = out.at;
                    out.append(&bytes).environment(what)?;
                    COPIED | start
                }
            };
            let table = l2
                .entry(number / L2_ENTRIES)
                .or_insert_with(|| vec![0; L2_ENTRIES as usize]);
            table[(number % L2_ENTRIES) as usize] = entry;
        }
    }

    let mut l1 = vec![0u64; l1_entries as usize];
    for (index, table) in l2 {
        out.align().environment(what)?;
        l1[index as usize] = COPIED | out.at;
        out.append(&numbers(&table)).environment(what)?;
    }
    out.align().environment(what)?;

    // The reference counts count their own clusters, too.
    let refcounts_at = out.at;
    let mut blocks = 1;
    let (table_clusters, blocks) = loop {
        let table = (blocks * 8u64).div_ceil(CLUSTER);
        let need = (refcounts_at / CLUSTER + table + blocks).div_ceil(REFCOUNTS);
        if need <= blocks {
            break (table, blocks);
        }
        blocks = need;
    };
    let first_block = refcounts_at + table_clusters * CLUSTER;
    let end = first_block + blocks * CLUSTER;
    out.count(refcounts_at, end);
    let table: Vec<u64> = (0..blocks).map(|i| first_block + i * CLUSTER).collect();
    let mut counts = std::mem::take(&mut out.refcounts);
    counts.resize((blocks * REFCOUNTS) as usize, 0);
    out.write(&numbers(&table)).environment(what)?;
    out.pad_to(first_block).environment(what)?;
    let bytes: Vec<u8> = counts
        .iter()
        .flat_map(|count| count.to_be_bytes())
        .collect();
    out.write(&bytes).environment(what)?;

    let header = header(
        from.len(),
        l1_entries as u32,
        l1_at,
        refcounts_at,
        table_clusters as u32,
    );
    let mut file = out.file;
    file.seek(SeekFrom::Start(0)).environment(what)?;
    file.write_all(&header).environment(what)?;
    file.seek(SeekFrom::Start(l1_at)).environment(what)?;
    file.write_all(&numbers(&l1)).environment(what)?;
    file.flush().environment(what)
}

/// One cluster as it is stored.
enum Packed {
    Zeros,
    Deflate(Vec<u8>),
    Plain(Vec<u8>),
}

fn pack(from: &Sparse, number: u64) -> Result<Packed> {
    let mut plain = vec![0; CLUSTER as usize];
    from.read(&mut plain, number * CLUSTER)?;
    if plain.iter().all(|b| *b == 0) {
        return Ok(Packed::Zeros);
    }
    thread_local! {
        static COMPRESSOR: std::cell::RefCell<Compressor> =
            std::cell::RefCell::new(Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default()));
    }
    // Only what saves at least a sector is worth unpacking.
    let mut packed = vec![0; plain.len() - 512];
    let len =
        COMPRESSOR.with_borrow_mut(|compressor| compressor.deflate_compress(&plain, &mut packed));
    Ok(match len {
        Ok(len) => {
            packed.truncate(len);
            Packed::Deflate(packed)
        }
        Err(_) => Packed::Plain(plain),
    })
}

fn numbers(values: &[u64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}

fn header(
    len: u64,
    l1_entries: u32,
    l1_at: u64,
    refcounts_at: u64,
    refcount_clusters: u32,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + 8);
    let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
    put(&MAGIC.to_be_bytes());
    put(&3u32.to_be_bytes());
    put(&[0; 12]); // no backing file
    put(&CLUSTER_BITS.to_be_bytes());
    put(&len.to_be_bytes());
    put(&0u32.to_be_bytes()); // no encryption
    put(&l1_entries.to_be_bytes());
    put(&l1_at.to_be_bytes());
    put(&refcounts_at.to_be_bytes());
    put(&refcount_clusters.to_be_bytes());
    put(&[0; 12]); // no snapshots
    put(&[0; 24]); // no feature bits
    put(&4u32.to_be_bytes()); // reference counts have 2^4 bits
    put(&(HEADER as u32).to_be_bytes());
    put(&[0; 8]); // end of the header extensions
    out
}

/// The file being written, with the reference counts of its clusters.
struct Output {
    file: BufWriter<File>,
    at: u64,
    refcounts: Vec<u16>,
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Writes something that is referred to once.
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let start = self.at;
        self.write(bytes)?;
        self.count(start, self.at);
        Ok(())
    }

    /// Adds a reference to every cluster that the range touches.
    fn count(&mut self, start: u64, end: u64) {
        let (first, end) = ((start / CLUSTER) as usize, end.div_ceil(CLUSTER) as usize);
        self.refcounts.resize(self.refcounts.len().max(end), 0);
        self.refcounts[first..end]
            .iter_mut()
            .for_each(|count| *count += 1);
    }

    fn pad_to(&mut self, at: u64) -> std::io::Result<()> {
        let zeros = vec![0; at.saturating_sub(self.at) as usize];
        self.write(&zeros)
    }

    fn align(&mut self) -> std::io::Result<()> {
        self.pad_to(self.at.next_multiple_of(CLUSTER))
    }
}
