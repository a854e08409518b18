//! Addresses of the network every machine sees: those of QEMU's user network.

use std::net::Ipv4Addr;

/// The machine's address.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// Netmask of the machine's network.
pub const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// Router and DHCP server. The host's loopback answers here.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Name server.
pub const DNS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// The machine's Ethernet address.
pub const MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

/// [`MAC`] in text.
pub(super) fn mac_text() -> String {
    MAC.map(|b| format!("{b:02x}")).join(":")
}
