use super::{ENTRY_COUNT, ENTRY_SIZE, Error, Guid};

/// A partition table, independent of which copy it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Bytes per sector: 512 or 4096.
    pub sector_size: u32,
    /// Sectors of the disk; the backup header is in the last one.
    pub disk_sectors: u64,
    /// GUID of the disk.
    pub disk_guid: Guid,
    /// First sector a partition may use.
    pub first_usable: u64,
    /// Last sector a partition may use (inclusive).
    pub last_usable: u64,
    /// Entries the table has room for.
    pub entry_count: u32,
    /// The partitions, by number.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Number, from 1.
    pub number: u32,
    /// Type GUID, see [`super::types`].
    pub type_guid: Guid,
    /// Its own GUID (PARTUUID).
    pub guid: Guid,
    /// First sector.
    pub first_lba: u64,
    /// Last sector (inclusive).
    pub last_lba: u64,
    /// Attribute bits.
    pub attributes: Attributes,
    /// Name, at most 36 UTF-16 units.
    pub name: String,
}

impl Partition {
    /// Length in sectors.
    pub fn sectors(&self) -> u64 {
        (self.last_lba + 1).saturating_sub(self.first_lba)
    }
}

/// The 64 attribute bits of a partition: UEFI's low three, DPS's high ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(pub u64);

impl Attributes {
    /// Firmware needs the partition.
    pub const REQUIRED: Self = Self(1);
    /// Legacy BIOS bootable.
    pub const LEGACY_BOOT: Self = Self(1 << 2);
    /// DPS: grow the file system to the size of the partition.
    pub const GROW_FILE_SYSTEM: Self = Self(1 << 59);
    /// DPS: mount read-only.
    pub const READ_ONLY: Self = Self(1 << 60);
    /// DPS: do not mount automatically.
    pub const NO_AUTO: Self = Self(1 << 63);

    /// These bits and those.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Table {
    /// An empty table with 128 entries for a disk of `disk_sectors` sectors.
    pub fn new(sector_size: u32, disk_sectors: u64, disk_guid: Guid) -> Result<Self, Error> {
        if !matches!(sector_size, 512 | 4096) {
            return Err(Error::BadHeader("sector size"));
        }
        let mut table = Self {
            sector_size,
            disk_sectors,
            disk_guid,
            first_usable: 0,
            last_usable: 0,
            entry_count: ENTRY_COUNT,
            partitions: Vec::new(),
        };
        table.first_usable = 2 + table.entry_sectors();
        table.last_usable = disk_sectors
            .checked_sub(2 + table.entry_sectors())
            .ok_or(Error::TooSmall)?;
        if table.last_usable < table.first_usable {
            return Err(Error::TooSmall);
        }
        Ok(table)
    }

    /// Sectors one copy of the entries takes.
    pub(super) fn entry_sectors(&self) -> u64 {
        (u64::from(self.entry_count) * u64::from(ENTRY_SIZE)).div_ceil(u64::from(self.sector_size))
    }

    /// The partition with this number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.number == number)
    }

    /// The first partition with this PARTUUID.
    pub fn by_guid(&self, guid: Guid) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.guid == guid)
    }

    /// The partitions of this type, by number.
    pub fn by_type(&self, type_guid: Guid) -> impl Iterator<Item = &Partition> {
        self.partitions
            .iter()
            .filter(move |partition| partition.type_guid == type_guid)
    }

    /// Checks that every partition lies in the usable area and shares no sector with another.
    pub fn check(&self) -> Result<(), Error> {
        for partition in &self.partitions {
            let inside = partition.first_lba >= self.first_usable
                && partition.last_lba <= self.last_usable
                && partition.first_lba <= partition.last_lba;
            if !inside || partition.number == 0 || partition.number > self.entry_count {
                return Err(Error::Range(partition.number));
            }
        }
        let mut order: Vec<&Partition> = self.partitions.iter().collect();
        order.sort_by_key(|partition| partition.first_lba);
        for pair in order.windows(2) {
            if pair[0].last_lba >= pair[1].first_lba {
                return Err(Error::Overlap(pair[0].number, pair[1].number));
            }
        }
        Ok(())
    }
}
