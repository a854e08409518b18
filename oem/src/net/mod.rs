//! What the network looks like from here: read from the kernel and from
//! systemd-networkd's files, never changed.

pub mod lease;
pub mod route;
mod wake;

use std::fs;
use std::net::IpAddr;
use std::path::Path;

pub use wake::Wake;

/// Addresses of the interfaces that lead out: those with a default route, in
/// order of preference, then other hardware. Not those of containers' bridges.
pub fn addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let table4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let table6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let mut routed = route::default_interfaces(&table4);
    routed.extend(route::default_interfaces6(&table6));
    let mut found: Vec<(usize, IpAddr)> = interfaces
        .filter_map(|i| {
            let rank = routed.iter().position(|name| *name == i.interface_name);
            let hardware = || {
                Path::new("/sys/class/net")
                    .join(&i.interface_name)
                    .join("device")
            };
            let rank = rank.or_else(|| hardware().exists().then_some(routed.len()))?;
            let address = i.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            Some((
                rank,
                v4.or_else(|| Some(IpAddr::V6(address.as_sockaddr_in6()?.ip())))?,
            ))
        })
        .collect();
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, address)| address).collect()
}

/// Whether some address can reach beyond its own link, or (IPv4 link-local)
/// the metadata address on it.
pub fn is_online(addresses: &[IpAddr]) -> bool {
    addresses.iter().any(|address| match address {
        IpAddr::V4(a) => !a.is_loopback() && !a.is_unspecified(),
        IpAddr::V6(a) => !a.is_loopback() && !a.is_unicast_link_local(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_v6_alone_is_offline() {
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        assert!(!is_online(&[]));
        assert!(!is_online(&[ip("fe80::1"), ip("127.0.0.1")]));
        assert!(is_online(&[ip("fe80::1"), ip("10.0.0.5")]));
        assert!(is_online(&[ip("169.254.7.7")]));
        assert!(is_online(&[ip("2001:db8::5")]));
    }
}
