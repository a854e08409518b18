//! Looking into images.

use std::fs::File;
use std::os::unix::fs::FileExt;

use image_build::error::{Context, Result};

/// Where `needle` is in the `length` bytes of a file that begin at `start`; counted from
/// there.
pub fn find(file: &File, start: u64, length: u64, needle: &[u8]) -> Result<Option<u64>> {
    let mut buf = vec![0; (1 << 20) + needle.len()];
    for at in (0..length).step_by(1 << 20) {
        let n = file
            .read_at(&mut buf, start + at)
            .environment(|| "reading an image".into())?;
        if let Some(i) = buf[..n].windows(needle.len()).position(|w| w == needle) {
            return Ok(Some(at + i as u64));
        }
    }
    Ok(None)
}
