//! Providers this version recognises by name only, so that `detect` explains
//! instead of staying silent. Each moves to a file of its own with its source.

use crate::detect::{Clue, Evidence, Provider};

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
        sources: &[],
        guess: false,
    }
}

/// Chassis asset tag of every Azure machine.
const AZURE_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

pub(super) const AKAMAI: Provider = named("akamai", "Akamai (Linode)", &["linode"], |e| {
    is("sys_vendor", &e.dmi.sys_vendor, &["Linode", "Akamai"])
});
pub(super) const ALIBABA: Provider = named("alibaba", "Alibaba Cloud", &["aliyun"], |e| {
    is("product_name", &e.dmi.product_name, &["Alibaba Cloud ECS"])
});
pub(super) const AZURE: Provider = named("azure", "Microsoft Azure", &[], |e| {
    is("chassis_asset_tag", &e.dmi.chassis_asset_tag, &[AZURE_TAG])
});
pub(super) const CLOUDSIGMA: Provider = named("cloudsigma", "CloudSigma", &[], |e| {
    starts("product_name", &e.dmi.product_name, "CloudSigma")
});
pub(super) const DIGITALOCEAN: Provider = named("digitalocean", "DigitalOcean", &[], |e| {
    is("sys_vendor", &e.dmi.sys_vendor, &["DigitalOcean"])
});
pub(super) const EXOSCALE: Provider = named("exoscale", "Exoscale", &[], |e| {
    starts("product_name", &e.dmi.product_name, "Exoscale")
});
pub(super) const GCE: Provider = named("gce", "Google Compute Engine", &["gcp"], |e| {
    is(
        "product_name",
        &e.dmi.product_name,
        &["Google Compute Engine"],
    )
    .or_else(|| starts("product_serial", &e.dmi.product_serial, "GoogleCloud-"))
});
pub(super) const HETZNER: Provider = named("hetzner", "Hetzner Cloud", &[], |e| {
    is("sys_vendor", &e.dmi.sys_vendor, &["Hetzner"])
});
pub(super) const HYPERV: Provider = named("hyperv", "Microsoft Hyper-V", &[], |e| {
    let vendor = e.dmi.sys_vendor == "Microsoft Corporation";
    let hyperv = vendor && e.dmi.product_name == "Virtual Machine";
    if !hyperv || e.dmi.chassis_asset_tag == AZURE_TAG {
        return None;
    }
    Clue::certain("DMI sys_vendor is `Microsoft Corporation` without Azure's asset tag")
});
pub(super) const KUBEVIRT: Provider = named("kubevirt", "KubeVirt", &[], |e| {
    is("product_family", &e.dmi.product_family, &["KubeVirt"])
        .or_else(|| is("sys_vendor", &e.dmi.sys_vendor, &["KubeVirt"]))
});
pub(super) const LXD: Provider = named("lxd", "LXD or Incus", &["incus"], |e| {
    is("product_name", &e.dmi.product_name, &["LXD", "Incus"])
});
pub(super) const NUTANIX: Provider = named("nutanix", "Nutanix AHV", &[], |e| {
    starts("sys_vendor", &e.dmi.sys_vendor, "Nutanix")
});
pub(super) const NWCS: Provider = named("nwcs", "NWCS", &[], |e| {
    is("sys_vendor", &e.dmi.sys_vendor, &["NWCS"])
});
pub(super) const ORACLE: Provider = named("oracle", "Oracle Cloud", &["oraclecloud", "oci"], |e| {
    is(
        "chassis_asset_tag",
        &e.dmi.chassis_asset_tag,
        &["OracleCloud.com"],
    )
});
pub(super) const PROXMOX: Provider = named("proxmox", "Proxmox VE", &[], |e| {
    starts("bios_vendor", &e.dmi.bios_vendor, "Proxmox")
});
pub(super) const SCALEWAY: Provider = named("scaleway", "Scaleway", &[], |e| {
    is("sys_vendor", &e.dmi.sys_vendor, &["Scaleway"])
});
pub(super) const SMARTOS: Provider = named("smartos", "SmartOS or Triton", &["triton"], |e| {
    starts("product_name", &e.dmi.product_name, "SmartDC")
});
pub(super) const UPCLOUD: Provider = named("upcloud", "UpCloud", &[], |e| {
    is("sys_vendor", &e.dmi.sys_vendor, &["UpCloud"])
});
pub(super) const VIRTUALBOX: Provider = named("virtualbox", "VirtualBox", &["vagrant"], |e| {
    is("product_name", &e.dmi.product_name, &["VirtualBox"])
});
pub(super) const VMWARE: Provider = named("vmware", "VMware", &[], |e| {
    starts("sys_vendor", &e.dmi.sys_vendor, "VMware")
});
pub(super) const VULTR: Provider = named("vultr", "Vultr", &[], |e| {
    is("sys_vendor", &e.dmi.sys_vendor, &["Vultr"])
});

fn is(name: &str, value: &str, wanted: &[&str]) -> Option<Clue> {
    wanted
        .contains(&value)
        .then(|| Clue::certain(format!("DMI {name} is `{value}`")))?
}

fn starts(name: &str, value: &str, prefix: &str) -> Option<Clue> {
    value
        .starts_with(prefix)
        .then(|| Clue::certain(format!("DMI {name} is `{value}`")))?
}
