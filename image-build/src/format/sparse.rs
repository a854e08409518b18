//! A sparse raw image: the source that all formats are made of.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::error::{Context, Result};

/// An open raw image and where it has data.
#[derive(Debug)]
pub struct Sparse {
    path: PathBuf,
    file: File,
    len: u64,
    data: Vec<Range<u64>>,
}

/// Bytes copied at once.
const CHUNK: u64 = 1 << 20;
/// Zeros of this size are written as holes.
const BLOCK: usize = 4096;

impl Sparse {
    /// Opens an image and lists its data. A file system without holes gives one
    /// range; then zeros are found by reading.
    pub fn open(path: &Path) -> Result<Self> {
        let what = || format!("opening {}", path.display());
        let file = File::open(path).environment(what)?;
        let len = file.metadata().environment(what)?.len();
        let mut data = Vec::new();
        let mut at = 0;
        while at < len {
            let start = match lseek(&file, at as i64, Whence::SeekData) {
                Ok(start) => start as u64,
                Err(Errno::ENXIO) => break,
                Err(Errno::EINVAL) => at,
                Err(e) => return Err(e).environment(what),
            };
            let end = match lseek(&file, start as i64, Whence::SeekHole) {
                Ok(end) => (end as u64).min(len),
                Err(Errno::EINVAL) => len,
                Err(e) => return Err(e).environment(what),
            };
            data.push(start..end);
            at = end.max(start + 1);
        }
        Ok(Sparse {
            path: path.to_owned(),
            file,
            len,
            data,
        })
    }

    /// Length of the disk in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True for a disk without any byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The blocks of `size` bytes (a power of two) that may hold data, as numbers
    /// in rising order. All other blocks are zeros.
    pub fn blocks(&self, size: u64) -> Vec<u64> {
        let mut blocks = Vec::new();
        for range in &self.data {
            let first = blocks
                .last()
                .map_or(0, |last| last + 1)
                .max(range.start / size);
            blocks.extend(first..range.end.div_ceil(size));
        }
        blocks
    }

    /// Reads at an offset; what is behind the end reads as zeros.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let inside = usize::try_from(self.len.saturating_sub(offset))
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let (have, rest) = buffer.split_at_mut(inside);
        rest.fill(0);
        self.file
            .read_exact_at(have, offset)
            .environment(|| format!("reading {}", self.path.display()))
    }
}

/// Copies the data to a new raw image; zeros become holes.
pub fn copy(from: &Sparse, to: &Path) -> Result<()> {
    let what = || format!("writing {}", to.display());
    let out = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(to)
        .environment(what)?;
    out.set_len(from.len).environment(what)?;
    let mut buffer = vec![0; CHUNK as usize];
    for range in &from.data {
        let mut at = range.start;
        while at < range.end {
            let now = (range.end - at).min(CHUNK) as usize;
            from.read(&mut buffer[..now], at)?;
            for (index, block) in buffer[..now].chunks(BLOCK).enumerate() {
                if block.iter().any(|b| *b != 0) {
                    out.write_all_at(block, at + (index * BLOCK) as u64)
                        .environment(what)?;
                }
            }
            at += now as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn finds_data_and_copies_it() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(10 << 20).unwrap();
        file.as_file()
            .write_all_at(b"middle", (5 << 20) + 100)
            .unwrap();
        file.flush().unwrap();
        let sparse = Sparse::open(file.path()).unwrap();
        let blocks = sparse.blocks(65536);
        assert!(blocks.contains(&80), "{blocks:?}");
        assert!(blocks.windows(2).all(|pair| pair[0] < pair[1]));
        let copied = tempfile::NamedTempFile::new().unwrap();
        copy(&sparse, copied.path()).unwrap();
        assert_eq!(
            std::fs::read(copied.path()).unwrap(),
            std::fs::read(file.path()).unwrap()
        );
        let mut behind = [1; 8];
        sparse.read(&mut behind, (10 << 20) - 4).unwrap();
        assert_eq!(behind, [0; 8]);
    }
}
