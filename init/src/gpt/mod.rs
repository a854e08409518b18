//! GUID partition tables (UEFI specification 2.10, section 5).
//!
//! Decoding takes bytes and never trusts them: lengths are bounded, both checksums are checked, and partitions must lie
//! in the usable area without overlapping. [`load`] reads the primary copy of a disk and falls back to the backup.
//! [`Table::encode`] gives all the bytes of both copies; the caller writes them, *backup first*, so that one good copy
//! exists at any moment.

mod crc32;
mod decode;
mod edit;
mod encode;
mod error;
mod guid;
mod load;
mod table;
#[cfg(test)]
mod tests;
pub mod types;

pub use crc32::crc32;
pub use decode::{Header, decode_entries, decode_header};
pub use encode::{Encoded, protective_mbr, set_protective_size};
pub use error::Error;
pub use guid::Guid;
pub use load::{Copy, Loaded, load};
pub use table::{Attributes, Partition, Table};

/// Alignment of partitions we create, in bytes.
pub const ALIGNMENT: u64 = 1024 * 1024;
/// Bytes of one partition entry as we write it.
pub(crate) const ENTRY_SIZE: u32 = 128;
/// Entries in the tables we make.
pub const ENTRY_COUNT: u32 = 128;
