//! DHCP leases as systemd-networkd keeps them in `/run/systemd/netif/leases`
//! (one `KEY=value` file per interface, named after its index).

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

/// The part of a lease that matters for finding metadata servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lease {
    /// Our address.
    pub address: Option<Ipv4Addr>,
    /// The DHCP server.
    pub server: Option<Ipv4Addr>,
    /// Gateways.
    pub routers: Vec<Ipv4Addr>,
    /// Options for private use (224 to 254), by number.
    pub private: BTreeMap<u8, Vec<u8>>,
}

/// Parses one lease file; unknown keys and malformed values are skipped.
pub fn parse(text: &str) -> Lease {
    let mut lease = Lease::default();
    for (key, value) in text.lines().filter_map(|l| l.split_once('=')) {
        let value = value.trim();
        match key.trim() {
            "ADDRESS" => lease.address = value.parse().ok(),
            "SERVER_ADDRESS" => lease.server = value.parse().ok(),
            "ROUTER" => {
                lease.routers = value
                    .split_whitespace()
                    .filter_map(|a| a.parse().ok())
                    .collect();
            }
            key => {
                let option = key.strip_prefix("OPTION_").and_then(|n| n.parse().ok());
                lease.private.extend(option.zip(hexadecimal(value)));
            }
        }
    }
    lease
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|d| d.len() % 2 == 0)?;
    let byte = |pair: &[u32]| u8::try_from(pair[0] << 4 | pair[1]).ok();
    digits.chunks_exact(2).map(byte).collect()
}

/// All leases below `root`, in the order of interface indices.
pub fn all(root: &Path) -> Vec<Lease> {
    let entries = fs::read_dir(root.join("run/systemd/netif/leases"))
        .into_iter()
        .flatten();
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|e| Some((e.file_name().to_str()?.parse::<u32>().ok()?, e.path())))
        .collect();
    files.sort();
    files
        .iter()
        .filter_map(|(_, path)| fs::read_to_string(path).ok())
        .map(|t| parse(&t))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_a_lease() {
        let lease = parse(
            "# This is private data. Do not parse.\nADDRESS=10.1.1.57\nNETMASK=255.255.255.0\n\
             ROUTER=10.1.1.1 10.1.1.2\nSERVER_ADDRESS=10.1.1.1\nNTP=x\nbroken\nT1=21600\n\
             OPTION_245=a83f8110\nOPTION_9999=00\nOPTION_230=abc\n",
        );
        assert_eq!(lease.address, Some(Ipv4Addr::new(10, 1, 1, 57)));
        assert_eq!(lease.server, Some(Ipv4Addr::new(10, 1, 1, 1)));
        assert_eq!(lease.routers.len(), 2);
        assert_eq!(
            lease.private,
            BTreeMap::from([(245, vec![168, 63, 129, 16])])
        );
        assert_eq!(parse("SERVER_ADDRESS=nonsense"), Lease::default());
    }

    proptest! {
        #[test]
        fn never_panics(text in "(?s).*") {
            parse(&text);
        }
    }
}
