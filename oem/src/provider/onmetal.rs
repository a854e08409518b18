//! Rackspace OnMetal: bare metal with a config drive in OpenStack's layout, whose network
//! configuration is Debian's interfaces(5). Nothing in the firmware tells, so it rests on
//! a pin; without one the drive's label is enough.

use super::Provider;
use crate::source::configdrive;

pub(super) static PROVIDER: Provider = Provider {
    name: "rackspace-onmetal",
    title: "Rackspace OnMetal",
    aliases: &["onmetal"],
    sources: &[&configdrive::DRIVE],
    ..Provider::NONE
};
