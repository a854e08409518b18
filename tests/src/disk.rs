//! Looking into images.

use std::fs::File;
use std::os::unix::fs::FileExt;

use std::path::Path;

use image_build::error::{Context, Error, Result};
use image_build::inspect::FoundPartition;

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

/// One partition of an image.
pub fn partition(image: &Path, number: u32) -> Result<FoundPartition> {
    let all = image_build::inspect::read(image, false)?.partitions;
    all.into_iter()
        .find(|partition| partition.number == number)
        .ok_or_else(|| Error::refused(format!("{} has no partition {number}", image.display())))
}
