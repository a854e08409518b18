//! What a machine sends to the simulated network: the wire's framing, Ethernet, ARP,
//! DHCP.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| image_build::run::try_frames(data));
