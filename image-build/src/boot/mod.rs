//! What is needed to boot: initrd, UKI, ESP content, GRUB.
//!
//! `modules::select` and `initrd::build` make the initrd, `uki::build` puts it
//! together with kernel and command line, `esp::files` lists what is on the ESP
//! (including GRUB's files), `grub::CoreImage` is what a BIOS starts. With keys,
//! `authenticode::sign` signs what UEFI starts; `secure_boot` has the keys.

pub mod authenticode;
pub mod cpio;
pub mod esp;
pub mod grub;
pub mod initrd;
pub mod modules;
pub mod pe;
pub mod secure_boot;
pub mod uki;
