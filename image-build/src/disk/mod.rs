//! The disk image: partition layout, FAT file systems, and the sparse raw file
//! that all formats are made of.
//!
//! `layout::Layout::new` places the partitions, `assemble::write` writes the file.
//! There is no root partition in it: `init` makes one in the free space when the
//! disk starts for the first time.

pub mod assemble;
pub mod fat;
pub mod layout;
pub mod oem;

pub use assemble::{Parts, write};
pub use layout::{Layout, Sizes};
