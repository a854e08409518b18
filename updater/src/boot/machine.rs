//! The running machine: its disk, its ESP, and what boots next.

use std::path::Path;

use init::cmdline::RootHash;

use super::{BootControl, Error, Firmware, Mounted, SecureBoot};
use crate::slots::{self, Disk};
use crate::status::Booted;
use crate::version::Version;

/// A machine that was booted from a slot, with its ESP mounted.
#[derive(Debug)]
pub struct Machine {
    /// Its disk.
    pub disk: Disk,
    esp: Mounted,
    firmware: Firmware,
    secure_boot: Option<SecureBoot>,
    version: Version,
}

/// Why a machine cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum NoMachine {
    /// `/proc/cmdline` or os-release cannot be read.
    #[error("reading what is booted")]
    Booted(#[from] std::io::Error),
    /// No `usrhash=` that makes sense.
    #[error("this system was not booted from a verified /usr")]
    NotVerified,
    /// The running slot is not named after a release.
    #[error("the running slot has no release's name")]
    Nameless,
    /// The disk.
    #[error(transparent)]
    Slots(#[from] slots::Error),
    /// The ESP.
    #[error(transparent)]
    Boot(#[from] Error),
}

impl NoMachine {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            NoMachine::Slots(e) => e.hint(),
            NoMachine::Boot(e) => e.hint(),
            _ => "run this as root on a machine that was booted from a Holdfast image",
        }
    }
}

impl Machine {
    /// Opens this machine's disk and mounts its ESP. `root` is `/`.
    pub fn open(root: &Path) -> Result<Self, NoMachine> {
        let booted = Booted::read(root)?.usr_hash;
        let hash = booted.as_deref().and_then(RootHash::parse);
        let disk = Disk::of_machine(root, hash.ok_or(NoMachine::NotVerified)?)?;
        let (version, _) = disk.running_release().ok_or(NoMachine::Nameless)?;
        Ok(Machine {
            esp: Mounted::open(root, &disk)?,
            firmware: Firmware::of_machine(root),
            secure_boot: SecureBoot::of_machine(root),
            disk,
            version,
        })
    }

    /// What boots next.
    pub fn boot(&self) -> BootControl<'_> {
        let secure_boot = self.secure_boot.as_ref();
        boot(&self.esp, self.firmware, &self.disk, &self.version).with_secure_boot(secure_boot)
    }

    /// The disk, and what boots next: for an installation.
    pub fn parts(&mut self) -> (&mut Disk, BootControl<'_>) {
        let secure_boot = self.secure_boot.as_ref();
        let boot = boot(&self.esp, self.firmware, &self.disk, &self.version);
        (&mut self.disk, boot.with_secure_boot(secure_boot))
    }
}

fn boot<'e>(
    esp: &'e Mounted,
    firmware: Firmware,
    disk: &Disk,
    version: &Version,
) -> BootControl<'e> {
    BootControl::new(&esp.folder, firmware, disk.running(), version.clone())
}
