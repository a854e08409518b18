//! DHCP leases of systemd-networkd and the kernel's routing tables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oem::net::{lease, route};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    lease::parse(&text);
    route::default_gateways(&text);
    route::default_interfaces(&text);
    route::default_interfaces6(&text);
});
