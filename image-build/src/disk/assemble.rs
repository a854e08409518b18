//! Writes the raw disk image: a sparse file, holes where there is nothing.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::fat::{self, Window};
use super::layout::{Layout, SECTOR, number};
use crate::boot::esp::Files;
use crate::boot::grub;
use crate::error::{Context, Error, Result};
use crate::verity::HashTree;

/// What goes onto the disk.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Partition table.
    pub layout: &'a Layout,
    /// MBR code and core image, made for the first sector of partition `bios`.
    pub grub: &'a grub::Boot,
    /// Files of the ESP.
    pub esp: &'a Files,
    /// Files of the OEM partition.
    pub oem: &'a Files,
    /// The /usr image.
    pub usr: &'a Path,
    /// Its hash tree.
    pub verity: &'a HashTree,
}

/// Blocks of zeros of this size become holes.
const BLOCK: usize = 64 << 10;

/// Writes the image to `out`; a file that is there is replaced.
pub fn write(parts: &Parts, out: &Path) -> Result<()> {
    let table = &parts.layout.table;
    let what = || format!("writing {}", out.display());
    let disk = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(out)
        .environment(what)?;
    disk.set_len(table.disk_sectors * SECTOR)
        .environment(what)?;

    let encoded = table
        .encode()
        .input(|| "making the partition table".to_owned())?;
    let mut mbr = encoded.protective_mbr;
    for (to, from) in mbr.iter_mut().zip(parts.grub.mbr.iter().take(440)) {
        *to = *from;
    }
    disk.write_all_at(&mbr, 0).environment(what)?;
    disk.write_all_at(&encoded.primary, encoded.primary_offset)
        .environment(what)?;
    disk.write_all_at(&encoded.backup, encoded.backup_offset)
        .environment(what)?;

    put(&disk, parts.layout, number::BIOS, &parts.grub.core)?;
    put(&disk, parts.layout, number::VERITY_A, &parts.verity.bytes)?;
    copy(&disk, parts.layout, number::USR_A, parts.usr)?;
    for (number, label, files) in [
        (number::ESP, "ESP", parts.esp),
        (number::OEM, "OEM", parts.oem),
    ] {
        let (start, len) = parts.layout.range(number)?;
        let id = Sha256::new()
            .chain_update(table.disk_guid.as_bytes())
            .chain_update(label)
            .finalize();
        fat::write(
            Window {
                file: &disk,
                start,
                len,
            },
            label,
            u32::from_le_bytes([id[0], id[1], id[2], id[3]]),
            files,
        )?;
    }
    Ok(())
}

/// Start of a partition that has room for `need` bytes.
fn room(layout: &Layout, number: u32, need: u64) -> Result<u64> {
    let (start, len) = layout.range(number)?;
    if need > len {
        return Err(Error::refused(format!(
            "partition {number} has {len} bytes; its content has {need}"
        ))
        .hint("enlarge it under `sizes` in the recipe"));
    }
    Ok(start)
}

fn put(disk: &File, layout: &Layout, number: u32, bytes: &[u8]) -> Result<()> {
    let start = room(layout, number, bytes.len() as u64)?;
    disk.write_all_at(bytes, start)
        .environment(|| format!("writing partition {number}"))
}

fn copy(disk: &File, layout: &Layout, number: u32, from: &Path) -> Result<()> {
    let what = || format!("copying {} into partition {number}", from.display());
    let source = File::open(from).environment(what)?;
    let len = source.metadata().environment(what)?.len();
    let start = room(layout, number, len)?;
    let mut buffer = vec![0; BLOCK];
    let mut at = 0;
    while at < len {
        let now = usize::try_from(len - at).unwrap_or(BLOCK).min(BLOCK);
        let piece = &mut buffer[..now];
        source.read_exact_at(piece, at).environment(what)?;
        if piece.iter().any(|b| *b != 0) {
            disk.write_all_at(piece, start + at).environment(what)?;
        }
        at += now as u64;
    }
    Ok(())
}
