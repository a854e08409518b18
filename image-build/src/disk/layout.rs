//! Where the partitions are and what they are called.

use init::gpt::{ALIGNMENT, Attributes, Guid, Partition, Table, types};
use serde::Serialize;
use sha2::{Digest, Sha256};
use updater::version::Version;

use crate::error::{Context, Error, Result};
use crate::verity;

/// Bytes of a sector. Images with 4096-byte sectors are not made: no platform
/// asks for them, and BIOS cannot boot them.
pub const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;

/// Sizes of the partitions and of the disk, in bytes; multiples of 1 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// EFI system partition.
    pub esp: u64,
    /// OEM partition.
    pub oem: u64,
    /// Each of the two slots for /usr.
    pub usr: u64,
    /// The hash partition of each slot.
    pub verity: u64,
    /// The whole disk as a new machine sees it, unless it is given a larger one.
    pub disk: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes {
            esp: 512 * MIB,
            oem: 64 * MIB,
            usr: 1024 * MIB,
            verity: 16 * MIB,
            disk: 8192 * MIB,
        }
    }
}

/// The BIOS boot partition: GRUB's core image.
const BIOS: u64 = MIB;
/// The least that is left for the root partition.
const ROOT: u64 = 512 * MIB;

/// Partition numbers, in the order on the disk.
pub mod number {
    /// BIOS boot.
    pub const BIOS: u32 = 1;
    /// EFI system partition; GRUB's prefix names this number.
    pub const ESP: u32 = 2;
    /// OEM.
    pub const OEM: u32 = 3;
    /// /usr of slot A.
    pub const USR_A: u32 = 4;
    /// Hash tree of slot A.
    pub const VERITY_A: u32 = 5;
    /// /usr of slot B.
    pub const USR_B: u32 = 6;
    /// Hash tree of slot B.
    pub const VERITY_B: u32 = 7;
}

/// A partition table for one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The table.
    pub table: Table,
}

impl Layout {
    /// Places the partitions. GUIDs are derived from the root hash, except where
    /// the root hash itself is the GUID.
    pub fn new(sizes: &Sizes, version: &Version, root_hash: &[u8; 32]) -> Result<Self> {
        let derived = |name: &str| {
            let hash = Sha256::new()
                .chain_update(b"holdfast partition\0")
                .chain_update(root_hash)
                .chain_update(name);
            let hash = hash.finalize();
            Guid::from_random(std::array::from_fn(|i| hash[i]))
        };
        let (data, tree) = verity::partition_guids(root_hash);
        let release = version.partition_name();
        let slot = Attributes::READ_ONLY;
        let none = Attributes::default();
        let types = types::X86_64;
        // OEM and the empty slot are no business of automatic mounting.
        let rows: [(u32, &str, Guid, Guid, u64, Attributes); 7] = [
            (
                number::BIOS,
                "bios",
                types::BIOS_BOOT,
                derived("bios"),
                BIOS,
                none,
            ),
            (
                number::ESP,
                "esp",
                types::ESP,
                derived("esp"),
                sizes.esp,
                none,
            ),
            (
                number::OEM,
                "OEM",
                types::LINUX_GENERIC,
                derived("oem"),
                sizes.oem,
                Attributes::NO_AUTO,
            ),
            (number::USR_A, &release, types.usr, data, sizes.usr, slot),
            (
                number::VERITY_A,
                &release,
                types.usr_verity,
                tree,
                sizes.verity,
                slot,
            ),
            (
                number::USR_B,
                "_empty",
                types.usr,
                derived("usr-b"),
                sizes.usr,
                slot.with(Attributes::NO_AUTO),
            ),
            (
                number::VERITY_B,
                "_empty",
                types.usr_verity,
                derived("verity-b"),
                sizes.verity,
                slot.with(Attributes::NO_AUTO),
            ),
        ];
        let aligned = |bytes: u64| bytes > 0 && bytes.is_multiple_of(ALIGNMENT);
        if let Some((_, name, ..)) = rows.iter().find(|row| !aligned(row.4)) {
            return Err(Error::input(format!(
                "the size of partition {name} is not a multiple of 1 MiB"
            )));
        }
        let need = ALIGNMENT + rows.iter().map(|row| row.4).sum::<u64>() + ROOT + ALIGNMENT;
        if !aligned(sizes.disk) || sizes.disk < need {
            return Err(Error::input(format!(
                "the disk has {} MiB; the partitions need {} MiB, with the least for root",
                sizes.disk / MIB,
                need / MIB
            ))
            .hint("enlarge `sizes.disk` in the recipe, or make the partitions smaller"));
        }
        let what = || "making the partition table".to_owned();
        let mut table =
            Table::new(SECTOR as u32, sizes.disk / SECTOR, derived("disk")).input(what)?;
        let mut at = ALIGNMENT;
        for (number, name, type_guid, guid, size, attributes) in rows {
            table.partitions.push(Partition {
                number,
                type_guid,
                guid,
                first_lba: at / SECTOR,
                last_lba: (at + size) / SECTOR - 1,
                attributes,
                name: name.to_owned(),
            });
            at += size;
        }
        table.check().input(what)?;
        Ok(Layout { table })
    }

    /// First byte and length of a partition.
    pub fn range(&self, number: u32) -> Result<(u64, u64)> {
        let found = self
            .table
            .partition(number)
            .map(|p| (p.first_lba * SECTOR, p.sectors() * SECTOR));
        found.ok_or_else(|| Error::input(format!("there is no partition {number}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_design() {
        let root: [u8; 32] = std::array::from_fn(|i| i as u8);
        let layout = Layout::new(&Sizes::default(), &"1.0".parse().unwrap(), &root).unwrap();
        let table = &layout.table;
        assert_eq!(layout.range(number::ESP).unwrap(), (2 * MIB, 512 * MIB));
        assert_eq!(
            table.partition(4).unwrap().guid.to_string(),
            "00010203-0405-0607-0809-0a0b0c0d0e0f"
        );
        assert_eq!(
            table.partition(5).unwrap().guid.to_string(),
            "10111213-1415-1617-1819-1a1b1c1d1e1f"
        );
        assert_eq!(table.partition(4).unwrap().name, "holdfast_1.0");
        assert_eq!(table.partition(6).unwrap().name, "_empty");
        assert_eq!(
            Layout::new(&Sizes::default(), &"1.0".parse().unwrap(), &root).unwrap(),
            layout
        );
    }

    #[test]
    fn refuses_a_small_disk() {
        let sizes = Sizes {
            disk: 2800 * MIB,
            ..Sizes::default()
        };
        let error = Layout::new(&sizes, &"1".parse().unwrap(), &[0; 32]).unwrap_err();
        assert!(error.hint_text().is_some_and(|h| h.contains("sizes.disk")));
    }
}
