//! GRUB for BIOS machines: Debian's own, unpatched.
//!
//! The MBR ([`Boot::mbr`]) loads the core image from the BIOS boot partition; the
//! core image reads `grub/grub.cfg` from the ESP of the same disk. What that
//! script does, and the files it uses, are described in [`updater::grub`].

use crate::error::{Context, Error, Result};
use crate::tools::{Tool, Tools};

/// `grub/grub.cfg` on the ESP.
pub const CONFIG: &str = include_str!("grub.cfg");

/// The ESP is the second partition of the disk that was booted; the empty disk
/// name before the comma means that disk.
const PREFIX: &str = "(,gpt2)/grub";

/// Everything the script uses; nothing is loaded from the ESP.
const MODULES: [&str; 19] = [
    "biosdisk",
    "part_gpt",
    "fat",
    "normal",
    "configfile",
    "linux",
    "loopback",
    "loadenv",
    "test",
    "true",
    "echo",
    "eval",
    "serial",
    "terminal",
    "keystatus",
    "sleep",
    "reboot",
    "ls",
    "cat",
];

const SECTOR: usize = 512;
/// Code in the MBR; the disk signature and the partition table follow.
const MBR_CODE: usize = 440;
/// Where boot.img has the core image's first sector, 64-bit.
const KERNEL_SECTOR: usize = 0x5c;
/// Where the core image's first sector has the number of its second one, 64-bit.
const NEXT_SECTOR: usize = 0x1f4;

/// What a BIOS starts, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// First bytes of the MBR.
    pub mbr: Vec<u8>,
    /// Content of the BIOS boot partition.
    pub core: Vec<u8>,
}

/// Makes GRUB's images for a BIOS boot partition that starts at sector `lba`.
pub fn build(tools: &Tools, lba: u64) -> Result<Boot> {
    let directory = tools.data("usr/lib/grub/i386-pc");
    let path = directory.join("boot.img");
    let boot = std::fs::read(&path).map_err(|e| {
        Error::environment(format!("reading {}", path.display()))
            .because(e)
            .hint("the tools lack the package grub-pc-bin; remove the `tools` folder of the cache and build again")
    })?;
    let out = tempfile::Builder::new()
        .prefix("grub-core-")
        .tempfile()
        .environment(|| "making a temporary file".to_owned())?;
    tools
        .command(Tool::GrubMkimage)?
        .args(["-O", "i386-pc", "-p", PREFIX, "-C", "xz", "-d"])
        .arg(&directory)
        .arg("-o")
        .arg(out.path())
        .args(MODULES)
        .run()?;
    let core =
        std::fs::read(out.path()).environment(|| format!("reading {}", out.path().display()))?;
    place(boot, core, lba)
}

/// Writes the sector numbers into both images.
fn place(mut boot: Vec<u8>, mut core: Vec<u8>, lba: u64) -> Result<Boot> {
    if boot.len() != SECTOR || core.len() < 2 * SECTOR {
        return Err(Error::input(
            "boot.img or the core image of GRUB has an unexpected size",
        ));
    }
    boot[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&lba.to_le_bytes());
    boot.truncate(MBR_CODE);
    core[NEXT_SECTOR..NEXT_SECTOR + 8].copy_from_slice(&(lba + 1).to_le_bytes());
    Ok(Boot { mbr: boot, core })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sector_numbers() {
        let made = place(vec![1; 512], vec![2; 1536], 2048).unwrap();
        assert_eq!(made.mbr.len(), 440);
        assert_eq!(made.mbr[0x5c..0x64], 2048u64.to_le_bytes());
        assert_eq!(made.core[0x1f4..0x1fc], 2049u64.to_le_bytes());
        assert_eq!(made.core[0x1fc], 2);
        assert!(place(vec![0; 10], vec![0; 1536], 0).is_err());
    }
}
