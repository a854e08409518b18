//! KubeVirt: a disk in NoCloud's layout or in OpenStack's, as the manifest says.

use super::Provider;
use crate::detect::Clue;
use crate::source::{configdrive, nocloud};

pub(super) static PROVIDER: Provider = Provider {
    name: "kubevirt",
    title: "KubeVirt",
    aliases: &["kubevirt-nocloud"],
    detect: |e| {
        Clue::is("product_family", &e.dmi.product_family, &["KubeVirt"])
            .or_else(|| Clue::is("sys_vendor", &e.dmi.sys_vendor, &["KubeVirt"]))
    },
    sources: &[&configdrive::DRIVE, &nocloud::DISK],
    ..Provider::NONE
};
