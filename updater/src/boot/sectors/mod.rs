//! The ESP at the level of sectors: a FAT32 volume in memory, written as Linux' vfat
//! driver writes it, and read as firmware reads it, after a loss of power that kept
//! any of the sectors which no flush had made durable.

mod reader;
mod repairs;
mod tests;
mod vfat;
mod volume;
