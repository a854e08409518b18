//! Providers this version recognises by name only, so that `detect` explains
//! instead of staying silent. Each moves to a file of its own with its source.

use super::Provider;
use crate::detect::{Clue, Evidence};

/// A line for a provider without sources.
const fn named(
    name: &'static str,
    title: &'static str,
    aliases: &'static [&'static str],
    detect: fn(&Evidence) -> Option<Clue>,
) -> Provider {
    Provider {
        name,
        title,
        aliases,
        detect,
        ..Provider::NONE
    }
}

pub(super) static AKAMAI: Provider = named("akamai", "Akamai (Linode)", &["linode"], |e| {
    Clue::is("sys_vendor", &e.dmi.sys_vendor, &["Linode", "Akamai"])
});
pub(super) static ALIBABA: Provider = named("alibaba", "Alibaba Cloud", &["aliyun"], |e| {
    Clue::is("product_name", &e.dmi.product_name, &["Alibaba Cloud ECS"])
});
pub(super) static CLOUDSIGMA: Provider = named("cloudsigma", "CloudSigma", &[], |e| {
    Clue::starts("product_name", &e.dmi.product_name, "CloudSigma")
});
pub(super) static HETZNER: Provider = named("hetzner", "Hetzner Cloud", &[], |e| {
    Clue::is("sys_vendor", &e.dmi.sys_vendor, &["Hetzner"])
});
pub(super) static HYPERV: Provider = named("hyperv", "Microsoft Hyper-V", &[], |e| {
    let vendor = e.dmi.sys_vendor == "Microsoft Corporation";
    let hyperv = vendor && e.dmi.product_name == "Virtual Machine";
    if !hyperv || e.dmi.chassis_asset_tag == super::azure::ASSET_TAG {
        return None;
    }
    Clue::certain("DMI sys_vendor is `Microsoft Corporation` without Azure's asset tag")
});
pub(super) static KUBEVIRT: Provider = named("kubevirt", "KubeVirt", &[], |e| {
    Clue::is("product_family", &e.dmi.product_family, &["KubeVirt"])
        .or_else(|| Clue::is("sys_vendor", &e.dmi.sys_vendor, &["KubeVirt"]))
});
pub(super) static LXD: Provider = named("lxd", "LXD or Incus", &["incus"], |e| {
    Clue::is("product_name", &e.dmi.product_name, &["LXD", "Incus"])
});
pub(super) static NUTANIX: Provider = named("nutanix", "Nutanix AHV", &[], |e| {
    Clue::starts("sys_vendor", &e.dmi.sys_vendor, "Nutanix")
});
pub(super) static NWCS: Provider = named("nwcs", "NWCS", &[], |e| {
    Clue::is("sys_vendor", &e.dmi.sys_vendor, &["NWCS"])
});
pub(super) static ORACLE: Provider =
    named("oracle", "Oracle Cloud", &["oraclecloud", "oci"], |e| {
        Clue::is(
            "chassis_asset_tag",
            &e.dmi.chassis_asset_tag,
            &["OracleCloud.com"],
        )
    });
pub(super) static PROXMOX: Provider = named("proxmox", "Proxmox VE", &[], |e| {
    Clue::starts("bios_vendor", &e.dmi.bios_vendor, "Proxmox")
});
pub(super) static SCALEWAY: Provider = named("scaleway", "Scaleway", &[], |e| {
    Clue::is("sys_vendor", &e.dmi.sys_vendor, &["Scaleway"])
});
pub(super) static SMARTOS: Provider = named("smartos", "SmartOS or Triton", &["triton"], |e| {
    Clue::starts("product_name", &e.dmi.product_name, "SmartDC")
});
pub(super) static UPCLOUD: Provider = named("upcloud", "UpCloud", &[], |e| {
    Clue::is("sys_vendor", &e.dmi.sys_vendor, &["UpCloud"])
});
pub(super) static VIRTUALBOX: Provider = named("virtualbox", "VirtualBox", &["vagrant"], |e| {
    Clue::is("product_name", &e.dmi.product_name, &["VirtualBox"])
});
pub(super) static VMWARE: Provider = named("vmware", "VMware", &[], |e| {
    Clue::starts("sys_vendor", &e.dmi.sys_vendor, "VMware")
});
pub(super) static VULTR: Provider = named("vultr", "Vultr", &[], |e| {
    Clue::is("sys_vendor", &e.dmi.sys_vendor, &["Vultr"])
});
