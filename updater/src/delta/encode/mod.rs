//! Making streams: one window at a time, so that the publisher can use all CPUs.
//! A window's frame depends on nothing but its bytes and the older file system.

mod similar;

use std::io;
use std::os::unix::fs::FileExt;

use zstd::zstd_safe::CParameter;

use super::frame;
use super::index::{MAX_PIECES_BYTES, Piece, Window, digest};
use super::reuse::Blocks;
use crate::release::Digest;
use similar::Similar;

/// Window of full streams in bytes.
///
/// Small, because it is what reuse fetches or does not. For a docker image (562 MB)
/// and the same two months older: windows of 8 MiB, 1 MiB, 256 KiB, 64 KiB make the
/// full stream 0, 4, 7, 13 % larger, and leave 70, 50, 46, 47 MB to fetch.
pub const FULL_WINDOW: u32 = 256 << 10;
/// Window of patches in bytes.
pub const PATCH_WINDOW: u32 = 8 << 20;

/// Level 12 takes two to three times as long and saves 0.3 %.
const FULL_LEVEL: i32 = 9;
const PATCH_LEVEL: i32 = 9;

/// The window `plain` of a full stream, and its frame.
pub fn full(plain: &[u8]) -> io::Result<(Window, Vec<u8>)> {
    let frame = frame::compress(plain, &[], &[CParameter::CompressionLevel(FULL_LEVEL)])?;
    Ok((window(plain, &frame, Vec::new()), frame))
}

/// Makes patches against one older file system.
pub struct Patcher<'a> {
    old: &'a (dyn FileExt + Sync),
    old_size: u64,
    blocks: Blocks,
    similar: Similar,
}

impl<'a> Patcher<'a> {
    /// Reads all `old_size` bytes of the older file system. `old_leaves` are the
    /// hashes of its blocks, with the salt that [`Patcher::window`]'s have, too.
    pub fn new(
        old: &'a (dyn FileExt + Sync),
        old_size: u64,
        old_leaves: Vec<u8>,
    ) -> io::Result<Self> {
        Ok(Self {
            old,
            old_size,
            blocks: Blocks::new(old_leaves),
            similar: Similar::new(old, old_size)?,
        })
    }

    /// Bytes of the older file system.
    pub fn old_size(&self) -> u64 {
        self.old_size
    }

    /// The window `plain` of a patch, and its frame. `leaves` are the hashes of the
    /// window's blocks.
    pub fn window(&self, plain: &[u8], leaves: &[u8]) -> io::Result<(Window, Vec<u8>)> {
        if let Some(pieces) = self.blocks.pieces(leaves) {
            return Ok((window(plain, &[], pieces), Vec::new()));
        }
        let pieces = self.similar.pieces(plain, MAX_PIECES_BYTES);
        let prefix = read(self.old, &pieces)?;
        let parameters = [
            CParameter::CompressionLevel(PATCH_LEVEL),
            CParameter::WindowLog(window_log(prefix.len() + plain.len())),
            CParameter::EnableLongDistanceMatching(true),
        ];
        let frame = frame::compress(plain, &prefix, &parameters)?;
        Ok((window(plain, &frame, pieces), frame))
    }
}

/// Logarithm of a zstd window that spans `len` bytes. The decoder needs no memory
/// for it, as it has all of them in buffers of its own.
fn window_log(len: usize) -> u32 {
    len.next_power_of_two().ilog2().max(17)
}

/// The pieces, one after the other.
pub(super) fn read(old: &dyn FileExt, pieces: &[Piece]) -> io::Result<Vec<u8>> {
    let len: u64 = pieces.iter().map(Piece::bytes).sum();
    let mut out = vec![0; len as usize];
    let mut rest = out.as_mut_slice();
    for piece in pieces {
        let (buffer, after) = std::mem::take(&mut rest).split_at_mut(piece.bytes() as usize);
        old.read_exact_at(buffer, piece.offset())?;
        rest = after;
    }
    Ok(out)
}

fn window(plain: &[u8], frame: &[u8], pieces: Vec<Piece>) -> Window {
    Window {
        length: frame.len() as u32,
        frame: if frame.is_empty() {
            Digest([0; 32])
        } else {
            digest(frame)
        },
        plain: digest(plain),
        pieces,
    }
}
