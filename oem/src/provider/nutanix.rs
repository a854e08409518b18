//! Nutanix AHV: a disk in OpenStack's layout; its own tools make NoCloud's too.

use super::Provider;
use crate::detect::Clue;
use crate::source::{configdrive, nocloud};

pub(super) static PROVIDER: Provider = Provider {
    name: "nutanix",
    title: "Nutanix AHV",
    detect: |e| Clue::starts("sys_vendor", &e.dmi.sys_vendor, "Nutanix"),
    sources: &[&configdrive::DRIVE, &nocloud::DISK],
    ..Provider::NONE
};
