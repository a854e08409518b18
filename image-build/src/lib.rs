//! Builds and runs Holdfast images: recipe -> lock -> tree -> usr -> verity ->
//! UKI -> ESP -> disk -> formats. Each stage is a function from one owned value
//! to the next; nothing is patched afterwards.

#![forbid(unsafe_code)]

pub mod archive;
pub mod boot;
pub mod build;
pub mod cache;
pub mod cli;
pub mod disk;
pub mod error;
pub mod finalize;
pub mod format;
pub mod guest;
pub mod hex;
pub mod inspect;
pub mod package;
pub mod progress;
pub mod publish;
pub mod recipe;
pub mod report;
pub mod run;
pub mod sbom;
pub mod simulate;
pub mod time;
pub mod tools;
pub mod tree;
pub mod usr;
pub mod verity;
