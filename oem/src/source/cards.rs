//! Network cards as most services describe them, by hardware address, written as a
//! network configuration in netplan's form (version 2), which [`crate::network`] reads.

use serde_json::{Map, Value, json};

/// What one card gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Card {
    /// Hardware address; without one, `name` says which card it is.
    pub(crate) mac: Option<String>,
    /// The kernel's name for it.
    pub(crate) name: Option<String>,
    /// Asks for an IPv4 address.
    pub(crate) dhcp4: bool,
    /// Asks for an IPv6 address.
    pub(crate) dhcp6: bool,
    /// Fixed addresses with prefix length.
    pub(crate) addresses: Vec<String>,
    /// Destination and gateway.
    pub(crate) routes: Vec<(String, String)>,
    /// Name servers.
    pub(crate) dns: Vec<String>,
    /// Domains to search.
    pub(crate) search: Vec<String>,
    /// Largest packet in bytes.
    pub(crate) mtu: Option<u64>,
}

/// The configuration; `None` without cards. One of which no address is said and no way
/// to ask for one is left to the image's own ways.
pub(crate) fn configuration(cards: &[Card]) -> Option<Vec<u8>> {
    let said = |c: &&Card| c.dhcp4 || c.dhcp6 || !c.addresses.is_empty();
    let cards: Vec<&Card> = cards.iter().filter(said).collect();
    if cards.is_empty() {
        return None;
    }
    let ethernets: Map<String, Value> = cards
        .into_iter()
        .enumerate()
        .map(|(n, card)| (format!("card{n}"), one(card)))
        .collect();
    let text = json!({"version": 2, "ethernets": ethernets}).to_string();
    Some(text.into_bytes())
}

fn one(card: &Card) -> Value {
    let mut out = Map::new();
    let mut set = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    if let Some(mac) = &card.mac {
        set("match", json!({"macaddress": mac.to_ascii_lowercase()}));
    } else if let Some(name) = &card.name {
        set("match", json!({"name": name}));
    }
    set("dhcp4", card.dhcp4.into());
    set("dhcp6", card.dhcp6.into());
    if !card.addresses.is_empty() {
        set("addresses", json!(card.addresses));
    }
    if !card.routes.is_empty() {
        let routes: Vec<Value> = card
            .routes
            .iter()
            .map(|(to, via)| json!({"to": to, "via": via}))
            .collect();
        set("routes", routes.into());
    }
    let mut names = Map::new();
    for (key, list) in [("addresses", &card.dns), ("search", &card.search)] {
        if !list.is_empty() {
            names.insert(key.to_owned(), json!(list));
        }
    }
    if !names.is_empty() {
        set("nameservers", names.into());
    }
    if let Some(mtu) = card.mtu {
        set("mtu", mtu.into());
    }
    out.into()
}

/// `255.255.252.0` as 22; `None` for a mask with holes.
pub(crate) fn prefix_length(mask: &str) -> Option<u32> {
    let bits = u32::from(mask.trim().parse::<std::net::Ipv4Addr>().ok()?);
    (bits.leading_ones() + bits.trailing_zeros() >= 32).then(|| bits.leading_ones())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        for (mask, length) in [
            ("255.255.252.0", Some(22)),
            ("0.0.0.0", Some(0)),
            ("255.255.255.255", Some(32)),
            ("255.0.255.0", None),
            ("0.0.0.1", None),
            ("24", None),
        ] {
            assert_eq!(prefix_length(mask), length, "{mask}");
        }
    }

    #[test]
    fn what_is_written_is_understood() {
        let cards = [
            Card {
                mac: Some("52:54:00:AB:CD:EF".into()),
                dhcp4: true,
                addresses: vec!["2001:db8::5/64".into()],
                routes: vec![("::/0".into(), "fe80::1".into())],
                dns: vec!["192.0.2.53".into()],
                search: vec!["example.org".into()],
                mtu: Some(1400),
                ..Card::default()
            },
            Card {
                name: Some("eth1".into()),
                addresses: vec!["192.0.2.7/24".into()],
                ..Card::default()
            },
        ];
        let bytes = configuration(&cards).unwrap();
        let parsed = crate::network::parse(&bytes);
        let findings = parsed.findings;
        assert!(findings.is_empty(), "{findings:?}");
        let units = crate::network::units(&parsed.network.unwrap());
        let text: String = units.iter().map(|u| format!("{u:?}")).collect();
        for part in [
            "52:54:00:ab:cd:ef",
            "2001:db8::5/64",
            "fe80::1",
            "1400",
            "eth1",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(configuration(&[Card::default()]), None);
    }
}
