//! IPv4 default gateways from `/proc/net/route`.

use std::net::Ipv4Addr;

const RTF_GATEWAY: u32 = 0x2;

/// Gateways of default routes, lowest metric first.
pub fn default_gateways(table: &str) -> Vec<Ipv4Addr> {
    let mut found: Vec<(u32, Ipv4Addr)> = table.lines().skip(1).filter_map(gateway).collect();
    found.sort_by_key(|(metric, _)| *metric);
    found.into_iter().map(|(_, address)| address).collect()
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`; addresses are
/// hexadecimal in the machine's byte order.
fn gateway(line: &str) -> Option<(u32, Ipv4Addr)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let hex = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
    let default = hex(1)? == 0 && hex(7)? == 0 && hex(3)? & RTF_GATEWAY != 0;
    let metric = fields.get(6)?.parse().ok()?;
    default.then_some((metric, Ipv4Addr::from(hex(2)?.to_ne_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_the_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
            eth1\t00000000\t0101A8C0\t0003\t0\t0\t1024\t00000000\t0\t0\t0\n\
            eth0\t00000000\t0202000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            eth0\t0002000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(
            default_gateways(table),
            [Ipv4Addr::new(10, 0, 2, 2), Ipv4Addr::new(192, 168, 1, 1)]
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "(?s).*") {
            default_gateways(&text);
        }
    }
}
