//! systemd.netdev(5).

use super::super::model::{Kind, Link};
use super::File;

/// `None` for what is there already.
pub(super) fn content(link: &Link) -> Option<String> {
    let kind = match &link.kind {
        Kind::Card(_) | Kind::Loopback => return None,
        Kind::Bond(_) => "bond",
        Kind::Bridge(_) => "bridge",
        Kind::Vlan { .. } => "vlan",
        Kind::Dummy => "dummy",
        Kind::Vrf(_) => "vrf",
    };
    let mut file = File::new();
    file.section("NetDev");
    file.set("Name", link.device());
    file.set("Kind", kind);
    file.maybe("MTUBytes", link.mtu);
    file.maybe("MACAddress", link.mac.as_ref());
    match &link.kind {
        Kind::Bond(settings) if !settings.is_empty() => {
            file.section("Bond");
            settings.iter().for_each(|(k, v)| file.set(k, v));
        }
        Kind::Bridge(settings) if !settings.is_empty() => {
            file.section("Bridge");
            settings.iter().for_each(|(k, v)| file.set(k, v));
        }
        Kind::Vlan { tag, .. } => {
            file.section("VLAN");
            file.set("Id", tag);
        }
        Kind::Vrf(table) => {
            file.section("VRF");
            file.set("Table", table);
        }
        _ => {}
    }
    Some(file.0)
}
