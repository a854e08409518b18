//! The kernel modules of the initramfs and the index that says which one a device needs.
//!
//! The index is `/modules/index`; the modules are `/modules/NAME.ko`, not compressed, and without their signature, which
//! may be in `/modules/NAME.ko.sig` (see [`split_signature`]). Names are normalised: `_` for `-`.
//! `image-build` makes the index from depmod's files with [`Index::from_depmod`].
//!
//! Text, one item a line, fields separated by one space:
//! ```text
//! holdfast-modules 1
//! m NAME [DEPENDENCY..]      a module and the modules to load before it
//! s NAME [DEPENDENCY..]      modules to load before it if they are there
//! a PATTERN NAME             the module a modalias needs
//! w NAME PATH                the module is not as it was signed; whole below /usr/lib/modules/RELEASE
//! ```

mod glob;
mod index;
mod signature;

pub use glob::matches;
pub use index::{DIRECTORY, Error, INDEX, Index, Module, normalise};
pub use signature::{Answer, join_signature, split_signature};

/// Modules that no device asks for and every boot needs, the first two before anything can be mounted.
///
/// Disk drivers of SCSI kind (`sd_mod`) come with the events of the disks: loading them always costs every virtio machine
/// the whole SCSI layer.
pub const ALWAYS: &[&str] = &["dm_verity", "erofs", "ext4", "overlay"];

/// Modules that are needed only once `/usr` is mounted, and are large: in the initramfs they lack symbols, for speed. A
/// kernel that insists on signatures gets them whole, from `/usr`.
pub const AFTER_USR: &[&str] = &["ext4", "jbd2", "overlay"];
