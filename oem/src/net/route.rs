//! Default routes from `/proc/net/route` and `/proc/net/ipv6_route`.

use std::net::Ipv4Addr;

const RTF_GATEWAY: u32 = 0x2;

/// An IPv4 default route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Default4<'a> {
    metric: u32,
    interface: &'a str,
    gateway: Ipv4Addr,
}

/// Gateways of IPv4 default routes, lowest metric first.
pub fn default_gateways(table: &str) -> Vec<Ipv4Addr> {
    routes(table).into_iter().map(|r| r.gateway).collect()
}

/// Interfaces of IPv4 default routes, lowest metric first.
pub fn default_interfaces(table: &str) -> Vec<&str> {
    routes(table).into_iter().map(|r| r.interface).collect()
}

/// Interfaces of IPv6 default routes, in the kernel's order. Fields:
/// destination, its prefix length, source, its prefix length, next hop,
/// metric, references, uses, flags, interface.
pub fn default_interfaces6(table: &str) -> Vec<&str> {
    fn interface(line: &str) -> Option<&str> {
        let mut fields = line.split_whitespace();
        let any = fields.next()?.bytes().all(|b| b == b'0') && fields.next()? == "00";
        fields.nth(7).filter(|name| any && *name != "lo")
    }
    table.lines().filter_map(interface).collect()
}

fn routes(table: &str) -> Vec<Default4<'_>> {
    let mut found: Vec<_> = table.lines().skip(1).filter_map(default4).collect();
    found.sort();
    found
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`; addresses are
/// hexadecimal in the machine's byte order.
fn default4(line: &str) -> Option<Default4<'_>> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let hex = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
    let default = hex(1)? == 0 && hex(7)? == 0 && hex(3)? & RTF_GATEWAY != 0;
    let metric = fields.get(6)?.parse().ok()?;
    let gateway = Ipv4Addr::from(hex(2)?.to_ne_bytes());
    default.then_some(Default4 {
        metric,
        interface: fields[0],
        gateway,
    })
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
        assert_eq!(default_interfaces(table), ["eth0", "eth1"]);
    }

    #[test]
    fn reads_the_ipv6_table() {
        let zero = "0".repeat(32);
        let hop = format!("fe80{}1", "0".repeat(27));
        let table = format!(
            "{zero} 00 {zero} 00 {hop} 00000400 00000001 00000000 00000003     eth0\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
             {hop} 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001     eth1\n"
        );
        assert_eq!(default_interfaces6(&table), ["eth0"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(?s).*") {
            default_gateways(&text);
            default_interfaces6(&text);
        }
    }
}
