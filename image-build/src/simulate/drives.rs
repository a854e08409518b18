//! Platforms that have no service of their own: their look, and a drive in NoCloud's or
//! in OpenStack's layout.

use serde_json::{Value, json};

use super::iso::{self, File};
use super::{Look, Provider, Scenario, nocloud, nothing, openstack};

/// Proxmox VE, with its UEFI firmware.
pub(super) static PROXMOX: Provider = Provider {
    name: "proxmox",
    about: "Proxmox VE: CD-ROM labelled cidata",
    endpoints: &[],
    look: |scenario| {
        let bios = "type=0,vendor=Proxmox distribution of EDK II,version=4.2025.02-4";
        look(
            &[bios, "type=1,manufacturer=QEMU,product=Standard PC"],
            nocloud::drive(scenario),
        )
    },
    respond: nothing,
};

/// KubeVirt, whose manifest asks for `cloudInitNoCloud`.
pub(super) static KUBEVIRT: Provider = Provider {
    name: "kubevirt",
    about: "KubeVirt: CD-ROM labelled cidata",
    endpoints: &[],
    look: |scenario| kubevirt(nocloud::drive(scenario)),
    respond: nothing,
};

/// KubeVirt, whose manifest asks for `cloudInitConfigDrive`.
pub(super) static KUBEVIRT_DRIVE: Provider = Provider {
    name: "kubevirt-configdrive",
    about: "KubeVirt: CD-ROM labelled config-2",
    endpoints: &[],
    look: |scenario| kubevirt(openstack::drive(scenario)),
    respond: nothing,
};

/// Nutanix AHV.
pub(super) static NUTANIX: Provider = Provider {
    name: "nutanix",
    about: "Nutanix AHV: CD-ROM labelled config-2",
    endpoints: &[],
    look: |scenario| {
        let system = "type=1,manufacturer=Nutanix,product=AHV";
        look(&[system], openstack::drive(scenario))
    },
    respond: nothing,
};

/// Microsoft Hyper-V. Its key-value pairs need its bus, which QEMU has not.
pub(super) static HYPERV: Provider = Provider {
    name: "hyperv",
    about: "Microsoft Hyper-V: CD-ROM labelled cidata",
    endpoints: &[],
    look: |scenario| {
        let system = "type=1,manufacturer=Microsoft Corporation,product=Virtual Machine,version=Hyper-V UEFI Release v4.1";
        let chassis =
            "type=3,manufacturer=Microsoft Corporation,asset=5423-1042-2957-4428-9384-1162-71";
        look(&[system, chassis], nocloud::drive(scenario))
    },
    respond: nothing,
};

/// LXD, as a virtual machine sees it that has its `cloud-init:config` disk. Its socket is
/// made by its agent, which QEMU has not.
pub(super) static LXD: Provider = Provider {
    name: "lxd",
    about: "LXD or Incus: CD-ROM labelled cidata",
    endpoints: &[],
    look: |scenario| {
        let system = "type=1,manufacturer=QEMU,product=LXD,version=pc-q35";
        look(&[system], nocloud::drive(scenario))
    },
    respond: nothing,
};

/// STACKIT, whose machines are OpenStack's.
pub(super) static STACKIT: Provider = Provider {
    name: "openstack-stackit",
    about: "STACKIT: CD-ROM labelled config-2",
    endpoints: &[],
    look: |scenario| {
        let system =
            "type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova,version=25.2.0";
        look(&[system], openstack::drive(scenario))
    },
    respond: nothing,
};

/// Rackspace OnMetal: bare metal, whose network is described in Debian's way.
pub(super) static ONMETAL: Provider = Provider {
    name: "openstack-onmetal",
    about: "Rackspace OnMetal: config drive with Debian's interfaces",
    endpoints: &[],
    look: |scenario| {
        let system = "type=1,manufacturer=Quanta Computer Inc,product=OnMetal Compute v1";
        look(&[system], iso::image("config-2", &onmetal(scenario)))
    },
    respond: nothing,
};

/// The tree without a network of OpenStack's own kind, and where the other kind is.
fn onmetal(scenario: &Scenario) -> Vec<File> {
    let interfaces = "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n";
    let files = openstack::files(scenario).into_iter();
    let mut out: Vec<File> = files
        .filter(|(name, _)| *name != "network_data.json")
        .map(|(name, value)| {
            let value = match serde_json::from_slice::<Value>(&value) {
                Ok(mut meta) if name == "meta_data.json" => {
                    meta["network_config"] =
                        json!({"name": "network_config", "content_path": "/content/0000"});
                    meta.to_string().into_bytes()
                }
                _ => value,
            };
            File::new(&format!("openstack/latest/{name}"), value)
        })
        .collect();
    out.push(File::new("openstack/content/0000", interfaces));
    out
}

fn kubevirt(drive: Vec<u8>) -> Look {
    look(
        &["type=1,manufacturer=KubeVirt,product=None,family=KubeVirt"],
        drive,
    )
}

fn look(smbios: &[&str], drive: Vec<u8>) -> Look {
    Look {
        smbios: smbios.iter().map(|s| (*s).to_owned()).collect(),
        cdroms: vec![drive],
        ..Look::default()
    }
}
