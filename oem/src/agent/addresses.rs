//! Own addresses as metadata, for providers that do not tell them.

use crate::metadata::Metadata;
use std::net::{IpAddr, Ipv4Addr};

/// Fills what is missing from `own`, best interface first.
pub(super) fn complete(metadata: &mut Metadata, own: &[IpAddr]) {
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
            IpAddr::V6(a) if a.is_unique_local() => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_gaps_only() {
        let own: Vec<IpAddr> = [
            "fe80::1",
            "169.254.3.4",
            "10.0.0.5",
            "100.64.0.1",
            "198.51.100.7",
            "fd00::5",
            "2001:db8::5",
        ]
        .iter()
        .map(|a| a.parse().unwrap())
        .collect();
        let told = Some(Ipv4Addr::new(203, 0, 113, 1));
        let mut metadata = Metadata {
            public_ipv4: told,
            ..Metadata::default()
        };
        complete(&mut metadata, &own);
        assert_eq!(metadata.public_ipv4, told);
        assert_eq!(metadata.private_ipv4, Some(Ipv4Addr::new(10, 0, 0, 5)));
        assert_eq!(metadata.private_ipv6, "fd00::5".parse().ok());
        assert_eq!(metadata.public_ipv6, "2001:db8::5".parse().ok());
    }
}
