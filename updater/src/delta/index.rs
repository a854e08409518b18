//! The index of a stream: where each window's frame is and what it must be.
//!
//! All numbers are little-endian.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `hfindex\x01` |
//! | 4 | bytes of a window, a power of two from 64 KiB to 8 MiB; the last may be shorter |
//! | 4 | number of windows |
//! | 8 | bytes of the file system, a multiple of 4096 |
//! | 8 | bytes of the older file system that pieces are taken of; 0 if there is none |
//!
//! then for each window:
//!
//! | bytes | content |
//! |---|---|
//! | 4 | bytes of the frame; 0: the window *is* its pieces, one after the other |
//! | 32 | SHA-256 of the frame; zeros if there is none |
//! | 32 | SHA-256 of the window |
//! | 2 | number of pieces, at most 256 |
//! | 8 each | a piece of the older file system: first 4 KiB block, number of blocks |
//!
//! Frames lie in the data file in the order of the windows, with nothing between
//! them. A frame is decompressed with its pieces, one after the other, as prefix
//! (zstd's raw-content dictionary). The pieces of one window have at most 24 MiB, so
//! that 64 MiB of memory are enough for everything.

use sha2::{Digest as _, Sha256};

use crate::release::Digest;
use crate::verity::BLOCK;

/// Smallest window in bytes.
pub const MIN_WINDOW: u32 = 64 << 10;
/// Largest window in bytes.
pub const MAX_WINDOW: u32 = 8 << 20;
/// Most bytes of the older file system that one window may use.
pub const MAX_PIECES_BYTES: u64 = 24 << 20;
/// Most pieces of one window.
pub const MAX_PIECES: usize = 256;
/// Largest index in bytes that is fetched.
pub const MAX_INDEX: u64 = 16 << 20;

const MAGIC: &[u8; 8] = b"hfindex\x01";
const HEADER: usize = 32;
const ENTRY: usize = 4 + 32 + 32 + 2;
/// Largest file system in bytes: 1 TiB.
const MAX_SIZE: u64 = 1 << 40;

/// Some blocks of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// First 4 KiB block.
    pub first: u32,
    /// Number of blocks.
    pub count: u32,
}

impl Piece {
    /// Its first byte.
    pub fn offset(&self) -> u64 {
        u64::from(self.first) * BLOCK as u64
    }

    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.count) * BLOCK as u64
    }
}

/// One window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Bytes of its frame; 0 if the window is its pieces.
    pub length: u32,
    /// Digest of the frame; zeros if there is none.
    pub frame: Digest,
    /// Digest of the window.
    pub plain: Digest,
    /// What of the older file system it needs.
    pub pieces: Vec<Piece>,
}

/// The index of a stream; whatever it says is possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    window: u32,
    size: u64,
    old_size: u64,
    windows: Vec<Window>,
    /// Where each frame starts, and where the last one ends.
    starts: Vec<u64>,
}

/// Why bytes are not an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not an index, or of a later version.
    #[error("no index of version 1")]
    Magic,
    /// The bytes end early or go on too long.
    #[error("an index with {windows} windows cannot have {bytes} bytes")]
    Length {
        /// Windows of the header.
        windows: u32,
        /// Bytes there are.
        bytes: usize,
    },
    /// A field of the header that cannot be.
    #[error("an index's {0} cannot be {1}")]
    Header(&'static str, u64),
    /// A window that cannot be.
    #[error("window {window} of an index cannot have {what}")]
    Window {
        /// Its number, from 0.
        window: usize,
        /// What is wrong.
        what: &'static str,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "publish the release again; update this machine first if the release was made by a later version"
    }
}

impl Index {
    /// Puts an index together. `window` is the bytes of a window, `size` those of
    /// the file system, `old_size` those of the older one.
    pub fn new(window: u32, size: u64, old_size: u64, windows: Vec<Window>) -> Result<Self, Error> {
        check_header(window, size, old_size, windows.len() as u64)?;
        let mut starts = Vec::with_capacity(windows.len() + 1);
        let mut start = 0;
        for (number, entry) in windows.iter().enumerate() {
            starts.push(start);
            start += u64::from(entry.length);
            let len = window_len(window, size, number);
            check_window(entry, len, old_size).map_err(|what| Error::Window {
                window: number,
                what,
            })?;
        }
        starts.push(start);
        Ok(Self {
            window,
            size,
            old_size,
            windows,
            starts,
        })
    }

    /// Reads an index.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = Input(bytes);
        if input.take::<8>().as_ref() != Some(MAGIC) {
            return Err(Error::Magic);
        }
        let short = |windows| Error::Length {
            windows,
            bytes: bytes.len(),
        };
        let header = (input.u32(), input.u32(), input.u64(), input.u64());
        let (Some(window), Some(count), Some(size), Some(old_size)) = header else {
            return Err(short(0));
        };
        check_header(window, size, old_size, count.into())?;
        // Before memory is taken for them.
        if (bytes.len() - HEADER) / ENTRY < count as usize {
            return Err(short(count));
        }
        let mut windows = Vec::with_capacity(count as usize);
        for number in 0..count as usize {
            let entry = input.window().ok_or(short(count))?;
            windows.push(entry.map_err(|what| Error::Window {
                window: number,
                what,
            })?);
        }
        if !input.0.is_empty() {
            return Err(short(count));
        }
        Self::new(window, size, old_size, windows)
    }

    /// Writes the index.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.windows.len() * ENTRY);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.window.to_le_bytes());
        out.extend_from_slice(&(self.windows.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.old_size.to_le_bytes());
        for window in &self.windows {
            out.extend_from_slice(&window.length.to_le_bytes());
            out.extend_from_slice(&window.frame.0);
            out.extend_from_slice(&window.plain.0);
            out.extend_from_slice(&(window.pieces.len() as u16).to_le_bytes());
            for piece in &window.pieces {
                out.extend_from_slice(&piece.first.to_le_bytes());
                out.extend_from_slice(&piece.count.to_le_bytes());
            }
        }
        out
    }

    /// Number of windows.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Never: a file system has at least one block.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// The windows in order.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Bytes of the file system.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of the older file system; 0 if none is needed.
    pub fn old_size(&self) -> u64 {
        self.old_size
    }

    /// Bytes of all windows but the last.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// Bytes of the data file.
    pub fn data_len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Byte of the file system at which window `number` starts.
    pub fn offset(&self, number: usize) -> u64 {
        number as u64 * u64::from(self.window)
    }

    /// Bytes of window `number`.
    pub fn plain_len(&self, number: usize) -> usize {
        window_len(self.window, self.size, number)
    }

    /// Bytes of the data file that are the frame of window `number`.
    pub fn frame(&self, number: usize) -> std::ops::Range<u64> {
        self.starts[number]..self.starts[number + 1]
    }
}

/// Digest of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Most bytes that the frame of `plain` bytes may have: what zstd needs for bytes
/// that do not compress.
pub(crate) fn frame_bound(plain: usize) -> usize {
    plain + (plain >> 8) + 64
}

fn window_len(window: u32, size: u64, number: usize) -> usize {
    let start = number as u64 * u64::from(window);
    size.saturating_sub(start).min(window.into()) as usize
}

fn check_header(window: u32, size: u64, old_size: u64, count: u64) -> Result<(), Error> {
    if !window.is_power_of_two() || !(MIN_WINDOW..=MAX_WINDOW).contains(&window) {
        return Err(Error::Header("window size", window.into()));
    }
    let whole = |size: u64| size.is_multiple_of(BLOCK as u64) && size <= MAX_SIZE;
    if size == 0 || !whole(size) {
        return Err(Error::Header("size", size));
    }
    if !whole(old_size) {
        return Err(Error::Header("older size", old_size));
    }
    if count != size.div_ceil(window.into()) {
        return Err(Error::Header("number of windows", count));
    }
    Ok(())
}

fn check_window(window: &Window, len: usize, old_size: u64) -> Result<(), &'static str> {
    if window.pieces.len() > MAX_PIECES {
        return Err("more than 256 pieces");
    }
    let mut total = 0;
    for piece in &window.pieces {
        if piece.count == 0 || piece.offset() + piece.bytes() > old_size {
            return Err("a piece outside of the older file system");
        }
        total += piece.bytes();
    }
    if total > MAX_PIECES_BYTES {
        return Err("more than 24 MiB of pieces");
    }
    if window.length == 0 && (total != len as u64 || window.frame != Digest([0; 32])) {
        return Err("neither a frame nor pieces of its length");
    }
    if window.length as usize > frame_bound(len) {
        return Err("a frame that is longer than zstd makes them");
    }
    Ok(())
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn window(&mut self) -> Option<Result<Window, &'static str>> {
        let length = self.u32()?;
        let frame = Digest(self.take()?);
        let plain = Digest(self.take()?);
        let count = usize::from(self.take().map(u16::from_le_bytes)?);
        if count > MAX_PIECES {
            return Some(Err("more than 256 pieces"));
        }
        let mut pieces = Vec::with_capacity(count);
        for _ in 0..count {
            let (first, count) = (self.u32()?, self.u32()?);
            pieces.push(Piece { first, count });
        }
        Some(Ok(Window {
            length,
            frame,
            plain,
            pieces,
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Index {
        let window = |length, pieces: &[(u32, u32)]| Window {
            length,
            frame: Digest(if length == 0 { [0; 32] } else { [7; 32] }),
            plain: Digest([9; 32]),
            pieces: pieces
                .iter()
                .map(|&(first, count)| Piece { first, count })
                .collect(),
        };
        let windows = vec![
            window(100, &[]),
            window(0, &[(3, 4), (0, 12)]),
            window(5, &[(1, 1)]),
        ];
        Index::new(64 << 10, (128 << 10) + 4096, 80 << 10, windows).unwrap()
    }

    #[test]
    fn round_trip_and_positions() {
        let index = sample();
        assert_eq!(Index::decode(&index.encode()), Ok(index.clone()));
        assert_eq!(index.data_len(), 105);
        assert_eq!(index.frame(2), 100..105);
        assert_eq!(index.plain_len(2), 4096);
        assert_eq!(index.offset(2), 128 << 10);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let good = sample();
        let with = |change: &dyn Fn(&mut Vec<Window>)| {
            let mut windows = good.windows.clone();
            change(&mut windows);
            Index::new(good.window, good.size, good.old_size, windows)
        };
        let piece = |first, count| Piece { first, count };
        type Change<'a> = &'a dyn Fn(&mut Vec<Window>);
        let changes: [Change<'_>; 8] = [
            &|w| drop(w.pop()),
            &|w| w[0].length = 70000,
            &|w| w[0].length = 0,
            &|w| w[1].pieces[0].count = 5,
            &|w| w[1].frame = Digest([1; 32]),
            &|w| w[2].pieces[0] = piece(20, 1),
            &|w| w[2].pieces[0] = piece(u32::MAX, u32::MAX),
            &|w| w[2].pieces = vec![piece(0, 1); 257],
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(with(change).is_err(), "{number}");
        }
        let windows = good.windows.clone();
        for (window, size, old) in [
            (3 << 20, good.size, good.old_size),
            (16 << 20, good.size, good.old_size),
            (good.window, good.size + 1, good.old_size),
            (good.window, 0, good.old_size),
            (good.window, good.size, 1),
        ] {
            assert!(Index::new(window, size, old, windows.clone()).is_err());
        }
    }

    #[test]
    fn pieces_are_bounded_in_memory() {
        let window = Window {
            length: 9,
            frame: Digest([1; 32]),
            plain: Digest([1; 32]),
            pieces: vec![
                Piece {
                    first: 0,
                    count: 6144
                };
                1
            ],
        };
        let size = 32 << 20;
        assert!(Index::new(MAX_WINDOW, 4096, size, vec![window.clone()]).is_ok());
        let mut more = window;
        more.pieces.push(Piece {
            first: 7000,
            count: 1,
        });
        assert!(Index::new(MAX_WINDOW, 4096, size, vec![more]).is_err());
    }

    proptest! {
        #[test]
        fn decoding_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let _ = Index::decode(&bytes);
            let mut mutated = sample().encode();
            for (at, value) in edits {
                let at = at.index(mutated.len());
                mutated[at] = value;
            }
            if let Ok(index) = Index::decode(&mutated) {
                prop_assert_eq!(index.encode(), mutated.clone());
            }
            let cut = cut.index(mutated.len());
            prop_assert!(Index::decode(&mutated[..cut]).is_err());
            mutated.push(0);
            prop_assert!(Index::decode(&mutated).is_err());
        }
    }
}
