//! Disks: the image is only read; a qcow2 overlay takes the changes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::config::Storage;
use crate::error::{Context, Error, Result};
use crate::tools::{Tool, Tools};

/// QEMU's name for an image's format, from its first and last 512 bytes.
fn format(head: &[u8], tail: &[u8]) -> &'static str {
    if head.starts_with(b"QFI\xfb") {
        "qcow2"
    } else if head.starts_with(b"KDMV") {
        "vmdk"
    } else if head.starts_with(b"vhdxfile") {
        "vhdx"
    } else if head.get(64..68) == Some(&[0x7f, 0x10, 0xda, 0xbe]) {
        "vdi"
    } else if head.starts_with(b"conectix") || tail.starts_with(b"conectix") {
        "vpc"
    } else {
        "raw"
    }
}

fn format_of(image: &Path) -> Result<&'static str> {
    let read = || -> std::io::Result<(Vec<u8>, Vec<u8>)> {
        let mut file = File::open(image)?;
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        (&mut file).take(512).read_to_end(&mut head)?;
        let len = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(len.saturating_sub(512)))?;
        file.read_to_end(&mut tail)?;
        Ok((head, tail))
    };
    let (head, tail) = read().input(|| format!("reading the image {}", image.display()))?;
    // VMDK extents may also be described by a text file; other archives are no disks.
    if head.starts_with(b"PK")
        || head.get(257..262) == Some(b"ustar")
        || head.starts_with(&[0x1f, 0x8b])
        || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
    {
        return Err(Error::input(format!(
            "{} is an archive or compressed, not a disk image",
            image.display()
        ))
        .hint("give the raw, qcow2, vmdk, vhd or vhdx file"));
    }
    Ok(format(&head, &tail))
}

/// Size in bytes of the disk that an image holds.
fn virtual_size(tools: &Tools, image: &Path, format: &str) -> Result<u64> {
    let mut command = tools.command(Tool::QemuImg)?;
    let output = command
        .args(["info", "--output=json", "-f", format])
        .arg(image)
        .run()?;
    let what = || format!("reading what qemu-img says of {}", image.display());
    let info: serde_json::Value = serde_json::from_slice(&output).environment(what)?;
    info["virtual-size"]
        .as_u64()
        .ok_or_else(|| Error::environment(what()))
}

/// Makes a disk larger, as a provider does; what is on it stays.
fn grow(tools: &Tools, overlay: &Path, size: u64) -> Result<()> {
    let mut command = tools.command(Tool::QemuImg)?;
    command
        .args(["resize", "-q", "-f", "qcow2"])
        .arg(overlay)
        .arg(size.to_string())
        .run()?;
    Ok(())
}

/// The overlay for `image`, in `dir` unless it is to stay. `size` is in bytes.
pub(super) fn overlay(
    tools: &Tools,
    image: &Path,
    storage: &Storage,
    size: Option<u64>,
    dir: &Path,
) -> Result<PathBuf> {
    let image = image
        .canonicalize()
        .input(|| format!("opening the image {}", image.display()))?;
    let format = format_of(&image)?;
    let path = match storage {
        Storage::Temporary => dir.join("disk.qcow2"),
        Storage::Persistent(path) if path.exists() => {
            if size > Some(virtual_size(tools, path, "qcow2")?) {
                grow(tools, path, size.unwrap_or_default())?;
            }
            return Ok(path.clone());
        }
        Storage::Persistent(path) => path.clone(),
    };
    let mut command = tools.command(Tool::QemuImg)?;
    command
        .args(["create", "-q", "-f", "qcow2", "-F", format, "-b"])
        .arg(&image)
        .arg(&path);
    if let Some(size) = size {
        // Never less than the image has: its end would be cut off.
        let size = size.max(virtual_size(tools, &image, format)?);
        command.arg(size.to_string());
    }
    command.run()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_their_magic() {
        assert_eq!(format(b"QFI\xfb\0\0\0\x03", b""), "qcow2");
        assert_eq!(format(b"\0\0", b"conectix"), "vpc");
        assert_eq!(format(b"", b""), "raw");
    }
}
