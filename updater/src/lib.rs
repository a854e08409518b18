//! The A/B updater's library: what a release is called on disk and what is
//! booted. It owns every name and format that an updater must trust; the image
//! builder uses the same code, so it cannot ship what the updater cannot read.
//!
//! Invariants: no unsafe code; nothing here panics on foreign bytes.

#![forbid(unsafe_code)]

pub mod bls;
pub mod boot;
mod cause;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod delta;
pub mod dist;
pub mod fetch;
pub mod grub;
pub mod health;
pub mod install;
#[cfg(test)]
mod proof;
pub mod release;
pub mod reset;
pub mod slots;
pub mod state;
pub mod status;
pub mod suggest;
pub mod tuf;
pub mod uki;
pub mod update;
pub mod verity;
pub mod version;

/// Folder of the updater's state, below `/`. Both slots use it. Mode 0700.
pub const STATE: &str = "var/lib/holdfast/update";
