//! The disk of the running system: its partition table and the two slots for /usr.
//!
//! A slot is a `usr` and a `usr-verity` partition. Slot A is the first of each kind
//! on the disk, slot B the second. What a slot holds is told by its partitions
//! alone: the name is that of the release, the PARTUUIDs are the halves of the root
//! hash (Discoverable Partitions Specification). `init` finds /usr by them, so a
//! slot with other PARTUUIDs cannot be booted whatever bytes are in it.
//!
//! [`Disk`] changes the slot that is not running, and no other; and the name of the
//! root partition. The table is
//! written backup first, then the primary copy, flushed and read back between the
//! two. Every reader of ours takes the primary copy and falls back to the backup
//! when a checksum is wrong, so the primary copy is where a change happens: before
//! it is touched the old table counts, and while it is torn the new one does, from
//! the backup. Only names, PARTUUIDs and attributes change, never where a partition
//! lies; GRUB, which checks no checksums, reads the same ESP from a torn table.
//!
//! The kernel keeps the names and PARTUUIDs that it read at boot: it does not read
//! the table of a disk in use again, and needs not, for the new ones matter at the
//! next boot only. Slots are written through the partitions' nodes, which do not
//! change.

mod device;
mod disk;
mod storage;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;

use init::cmdline::RootHash;
use init::gpt::Guid;
use serde::{Deserialize, Serialize};

use crate::version::{PREFIX, Version};

pub use device::{Machine, NotMounted};
pub use disk::Disk;
pub use storage::{Area, Storage};

/// GPT name of the partitions of a slot that holds nothing.
pub const EMPTY: &str = "_empty";

/// One of the two slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Id {
    /// The first on the disk.
    A,
    /// The second.
    B,
}

impl Id {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Id::A => Id::B,
            Id::B => Id::A,
        }
    }

    /// Its letter in GRUB's files: `a`, `b`.
    pub fn letter(self) -> char {
        match self {
            Id::A => 'a',
            Id::B => 'b',
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.letter().to_ascii_uppercase())
    }
}

/// A partition of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Number in the table.
    pub number: u32,
    /// PARTUUID.
    pub guid: Guid,
    /// GPT name.
    pub name: String,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

/// A slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Which.
    pub id: Id,
    /// The file system.
    pub usr: Part,
    /// Its hash tree.
    pub verity: Part,
}

/// What the partition table says about a slot's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing: it may be written.
    Empty,
    /// A release.
    Release(Version, RootHash),
    /// Names that are none of ours.
    Unknown(String),
}

impl Slot {
    /// What the slot holds.
    pub fn content(&self) -> Content {
        let (usr, verity) = (&self.usr.name, &self.verity.name);
        if usr == EMPTY && verity == EMPTY {
            return Content::Empty;
        }
        let version = usr
            .strip_prefix(PREFIX)
            .filter(|_| usr == verity)
            .and_then(|text| text.parse().ok());
        match version {
            Some(version) => Content::Release(version, self.root_hash()),
            None => Content::Unknown(format!("{usr}, {verity}")),
        }
    }

    /// The root hash that the PARTUUIDs spell.
    fn root_hash(&self) -> RootHash {
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(self.usr.guid.as_bytes());
        hash[16..].copy_from_slice(self.verity.guid.as_bytes());
        RootHash(hash)
    }
}

/// Why the slots cannot be used or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk of the running system could not be told.
    #[error(transparent)]
    NotMounted(#[from] NotMounted),
    /// Neither copy of the table is good, or a change cannot be written as a table.
    #[error("the partition table of {disk}")]
    Table {
        /// The disk.
        disk: String,
        /// What is wrong with it.
        #[source]
        source: init::gpt::Error,
    },
    /// The MBR has partitions of its own.
    #[error("{0} has a hybrid MBR: firmware may boot from partitions that the GPT does not show")]
    Hybrid(String),
    /// Not two of each kind of partition.
    #[error("{disk} has {usr} usr and {verity} usr-verity partitions; two of each are needed")]
    Missing {
        /// The disk.
        disk: String,
        /// How many of the one.
        usr: usize,
        /// How many of the other.
        verity: usize,
    },
    /// Two partitions have the same PARTUUID.
    #[error("partitions {1} and {2} of {0} have the same PARTUUID")]
    Duplicate(String, u32, u32),
    /// No slot of the disk has the root hash that was booted.
    #[error("no slot of {disk} holds the running /usr, usrhash={hash}")]
    NotRunning {
        /// The disk.
        disk: String,
        /// The root hash on the command line.
        hash: RootHash,
    },
    /// `/` is elsewhere.
    #[error("{0} has no root partition that is mounted as /")]
    NoRoot(String),
    /// A partition cannot hold the release.
    #[error("partition {number} of {disk} has {have} bytes; the release needs {need}")]
    TooSmall {
        /// The disk.
        disk: String,
        /// The partition.
        number: u32,
        /// Its bytes.
        have: u64,
        /// Bytes of the release.
        need: u64,
    },
    /// The release is the running one, or has its name.
    #[error("release {0} is running: it cannot be written into the other slot as well")]
    Same(String),
    /// The kernel's partition is elsewhere than the table's.
    #[error("the kernel has partition {number} of {disk} elsewhere than the partition table")]
    Moved {
        /// The disk.
        disk: String,
        /// The partition.
        number: u32,
    },
    /// What was written did not come back.
    #[error("the partition table of {0} was written and reads back differently")]
    ReadBack(String),
    /// Reading or writing failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Error::NotMounted(_) => "update a machine that was booted from a Holdfast image",
            Error::Table { .. } | Error::Missing { .. } => {
                "repair the table (sgdisk --verify, --load-backup) or write the image again"
            }
            Error::Hybrid(_) => "make the MBR protective again (sgdisk --zap the MBR, gdisk x n)",
            Error::Duplicate(..) => "give one of them a new PARTUUID (sgdisk --partition-guid)",
            Error::NotRunning { .. } => {
                "the table was changed since boot: reboot, or write the image again"
            }
            Error::NoRoot(_) => "this is for machines whose / is on the disk of /usr",
            Error::TooSmall { .. } => "build releases with the `sizes` this machine was built with",
            Error::Same(_) => "give the new release another version",
            Error::Moved { .. } => "reboot, so that the kernel reads the table again",
            Error::ReadBack(_) | Error::Io { .. } => "check the disk; its log is in the journal",
        }
    }
}
