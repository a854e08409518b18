//! Own addresses as metadata, for providers that do not tell them.
//!
//! A provider that tells one address knows them all: what its machine finds on its
//! interfaces depends on when it looks (router advertisements come late), and what it
//! writes would change from boot to boot.

use crate::metadata::Metadata;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Takes `own`, best interface first, unless the provider told any address.
pub fn complete(metadata: &mut Metadata, own: &[IpAddr]) {
    if metadata.addresses().iter().any(Option::is_some) {
        return;
    }
    for address in own {
        match address {
            IpAddr::V4(a) if a.is_loopback() || a.is_link_local() => {}
            IpAddr::V4(a) if is_inner(*a) => {
                metadata.private_ipv4.get_or_insert(*a);
            }
            IpAddr::V4(a) => {
                metadata.public_ipv4.get_or_insert(*a);
            }
            IpAddr::V6(a) if a.is_loopback() || a.is_unicast_link_local() => {}
            IpAddr::V6(a) if a.is_unique_local() || is_site_local(*a) => {
                metadata.private_ipv6.get_or_insert(*a);
            }
            IpAddr::V6(a) => {
                metadata.public_ipv6.get_or_insert(*a);
            }
        }
    }
}

/// RFC 1918, and RFC 6598's space between carriers and customers.
fn is_inner(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private() || (a == 100 && b & 0xc0 == 64)
}

/// `fec0::/10`, which RFC 3879 ended and emulators still hand out.
fn is_site_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfec0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(mut metadata: Metadata, own: &[&str]) -> [Option<String>; 4] {
        let own: Vec<IpAddr> = own.iter().map(|a| a.parse().unwrap()).collect();
        complete(&mut metadata, &own);
        metadata.addresses()
    }

    #[test]
    fn the_first_of_each_kind_counts() {
        let own = [
            "fe80::1",
            "169.254.3.4",
            "10.0.0.5",
            "100.64.0.1",
            "198.51.100.7",
            "fec0::5",
            "fd00::5",
            "2001:db8::5",
        ];
        let got = completed(Metadata::default(), &own);
        let want = ["198.51.100.7", "10.0.0.5", "2001:db8::5", "fec0::5"];
        assert_eq!(got, want.map(|a| Some(a.to_owned())));
    }

    /// A field bug: EC2 tells IPv4 alone, and the router's IPv6 prefix came before the
    /// file was written on some boots and after it on others.
    #[test]
    fn late_router_advertisements_change_nothing_where_the_provider_tells_addresses() {
        let told = Metadata {
            public_ipv4: Some(Ipv4Addr::new(203, 0, 113, 1)),
            ..Metadata::default()
        };
        let early = completed(told.clone(), &["10.0.0.5"]);
        assert_eq!(early, completed(told, &["10.0.0.5", "2001:db8::5"]));
        assert_eq!(early, [Some("203.0.113.1".to_owned()), None, None, None]);
    }
}
