//! PID 1 of the Holdfast initramfs and of containers, and the formats that decide what can boot.
//!
//! | module | what |
//! |---|---|
//! | [`gpt`] | GUID partition tables: reader (both copies), encoder, growing |
//! | [`verity`] | dm-verity superblock and table line |
//! | [`modules`] | index of kernel modules in the initramfs |
//! | [`cmdline`] | kernel command line |
//! | [`slots`] | which partitions hold the /usr a root hash names |
//! | [`reset`] | what a factory reset leaves |
//! | [`fstype`] | what is on the root partition |
//! | [`boot`] | the initramfs steps, from early mounts to switch root |
//! | [`container`] | PID 1 of a container |
//!
//! The parsers are pure functions over bytes or text. Unsafe code is in `sys` alone.

pub mod boot;
pub mod cmdline;
pub mod container;
pub mod fstype;
pub mod gpt;
pub mod modules;
pub mod reset;
pub mod slots;
mod sys;
pub mod verity;
