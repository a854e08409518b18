//! Values all formats share: text in, checked value or fault out. What passes
//! here is safe in a unit file.

use super::model::Cidr;
use crate::cloudconfig::Spot;
use crate::cloudconfig::node::{Kind, Node};
use crate::cloudconfig::read::{Fields, Reader, shorten};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

/// What is wrong with a value, and what to do.
pub(super) type Fault = (String, &'static str);
/// A value or its fault.
pub(super) type Value<T> = Result<T, Fault>;

fn fault<T>(what: impl Into<String>, hint: &'static str) -> Value<T> {
    Err((what.into(), hint))
}

/// Reads one line of text with `parse`.
pub(super) fn read<T>(
    r: &mut Reader,
    node: &Node,
    path: &str,
    parse: impl FnOnce(&str) -> Value<T>,
) -> Option<T> {
    let line = r.line(node, path)?;
    match parse(&line.value) {
        Ok(value) => Some(value),
        Err((what, hint)) => {
            r.error(line.spot, path, what, hint);
            None
        }
    }
}

/// Reads a field, if it is there.
pub(super) fn get<T>(
    fields: &Fields<'_>,
    r: &mut Reader,
    name: &str,
    parse: impl FnOnce(&str) -> Value<T>,
) -> Option<T> {
    read(r, fields.get(name)?, &fields.key(name), parse)
}

/// Reads a boolean field, if it is there.
pub(super) fn flag(fields: &Fields<'_>, r: &mut Reader, name: &str) -> Option<bool> {
    r.boolean(fields.get(name)?, &fields.key(name))
}

/// Reads a field that is a list, or one text of words.
pub(super) fn words<T>(
    fields: &Fields<'_>,
    r: &mut Reader,
    name: &str,
    parse: impl Fn(&str) -> Value<T>,
) -> Vec<T> {
    let Some(node) = fields.get(name) else {
        return Vec::new();
    };
    let path = fields.key(name);
    let nodes: Vec<(&Node, String)> = match &node.kind {
        Kind::Seq(items) => items
            .iter()
            .enumerate()
            .filter(|(_, n)| !n.is_null())
            .map(|(i, n)| (&**n, format!("{path}[{i}]")))
            .collect(),
        _ => vec![(node, path)],
    };
    let mut out = Vec::new();
    for (node, path) in nodes {
        let Some(line) = r.line(node, &path) else {
            continue;
        };
        for word in split(&line.value) {
            match parse(word) {
                Ok(value) => out.push(value),
                Err((what, hint)) => r.error(line.spot, &path, what, hint),
            }
        }
    }
    out
}

/// Entries of a mapping whose keys are names of links.
pub(super) fn entries<'a>(
    r: &mut Reader,
    node: &'a Node,
    path: &str,
) -> Vec<(String, Spot, &'a Node)> {
    let Kind::Map(map) = &node.kind else {
        let what = format!("expected a mapping of names, found {}", node.describe());
        r.error(node.spot, path, what, "such as `ens3: {dhcp4: true}`");
        return Vec::new();
    };
    let mut out: Vec<(String, Spot, &Node)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (key, value) in map {
        let Some(name) = read(r, key, path, id) else {
            continue;
        };
        let entry = (name.clone(), key.spot, &**value);
        match places.get(&name) {
            Some(at) => {
                let what = format!("given twice (first on line {})", out[*at].1.line);
                r.warn(
                    key.spot,
                    &format!("{path}.{name}"),
                    what,
                    "the last one counts",
                );
                out[*at] = entry;
            }
            None => {
                places.insert(name, out.len());
                out.push(entry);
            }
        }
    }
    out
}

/// Words of a list in one text.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', ',']).filter(|w| !w.is_empty())
}

/// A number in a range.
pub(super) fn number(min: u32, max: u32) -> impl Fn(&str) -> Value<u32> {
    move |text| match text.parse::<u32>() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        _ => fault(
            format!("{:?} is not a number from {min} to {max}", shorten(text)),
            "",
        ),
    }
}

/// Any number.
pub(super) fn count(text: &str) -> Value<u32> {
    number(0, u32::MAX)(text)
}

/// Bytes of the largest packet.
pub(super) fn mtu(text: &str) -> Value<u32> {
    number(68, 65_536)(text)
}

/// A number, decimal or hexadecimal.
pub(super) fn mark(text: &str) -> Value<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16)
            .or_else(|_| fault(format!("{:?} is not a number", shorten(text)), "")),
        None => count(text),
    }
}

/// An address.
pub(super) fn ip(text: &str) -> Value<IpAddr> {
    text.parse().or_else(|_| {
        let hint = if text.contains('/') {
            "leave the prefix length out"
        } else if text.contains('%') {
            "leave the interface out"
        } else {
            "such as 192.0.2.1 or 2001:db8::1"
        };
        fault(format!("{:?} is not an IP address", shorten(text)), hint)
    })
}

/// An address with its prefix length; without one it stands for itself alone.
pub(super) fn cidr(text: &str) -> Value<Cidr> {
    cidr_with(text, None)
}

/// The same, with a netmask or prefix length written apart.
pub(super) fn cidr_with(text: &str, netmask: Option<&str>) -> Value<Cidr> {
    let (address, own) = match text.split_once('/') {
        Some((a, b)) => (a, Some(b)),
        None => (text, None),
    };
    let ip = ip(address)?;
    let width = if ip.is_ipv4() { 32 } else { 128 };
    let bits = match own.or(netmask) {
        Some(mask) => prefix_length(mask, width)?,
        None => width,
    };
    Ok(Cidr { ip, bits })
}

/// `24`, `255.255.255.0`, `ffff:ffff:ffff:ffff::`.
fn prefix_length(text: &str, width: u8) -> Value<u8> {
    let wrong = || {
        fault(
            format!("{:?} is not a netmask or prefix length", shorten(text)),
            "such as 255.255.255.0 or 24",
        )
    };
    if let Ok(bits) = text.parse::<u8>() {
        return if bits <= width { Ok(bits) } else { wrong() };
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(mask)) if width == 32 => contiguous(u128::from(mask.to_bits()) << 96, wrong),
        Ok(IpAddr::V6(mask)) if width == 128 => contiguous(mask.to_bits(), wrong),
        _ => wrong(),
    }
}

fn contiguous(mask: u128, wrong: impl Fn() -> Value<u8>) -> Value<u8> {
    let ones = mask.leading_ones();
    if ones == 128 || mask << ones == 0 {
        u8::try_from(ones).or_else(|_| wrong())
    } else {
        wrong()
    }
}

/// Where a route leads: `default`, a network, an address.
pub(super) fn destination(ipv4: bool) -> impl Fn(&str) -> Value<Cidr> {
    move |text| match text {
        "default" | "any" | "all" => Ok(super::model::everything(ipv4)),
        _ => cidr(text),
    }
}

/// The prefix length classes gave an address without one.
pub(super) fn classful(ip: Ipv4Addr) -> u8 {
    match ip.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}

/// A hardware address: six octets, or the 20 of InfiniBand.
pub(super) fn mac(text: &str) -> Value<String> {
    let text = text.strip_prefix("ether ").unwrap_or(text).trim();
    let text = text.to_ascii_lowercase().replace('-', ":");
    let octets: Vec<&str> = text.split(':').collect();
    let good = |o: &&str| o.len() == 2 && o.bytes().all(|b| b.is_ascii_hexdigit());
    if matches!(octets.len(), 6 | 20) && octets.iter().all(good) {
        Ok(text)
    } else {
        fault(
            format!("{:?} is not a hardware address", shorten(&text)),
            "six hexadecimal pairs, such as 52:54:00:12:34:56; quote it",
        )
    }
}

/// Longest name the kernel takes, in bytes.
const NAME: usize = 15;

/// A name the kernel takes.
pub(super) fn interface(text: &str) -> Value<String> {
    let good = |b: u8| b.is_ascii_graphic() && !b"/:%\"'\\*?[]#;".contains(&b);
    if text.is_empty() || text.len() > NAME || !text.bytes().all(good) || text.starts_with('.') {
        return fault(
            format!("{:?} is not the name of an interface", shorten(text)),
            "up to 15 letters, digits, and . _ -",
        );
    }
    if matches!(text, "all" | "default") || text.bytes().all(|b| b.is_ascii_digit()) {
        return fault(
            format!("the kernel has another use for the name {text:?}"),
            "choose another name",
        );
    }
    Ok(text.to_owned())
}

/// A shell pattern for names or drivers.
pub(super) fn pattern(text: &str) -> Value<String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"*?[]._-@:+".contains(&b);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        fault(
            format!("{:?} is not a pattern for names", shorten(text)),
            "such as ens3 or en*",
        )
    }
}

/// Any short name of a link inside a text.
pub(super) fn id(text: &str) -> Value<String> {
    if text.is_empty() || text.len() > 64 || text.chars().any(|c| c.is_control()) {
        return fault(format!("{:?} is not a name", shorten(text)), "");
    }
    Ok(text.to_owned())
}

/// A label of an address (at most 15 bytes).
pub(super) fn label(text: &str) -> Value<String> {
    let good = |b: u8| b.is_ascii_graphic() && !b"\"'\\%#;".contains(&b);
    if !text.is_empty() && text.len() <= NAME && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        fault(format!("{:?} is not a label", shorten(text)), "")
    }
}

/// A domain, `~` in front for routing only.
pub(super) fn domain(text: &str) -> Value<String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    if !text.is_empty() && text.len() <= 254 && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        fault(format!("{:?} is not a domain", shorten(text)), "")
    }
}

/// One of a few words, given as theirs.
pub(super) fn one_of(
    choices: &'static [(&'static str, &'static str)],
) -> impl Fn(&str) -> Value<&'static str> {
    move |text| {
        let found = choices.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).map_or_else(
            || {
                // Numbers are the kernel's other names for them.
                let names: Vec<&str> = choices
                    .iter()
                    .map(|(name, _)| *name)
                    .filter(|name| !name.bytes().all(|b| b.is_ascii_digit()))
                    .collect();
                let what = format!("{:?} is none of {}", shorten(text), names.join(", "));
                fault(what, "")
            },
            Ok,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn netmasks() {
        let text = |t: &str, m: Option<&str>| cidr_with(t, m).map(|c| c.to_string()).ok();
        let some = |t: &str| Some(t.to_owned());
        assert_eq!(text("10.0.0.1", Some("255.255.252.0")), some("10.0.0.1/22"));
        assert_eq!(text("10.0.0.1", Some("0.0.0.0")), some("10.0.0.1/0"));
        assert_eq!(text("10.0.0.1/8", Some("24")), some("10.0.0.1/8"));
        assert_eq!(text("10.0.0.1", None), some("10.0.0.1/32"));
        assert_eq!(text("fd00::1", Some("ffff:ffff::")), some("fd00::1/32"));
        assert_eq!(text("fd00::1", Some("64")), some("fd00::1/64"));
        assert_eq!(text("10.0.0.1", Some("255.0.255.0")), None);
        assert_eq!(text("10.0.0.1/33", None), None);
        assert_eq!(text("fd00::1", Some("255.255.255.0")), None);
    }

    #[test]
    fn names_the_kernel_takes() {
        for good in ["eth0", "bond0.100", "tap1a81968a-79", "br_lan"] {
            assert!(interface(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "a b",
            "a/b",
            "eth0:1",
            "sixteen-letters-",
            "42",
            "all",
            "é",
        ] {
            assert!(interface(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hardware_addresses() {
        assert_eq!(mac("52-54-00-AB-cd-EF").unwrap(), "52:54:00:ab:cd:ef");
        assert_eq!(mac("ether 52:54:00:ab:cd:ef").unwrap(), "52:54:00:ab:cd:ef");
        assert!(mac("52:54:00:ab:cd").is_err() && mac("é2:54:00:ab:cd:ef").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>(), mask in any::<String>()) {
            let _ = (cidr_with(&text, Some(&mask)), mac(&text), interface(&text));
        }
    }
}
