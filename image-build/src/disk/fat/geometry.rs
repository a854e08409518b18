//! Where things are in a FAT volume, and its boot sector.

use super::{CLUSTER, SECTOR};

/// Sizes of a volume's parts, in sectors unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) fat32: bool,
    pub(super) clusters: u32,
    total: u64,
    reserved: u64,
    table: u64,
    root: u64,
}

/// A volume with fewer clusters is FAT12, which nobody needs here.
const FAT16_LEAST: u64 = 4085;
/// The number of clusters alone decides between FAT16 and FAT32.
const FAT32_LEAST: u64 = 65525;

impl Geometry {
    pub(super) fn new(len: u64) -> Option<Self> {
        let total = len / SECTOR;
        u32::try_from(total).ok()?;
        let fat32 = len / CLUSTER >= FAT32_LEAST + 100;
        // Somewhat more than needed, as the tables themselves take room.
        let width = if fat32 { 4 } else { 2 };
        let table = ((len / CLUSTER + 2) * width).div_ceil(SECTOR);
        let root = if fat32 { 0 } else { 32 };
        let per_cluster = CLUSTER / SECTOR;
        // The data starts on a cluster boundary of the partition.
        let least = if fat32 { 32 } else { 1 };
        let reserved = (least + 2 * table + root).next_multiple_of(per_cluster) - 2 * table - root;
        let clusters = total.checked_sub(reserved + 2 * table + root)? / per_cluster;
        let right = if fat32 {
            clusters >= FAT32_LEAST
        } else {
            (FAT16_LEAST..FAT32_LEAST).contains(&clusters)
        };
        right.then_some(Geometry {
            fat32,
            clusters: clusters as u32,
            total,
            reserved,
            table,
            root,
        })
    }

    /// The two entries every table starts with.
    pub(super) fn reserved_entries(&self) -> Vec<u32> {
        // Media byte; end of chain, with the bits for "clean" and "no errors".
        if self.fat32 {
            vec![0x0fff_fff8, 0x0fff_ffff]
        } else {
            vec![0xfff8, 0xffff]
        }
    }

    /// First byte of FAT16's fixed root directory.
    pub(super) fn root_offset(&self) -> u64 {
        (self.reserved + 2 * self.table) * SECTOR
    }

    /// Its length in bytes.
    pub(super) fn root_bytes(&self) -> u64 {
        self.root * SECTOR
    }

    /// First byte of a cluster.
    pub(super) fn offset(&self, cluster: u32) -> u64 {
        self.root_offset() + self.root_bytes() + u64::from(cluster.saturating_sub(2)) * CLUSTER
    }

    /// First bytes of both tables.
    pub(super) fn tables(&self) -> [u64; 2] {
        [
            self.reserved * SECTOR,
            (self.reserved + self.table) * SECTOR,
        ]
    }

    /// The table's bytes, as far as it is used.
    pub(super) fn encode(&self, entries: &[u32]) -> Vec<u8> {
        let width = if self.fat32 { 4 } else { 2 };
        entries
            .iter()
            .flat_map(|entry| entry.to_le_bytes().into_iter().take(width))
            .collect()
    }

    /// Boot sector, and for FAT32 the information sector and the copies of both.
    pub(super) fn boot_sectors(
        &self,
        label: [u8; 11],
        id: u32,
        root: u32,
        free: u32,
        next: u32,
    ) -> Vec<(u64, Vec<u8>)> {
        let mut boot = vec![0u8; SECTOR as usize];
        let mut put = |at: usize, bytes: &[u8]| boot[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[0xeb, if self.fat32 { 0x58 } else { 0x3c }, 0x90]);
        put(3, b"HOLDFAST");
        put(11, &(SECTOR as u16).to_le_bytes());
        put(13, &[(CLUSTER / SECTOR) as u8]);
        put(14, &(self.reserved as u16).to_le_bytes());
        put(16, &[2]);
        put(17, &((self.root * SECTOR / 32) as u16).to_le_bytes());
        match u16::try_from(self.total) {
            Ok(total) if !self.fat32 => put(19, &total.to_le_bytes()),
            _ => put(32, &(self.total as u32).to_le_bytes()),
        }
        put(21, &[0xf8]);
        put(24, &32u16.to_le_bytes());
        put(26, &64u16.to_le_bytes());
        let extended = if self.fat32 {
            put(36, &(self.table as u32).to_le_bytes());
            put(44, &root.to_le_bytes());
            put(48, &1u16.to_le_bytes());
            put(50, &6u16.to_le_bytes());
            64
        } else {
            put(22, &(self.table as u16).to_le_bytes());
            36
        };
        put(extended, &[0x80, 0, 0x29]);
        put(extended + 3, &id.to_le_bytes());
        put(extended + 7, &label);
        put(
            extended + 18,
            if self.fat32 { b"FAT32   " } else { b"FAT16   " },
        );
        // For a BIOS that starts the partition itself: int 0x18, "not bootable".
        put(extended + 26, &[0xcd, 0x18]);
        put(510, &[0x55, 0xaa]);
        if !self.fat32 {
            return vec![(0, boot)];
        }
        let mut info = vec![0u8; SECTOR as usize];
        let mut put = |at: usize, bytes: &[u8]| info[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"RRaA");
        put(484, b"rrAa");
        put(488, &free.to_le_bytes());
        put(492, &next.to_le_bytes());
        put(510, &[0x55, 0xaa]);
        vec![
            (0, boot.clone()),
            (SECTOR, info.clone()),
            (6 * SECTOR, boot),
            (7 * SECTOR, info),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_number_of_clusters() {
        for mib in [17u64, 64, 200, 255, 256, 257, 260, 512, 4096] {
            let geometry = Geometry::new(mib << 20).unwrap();
            assert_eq!(geometry.fat32, mib >= 257, "{mib}");
            assert_eq!(geometry.offset(2) % CLUSTER, 0);
            assert!(geometry.offset(geometry.clusters + 2) <= mib << 20);
        }
        assert_eq!(Geometry::new(8 << 20), None);
        assert_eq!(Geometry::new(0), None);
    }
}
