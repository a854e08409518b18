//! Proxmox VE: its UEFI firmware tells who made it; data are on a disk in NoCloud's
//! layout or, where the administrator chose so, OpenStack's. With its BIOS nothing tells,
//! and the disk's label does.

use super::Provider;
use crate::detect::Clue;
use crate::source::{configdrive, nocloud};

pub(super) static PROVIDER: Provider = Provider {
    name: "proxmox",
    title: "Proxmox VE",
    aliases: &["proxmoxve"],
    detect: |e| Clue::starts("bios_vendor", &e.dmi.bios_vendor, "Proxmox"),
    sources: &[&nocloud::DISK, &configdrive::DRIVE],
    ..Provider::NONE
};
