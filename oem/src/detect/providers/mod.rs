//! The provider table. Order decides among equally certain candidates and is
//! the order in which rivals are preferred when several answer.

mod cloudstack;
mod ec2;
mod host;
mod nocloud;
mod openstack;
mod others;

use super::Provider;

/// Every provider this version knows by name.
pub static PROVIDERS: &[Provider] = &[
    host::PROVIDER,
    nocloud::PROVIDER,
    openstack::PROVIDER,
    cloudstack::PROVIDER,
    ec2::PROVIDER,
    others::AKAMAI,
    others::ALIBABA,
    others::AZURE,
    others::CLOUDSIGMA,
    others::DIGITALOCEAN,
    others::EXOSCALE,
    others::GCE,
    others::HETZNER,
    others::HYPERV,
    others::KUBEVIRT,
    others::LXD,
    others::NUTANIX,
    others::NWCS,
    others::ORACLE,
    others::PROXMOX,
    others::SCALEWAY,
    others::SMARTOS,
    others::UPCLOUD,
    others::VIRTUALBOX,
    others::VMWARE,
    others::VULTR,
];
