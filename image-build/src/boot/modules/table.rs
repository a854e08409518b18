//! The kernel modules that go into the initrd: what may be needed to find the
//! disk and to mount `/usr` and the root partition. Network, graphics, optical
//! drives, the file system of the OEM partition and the like load from `/usr` later.
//!
//! A name that a kernel does not have (Debian's cloud kernel lacks the drivers of
//! bare metal), or has built in, is passed over.

/// Modules by what needs them.
pub const WANTED: [(&str, &[&str]); 14] = [
    (
        "verified /usr and the root file system",
        &["dm_mod", "dm_verity", "erofs", "ext4", "overlay"],
    ),
    // dm-verity and ext4 ask for algorithms, not for modules.
    (
        "hashes and checksums",
        &[
            "sha256_generic",
            "sha256_ssse3",
            "crc32c_generic",
            "crc32c_intel",
        ],
    ),
    ("disks", &["sd_mod", "nvme", "mmc_block"]),
    (
        "KVM: OpenStack, CloudStack, Proxmox, GCE and most clouds",
        &["virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi"],
    ),
    ("Hyper-V, Azure", &["hv_vmbus", "hv_storvsc", "pci_hyperv"]),
    (
        "Xen: XenServer, older EC2",
        &["xen_blkfront", "xen_scsifront"],
    ),
    (
        "VMware, VirtualBox",
        &["vmw_pvscsi", "mptspi", "mptsas", "BusLogic"],
    ),
    ("SATA and IDE", &["ahci", "ata_piix", "ata_generic"]),
    (
        "RAID controllers",
        &[
            "megaraid_sas",
            "megaraid_mbox",
            "hpsa",
            "smartpqi",
            "aacraid",
        ],
    ),
    (
        "SAS and SCSI controllers",
        &["mpt3sas", "mpi3mr", "isci", "sym53c8xx"],
    ),
    ("NVMe behind Intel VMD", &["vmd"]),
    ("USB disks", &["usb_storage", "uas"]),
    (
        "USB controllers",
        &["xhci_pci", "ehci_pci", "uhci_hcd", "ohci_pci"],
    ),
    ("SD cards and eMMC", &["sdhci_pci", "sdhci_acpi"]),
];
