//! Which release boots next: systemd-boot's counters and GRUB's environment block.
//!
//! One image boots by BIOS and by UEFI from the same ESP, and a machine may change
//! from one to the other. So both are kept: every operation leaves file names *and*
//! environment block saying the same thing. Tries are counted by the loader that
//! runs, in its own place; [`BootControl::mark_good`], which runs after each boot,
//! carries over to the other what it counted.
//!
//! | state of a release | UKI on the ESP | environment block |
//! |---|---|---|
//! | good | `holdfast_V.efi` | in `order`, no `left` |
//! | on trial | `holdfast_V+LEFT[-DONE].efi` | first in `order`, `left` from 1 |
//! | bad | `holdfast_V+0[-DONE].efi` | in `order`, `left` 0 |
//! | good, stands back | `holdfast_V+0.efi` | in `order`, no `left` |
//!
//! systemd-boot takes the newest *version text* among entries with tries left or
//! without counter, then the newest among those without tries. A release on trial
//! whose version sorts below the running one (releases are ordered by their sequence
//! number, not by their text) would never be tried: for its sake the running release
//! stands back. When the trial's tries are used up both have none left, and the
//! running release is booted again, because it sorts first.
//!
//! The UKI of the running release is never removed, and renamed only when it is
//! blessed, rolled back from, or stands back. Nothing is installed while the running
//! release is on trial, for that would overwrite the last good one.
//!
//! A loss of power in the middle of a change leaves more on FAT than one name or the
//! other: two names of one file, names without clusters, clusters without a name,
//! short names that lost their long ones. Loaders start what is whole of these, and
//! before the ESP is mounted [`repair`] removes the rest.
//!
//! `systemd-bless-boot` does the same renaming for systemd-boot alone; it must not be
//! enabled beside this.

mod control;
mod entries;
mod esp;
mod firmware;
pub mod loaders;
mod machine;
mod mount;
pub mod order;
mod repair;
#[cfg(test)]
mod sectors;
mod secure_boot;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use crate::grub::{BadEnv, BadSlot};
use crate::slots::Id;

pub use control::{BootControl, SlotState, State};
pub use entries::{Entry, Name};
pub use esp::{Esp, Folder};
pub use firmware::{Firmware, Loader};
pub use machine::{Machine, NoMachine};
pub use mount::Mounted;
pub use repair::{Repaired, repair};
pub use secure_boot::{SecureBoot, Unstartable};

/// Why what boots next could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk has no EFI system partition, or belongs to no machine.
    #[error("{0} has no EFI system partition")]
    NoEsp(String),
    /// The ESP could not be mounted.
    #[error("mounting the EFI system partition")]
    Mount(#[source] std::io::Error),
    /// A file of the ESP could not be read or written.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The ESP cannot hold the new UKI.
    #[error(
        "the EFI system partition has room for {free} bytes; the new kernel image needs {need}"
    )]
    Full {
        /// Bytes that can be had, with what may be removed.
        free: u64,
        /// Bytes needed.
        need: u64,
    },
    /// What is running has not been declared good.
    #[error("release {0} is still on trial: installing another would remove the last good one")]
    Unproven(String),
    /// What is running was rolled back from.
    #[error("release {0} was rolled back from and runs only until the next boot")]
    RolledBack(String),
    /// What is running has no UKI on the ESP.
    #[error("the running release {0} has no kernel image on the EFI system partition")]
    NoEntry(String),
    /// The other slot holds nothing that is known to be good.
    #[error("slot {0} holds no release that is known to be good")]
    NothingGood(Id),
    /// The firmware would not start the new UKI.
    #[error(transparent)]
    Unstartable(#[from] Unstartable),
    /// What came back from the ESP is not what was written.
    #[error("{0} was written and reads back differently")]
    ReadBack(String),
    /// GRUB could not boot the UKI.
    #[error("describing the kernel image to GRUB")]
    Slot(#[from] BadSlot),
    /// GRUB could not read the environment block.
    #[error("making GRUB's environment block")]
    Env(#[from] BadEnv),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Error::NoEsp(_) => "boot from a Holdfast image; its ESP holds the loaders",
            Error::Mount(_) => "the journal of the kernel says what is wrong with the partition",
            Error::Full { .. } => "remove files of others from the ESP",
            Error::Unproven(_) => "wait until it is good, or say so with `updater mark-good`",
            Error::RolledBack(_) => "reboot; or keep it after all with `updater mark-good --force`",
            Error::NoEntry(_) => "copy its UKI to EFI/Linux on the ESP, or write the image again",
            Error::Unstartable(e) => e.hint(),
            Error::NothingGood(_) => "install a release first: `updater update`",
            Error::Slot(_) | Error::Env(_) => "build the release again",
            Error::Io { .. } | Error::ReadBack(_) => {
                "check the disk, and the FAT of the ESP (fsck.vfat, while it is not mounted)"
            }
        }
    }
}
