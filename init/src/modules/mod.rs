//! The kernel modules of the initramfs and the index that says which one a device needs.
//!
//! The index is `/modules/index`; the modules are `/modules/NAME.ko`, not compressed. Names are normalised: `_` for `-`.
//! `image-build` makes the index from depmod's files with [`Index::from_depmod`].
//!
//! Text, one item a line, fields separated by one space:
//! ```text
//! holdfast-modules 1
//! m NAME [DEPENDENCY..]      a module and the modules to load before it
//! s NAME [DEPENDENCY..]      modules to load before it if they are there
//! a PATTERN NAME             the module a modalias needs
//! ```

mod glob;
mod index;

pub use glob::matches;
pub use index::{DIRECTORY, Error, INDEX, Index, Module, normalise};

/// Modules that no modalias asks for: loaded on every boot if the initramfs has them.
///
/// `sd_mod` and `sr_mod` are here too, so that disks need no second round trip after their controller.
pub const ALWAYS: &[&str] = &["dm_verity", "erofs", "ext4", "overlay", "sd_mod", "sr_mod"];
