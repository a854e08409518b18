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

pub(super) static VIRTUALBOX: Provider = named("virtualbox", "VirtualBox", &[], |e| {
    Clue::is("product_name", &e.dmi.product_name, &["VirtualBox"])
});
pub(super) static VMWARE: Provider = named("vmware", "VMware", &[], |e| {
    Clue::starts("sys_vendor", &e.dmi.sys_vendor, "VMware")
});
