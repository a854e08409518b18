//! What a machine is made of.

use std::path::PathBuf;
use std::str::FromStr;

use super::Accel;
use crate::error::{Error, Result};
use crate::simulate::{NONE, Scenario};

/// A machine to boot.
#[derive(Debug, Clone)]
pub struct MachineConfig {
    /// The disk image; it is never written to.
    pub image: PathBuf,
    /// Where changes to the disk go.
    pub storage: Storage,
    /// Size of the disk in bytes, when larger than the image.
    pub disk_size: Option<u64>,
    /// Firmware.
    pub firmware: Firmware,
    /// UEFI with Secure Boot; a fresh machine has no keys (setup mode).
    pub secure_boot: bool,
    /// How the disk is attached.
    pub disk: Bus,
    /// Network card.
    pub nic: Nic,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// How instructions are run.
    pub accel: Accel,
    /// The provider and what it knows.
    pub scenario: Scenario,
    /// Ports of the machine reachable on the host's loopback: (host, machine).
    /// Host port 0 takes a free one. SSH is always forwarded.
    pub forwards: Vec<(u16, u16)>,
    /// Whether the machine reaches beyond the host.
    pub internet: bool,
    /// Where a copy of the console goes, as it comes.
    pub console_log: Option<PathBuf>,
    /// Private key for [`super::Machine::ssh`].
    pub ssh_key: Option<PathBuf>,
    /// Further arguments for QEMU.
    pub extra: Vec<String>,
}

impl MachineConfig {
    /// A machine with common hardware and no provider.
    pub fn new(image: impl Into<PathBuf>, accel: Accel) -> Self {
        MachineConfig {
            image: image.into(),
            storage: Storage::Temporary,
            disk_size: None,
            firmware: Firmware::Uefi,
            secure_boot: false,
            disk: Bus::VirtioBlk,
            nic: Nic::VirtioNet,
            memory: 2048,
            cpus: 2,
            accel,
            scenario: Scenario::new(&NONE),
            forwards: Vec::new(),
            internet: true,
            console_log: None,
            ssh_key: None,
            extra: Vec::new(),
        }
    }

    /// Refuses what no such machine has.
    pub(super) fn check(&self) -> Result<()> {
        if !self.secure_boot {
            return Ok(());
        }
        let without = match (self.firmware, self.disk) {
            (Firmware::Bios, _) => "a BIOS",
            (Firmware::Uefi, Bus::Ide) => "the older PC chipset, which IDE disks are on,",
            _ => return Ok(()),
        };
        Err(Error::usage(format!("{without} has no Secure Boot"))
            .hint("leave out --secure-boot, or take --firmware uefi and another --disk"))
    }
}

/// Where changes to the disk go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// They are lost with the [`super::Machine`].
    Temporary,
    /// Into this qcow2 file, made when missing; with UEFI, its variables go
    /// beside it (`.vars` added). It holds changes to one image only.
    Persistent(PathBuf),
}

/// Defines an enum with the names its values have on the command line.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[$vdoc])* $variant,)* }

        impl $type {
            /// Every value, with its name.
            pub const ALL: &'static [(&'static str, $type)] = &[$(($name, $type::$variant)),*];
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
                    let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
                    Error::usage(format!("`{text}` is no {}", $what)).hint(format!("one of: {}", names.join(", ")))
                })
            }
        }
    };
}

named! {
    /// Firmware of the machine.
    Firmware, "firmware" {
        /// SeaBIOS.
        Bios = "bios",
        /// OVMF.
        Uefi = "uefi",
    }
}

named! {
    /// How the disk is attached.
    Bus, "disk bus" {
        /// virtio block device.
        VirtioBlk = "virtio-blk",
        /// virtio SCSI adapter.
        VirtioScsi = "virtio-scsi",
        /// NVMe controller.
        Nvme = "nvme",
        /// SATA.
        Ahci = "ahci",
        /// Parallel ATA, on the older PC chipset.
        Ide = "ide",
        /// LSI SAS 1068 (driver mptsas), as VMware has it.
        MptSas = "mptsas",
        /// LSI 53c895a (driver sym53c8xx).
        Sym53c8xx = "sym53c8xx",
        /// LSI MegaRAID (driver megaraid_sas).
        Megasas = "megasas",
        /// VMware paravirtual SCSI.
        Pvscsi = "pvscsi",
    }
}

named! {
    /// Network card.
    Nic, "network card" {
        /// virtio.
        VirtioNet = "virtio-net",
        /// Intel 82540EM.
        E1000 = "e1000",
        /// Intel 82574L.
        E1000e = "e1000e",
        /// VMware paravirtual.
        Vmxnet3 = "vmxnet3",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse() {
        assert_eq!("nvme".parse::<Bus>().unwrap(), Bus::Nvme);
        let wrong = "floppy".parse::<Bus>().unwrap_err();
        assert!(wrong.hint_text().unwrap().contains("virtio-blk"));
    }
}
