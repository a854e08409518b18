//! A reader for qcow2 (versions 2 and 3): plain, zero and deflate clusters, no
//! backing file, no encryption, no snapshots, no feature that changes the layout.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use libdeflater::Decompressor;

use super::image::Disk;

const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// A disk needs an L1 table of this size at most (32 MiB, as in QEMU).
const MAX_L1: u32 = 4 << 20;

/// An open qcow2 image.
pub(super) struct Qcow2 {
    file: File,
    bits: u32,
    len: u64,
    l1: Vec<u64>,
    /// The last L2 table and the last cluster read, by their L1 index and number.
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    table: Option<(u64, Vec<u64>)>,
    cluster: Option<(u64, Vec<u8>)>,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Qcow2 {
    /// Reads header and L1 table.
    pub(super) fn open(file: File) -> io::Result<Self> {
        let mut header = [0; 80];
        file.read_exact_at(&mut header, 0)?;
        let u32_at = |at: usize| {
            header[at..at + 4]
                .iter()
                .fold(0u32, |n, b| n << 8 | u32::from(*b))
        };
        let u64_at = |at: usize| u64::from(u32_at(at)) << 32 | u64::from(u32_at(at + 4));
        let (version, bits) = (u32_at(4), u32_at(20));
        if !matches!(version, 2 | 3) || !(9..=21).contains(&bits) {
            return Err(bad("unknown version or cluster size of qcow2"));
        }
        if u64_at(8) != 0 || u32_at(32) != 0 {
            return Err(bad(
                "qcow2 images with a backing file or encryption are not supported",
            ));
        }
        // The lowest bit says "not closed cleanly": the tables are still right.
        if version == 3 && u64_at(72) & !1 != 0 {
            return Err(bad("the qcow2 image uses features that are not supported"));
        }
        let (len, entries, at) = (u64_at(24), u32_at(36), u64_at(40));
        let reach = 1u64 << (2 * bits - 3);
        if entries > MAX_L1 || u64::from(entries) < len.div_ceil(reach) {
            return Err(bad("the L1 table of the qcow2 image has a wrong size"));
        }
        let l1 = numbers(&file, at, entries as usize)?;
        Ok(Qcow2 {
            file,
            bits,
            len,
            l1,
            cache: Mutex::default(),
        })
    }

    fn entry(&self, cache: &mut Cache, number: u64) -> io::Result<u64> {
        let per_table = 1u64 << (self.bits - 3);
        let index = number / per_table;
        let at = self
            .l1
            .get(index as usize)
            .ok_or_else(|| bad("behind the L1 table"))?
            & OFFSET;
        if at == 0 {
            return Ok(0);
        }
        let within = (number % per_table) as usize;
        if let Some((_, table)) = cache.table.as_ref().filter(|(have, _)| *have == index) {
            return Ok(table[within]);
        }
        let table = numbers(&self.file, at, per_table as usize)?;
        let entry = table[within];
        cache.table = Some((index, table));
        Ok(entry)
    }

    /// A whole cluster.
    fn cluster(&self, entry: u64) -> io::Result<Vec<u8>> {
        let mut plain = vec![0; 1 << self.bits];
        if entry & 1 << 62 != 0 {
            let shift = 62 - (self.bits - 8);
            let at = entry & ((1 << shift) - 1);
            let sectors = (entry & !(3 << 62)) >> shift;
            let len = (sectors + 1) * 512 - at % 512;
            let mut packed = vec![0; len as usize];
            // The last sector may be cut off at the end of the file.
            let mut have = 0;
            while have < packed.len() {
                match self.file.read_at(&mut packed[have..], at + have as u64)? {
                    0 => break,
                    more => have += more,
                }
            }
            // Unlike a stream, a cluster may end before its last sector does.
            let done = Decompressor::new().deflate_decompress(&packed, &mut plain);
            return match done {
                Ok(len) if len == plain.len() => Ok(plain),
                _ => Err(bad("a compressed cluster of the qcow2 image is damaged")),
            };
        }
        // Bit 0: reads as zeros, even if there is a cluster.
        if entry & OFFSET != 0 && entry & 1 == 0 {
            self.file.read_exact_at(&mut plain, entry & OFFSET)?;
        }
        Ok(plain)
    }
}

impl Disk for Qcow2 {
    fn format(&self) -> &'static str {
        "qcow2"
    }
    fn len(&self) -> u64 {
        self.len
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset
            .checked_add(buffer.len() as u64)
            .is_none_or(|end| end > self.len)
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = 1u64 << self.bits;
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let (number, within) = (at / size, (at % size) as usize);
            let now = (size as usize - within).min(buffer.len() - done);
            let to = &mut buffer[done..done + now];
            let mut cache = self
                .cache
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some((_, cluster)) = cache.cluster.as_ref().filter(|(have, _)| *have == number) {
                to.copy_from_slice(&cluster[within..within + now]);
            } else {
                let entry = self.entry(&mut cache, number)?;
                drop(cache);
                let cluster = self.cluster(entry)?;
                to.copy_from_slice(&cluster[within..within + now]);
                // A part was wanted: the rest will be, soon.
                if now < size as usize {
                    self.cache
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .cluster = Some((number, cluster));
                }
            }
            done += now;
        }
        Ok(())
    }
}

fn numbers(file: &File, at: u64, count: usize) -> io::Result<Vec<u64>> {
    let mut bytes = vec![0; count * 8];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes
        .chunks_exact(8)
        .map(|n| n.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;

    #[test]
    fn reads_what_the_writer_writes() {
        let raw = tempfile::NamedTempFile::new().unwrap();
        raw.as_file().set_len((600 << 20) + 512).unwrap();
        let noise: Vec<u8> = (0..200_000u64)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect();
        for (at, bytes) in [
            (0, &b"start"[..]),
            (70_000, &noise),
            (550 << 20, b"far away"),
            (600 << 20, &noise[..512]),
        ] {
            raw.as_file().write_all_at(bytes, at).unwrap();
        }
        let made = tempfile::NamedTempFile::new().unwrap();
        Format::Qcow2.write(raw.path(), made.path()).unwrap();
        let image = Qcow2::open(made.reopen().unwrap()).unwrap();
        assert_eq!(image.len(), (600 << 20) + 512);
        for (at, len) in [
            (0, 300_000),
            ((550 << 20) - 100_000, 200_000),
            ((600 << 20) - 512, 1024),
        ] {
            let (mut want, mut have) = (vec![0; len], vec![1; len]);
            raw.as_file().read_exact_at(&mut want, at).unwrap();
            image.read_at(&mut have, at).unwrap();
            assert!(want == have, "at {at}");
        }
        assert!(image.read_at(&mut [0; 2], (600 << 20) + 511).is_err());
    }
}
