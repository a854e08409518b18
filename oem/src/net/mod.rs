//! What the network looks like from here: read from the kernel and from
//! systemd-networkd's files, never changed.

pub mod lease;
pub mod route;
mod wake;

use std::net::IpAddr;

pub use wake::Wake;

/// Addresses of all interfaces but loopback, in the kernel's order.
pub fn addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    interfaces
        .filter(|i| !i.flags.contains(nix::net::if_::InterfaceFlags::IFF_LOOPBACK))
        .filter_map(|i| {
            let address = i.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .collect()
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
