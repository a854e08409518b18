//! SmartOS and Triton: values by key, asked for over the second serial port in frames
//! with a length and a checksum (version 2 of the protocol).

use super::Provider;
use crate::detect::Clue;
use crate::error::{Error, Result};
use crate::source::cards::{self, Card};
use crate::source::document::{data, first_word, line, scalar};
use crate::source::port::Port;
use crate::source::{Found, Raw, Scene, Source, value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::net::IpAddr;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "smartos",
    title: "SmartOS or Triton",
    aliases: &["triton", "joyent"],
    detect: |e| Clue::starts("product_name", &e.dmi.product_name, "SmartDC"),
    sources: &[&SERIAL],
    ..Provider::NONE
};

static SERIAL: Source = Source {
    name: "smartos",
    title: "SmartOS's serial port",
    local: true,
    fetch: |scene, _, deadline| Box::pin(fetch(scene, deadline)),
    parse,
};

const DEVICE: &str = "dev/ttyS1";
/// What is asked for, what matters most first.
const NAMES: [&str; 12] = [
    "root_authorized_keys",
    "sdc:hostname",
    "sdc:uuid",
    "sdc:nics",
    "sdc:resolvers",
    "sdc:dns_domain",
    "sdc:datacenter_name",
    "sdc:image_uuid",
    "cloud-init:user-data",
    "user-data",
    "user-script",
    "sdc:vendor-data",
];
/// Lines of an earlier conversation that may be left on the port.
const MAX_STALE: usize = 64;

async fn fetch(scene: &Scene, deadline: Instant) -> Result<Option<Found>> {
    let Some(mut port) = Port::open(&scene.root, DEVICE, deadline)? else {
        return Ok(None);
    };
    // The first line break ends what somebody else may have begun.
    port.send(b"\nNEGOTIATE V2\n").await?;
    let mut stale = 0;
    while port.until(b'\n').await? != b"V2_OK" {
        stale += 1;
        if stale > MAX_STALE {
            return Err(Error::environment(format!(
                "/{DEVICE} does not speak version 2"
            )));
        }
    }
    let mut raw = Raw::new();
    let mut lost = Vec::new();
    for (id, name) in (1u32..).zip(NAMES) {
        match ask(&mut port, id, name).await {
            Ok(value) => raw.extend(value.map(|v| (name.to_owned(), v))),
            Err(error) => lost.push(format!("{name} is missing: {}", error.chain())),
        }
    }
    let mut found = parse(&raw, &format!("/{DEVICE}"));
    found.warnings.extend(lost);
    Ok(Some(found))
}

async fn ask(port: &mut Port, id: u32, name: &str) -> Result<Option<Vec<u8>>> {
    port.send(&frame(&format!("{id:08x} GET {}", STANDARD.encode(name))))
        .await?;
    for _ in 0..MAX_STALE {
        let answer = port.until(b'\n').await?;
        if let Some(answer) = answer_of(&answer, id) {
            return answer.map_err(Error::environment);
        }
    }
    Err(Error::environment("no answer fits"))
}

fn frame(body: &str) -> Vec<u8> {
    format!("V2 {} {:08x} {body}\n", body.len(), checksum(body)).into_bytes()
}

fn checksum(body: &str) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(body.as_bytes());
    crc.sum()
}

/// The value in a frame; `None` when it is no answer to the request `id`.
fn answer_of(frame: &[u8], id: u32) -> Option<std::result::Result<Option<Vec<u8>>, String>> {
    let text = std::str::from_utf8(frame).ok()?;
    let mut parts = text.strip_prefix("V2 ")?.splitn(3, ' ');
    let (length, sum, body) = (parts.next()?, parts.next()?, parts.next()?);
    let whole =
        length.parse() == Ok(body.len()) && u32::from_str_radix(sum, 16) == Ok(checksum(body));
    let mut words = body.split(' ');
    if !whole || u32::from_str_radix(words.next()?, 16) != Ok(id) {
        return None;
    }
    Some(match (words.next(), words.next().unwrap_or_default()) {
        (Some("SUCCESS"), value) => STANDARD
            .decode(value)
            .map(Some)
            .map_err(|_| "not base64".to_owned()),
        (Some("NOTFOUND"), _) => Ok(None),
        _ => Err("refused".to_owned()),
    })
}

/// Pure. Names are the keys of the service.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let nics = value::json(raw, "sdc:nics", &mut found.warnings);
    let resolvers = value::json(raw, "sdc:resolvers", &mut found.warnings);
    let nics = nics.as_array().map(Vec::as_slice).unwrap_or_default();
    let warnings = &mut found.warnings;
    let mut cards = value::each(nics, "sdc:nics", card, warnings);
    value::odd_lines(raw, &["sdc:uuid", "sdc:hostname"], warnings);
    let keys = value::key_lines(raw, "root_authorized_keys", warnings);
    if let Some(first) = cards.first_mut() {
        let servers = resolvers.as_array().into_iter().flatten();
        first.dns = servers
            .filter_map(value::text_address)
            .map(|a| a.to_string())
            .collect();
        first
            .search
            .extend(line(raw, "sdc:dns_domain").and_then(first_word));
    }
    let fetched = &mut found.fetched;
    fetched.provider = "smartos".into();
    fetched.source = source.into();
    let names = ["cloud-init:user-data", "user-data", "user-script"];
    fetched.user_data = names.iter().find_map(|n| data(raw, n));
    fetched.vendor_data = data(raw, "sdc:vendor-data");
    fetched.network = cards::configuration(&cards);
    let metadata = &mut fetched.metadata;
    metadata.provider = "smartos".into();
    metadata.instance_id = line(raw, "sdc:uuid").map(str::to_owned);
    metadata.hostname = line(raw, "sdc:hostname").and_then(first_word);
    metadata.ssh_keys = keys;
    let addresses = cards.iter().flat_map(|c| &c.addresses);
    for address in addresses.filter_map(|a| a.split('/').next()?.parse::<IpAddr>().ok()) {
        match address {
            IpAddr::V4(a) if a.is_private() => drop(metadata.private_ipv4.get_or_insert(a)),
            IpAddr::V4(a) => drop(metadata.public_ipv4.get_or_insert(a)),
            IpAddr::V6(a) => drop(metadata.public_ipv6.get_or_insert(a)),
        }
    }
    for (name, key) in [
        ("availability-zone", "sdc:datacenter_name"),
        ("image-id", "sdc:image_uuid"),
    ] {
        let value = line(raw, key).map(|v| (name.to_owned(), v.to_owned()));
        metadata.attributes.extend(value);
    }
    found
}

/// Addresses are texts with a prefix length, or say how to ask for one.
fn card(nic: &Value) -> Option<Card> {
    let mut card = Card {
        mac: Some(scalar(nic, "mac")?),
        mtu: nic.get("mtu").and_then(Value::as_u64),
        ..Card::default()
    };
    for entry in value::items(nic, "ips").iter().filter_map(Value::as_str) {
        match entry {
            "dhcp" => card.dhcp4 = true,
            "addrconf" => card.dhcp6 = true,
            _ => {
                let (address, length) = entry.split_once('/')?;
                let address: IpAddr = address.parse().ok()?;
                let length: u8 = length.parse().ok()?;
                card.addresses.push(format!("{address}/{length}"));
            }
        }
    }
    let primary = nic.get("primary") == Some(&Value::Bool(true));
    for gateway in value::items(nic, "gateways")
        .iter()
        .filter_map(value::text_address)
    {
        let all = if gateway.is_ipv4() {
            "0.0.0.0/0"
        } else {
            "::/0"
        };
        if primary {
            card.routes.push((all.into(), gateway.to_string()));
        }
    }
    Some(card)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::port::double::{ask as ask_source, device};
    use proptest::prelude::*;

    #[test]
    fn frames_are_those_of_the_protocol() {
        // Examples of the protocol's description.
        let body = "9804715c GET c29tZS1rZXk=";
        let line = String::from_utf8(frame(body)).unwrap();
        assert!(line.starts_with("V2 25 ") && line.ends_with(&format!(" {body}\n")));
        let good = frame("000000ff SUCCESS aGVsbG8=");
        let good = good.trim_ascii_end();
        assert_eq!(answer_of(good, 255), Some(Ok(Some(b"hello".to_vec()))));
        assert_eq!(answer_of(good, 254), None);
        let mut damaged = good.to_vec();
        *damaged.last_mut().unwrap() = b'x';
        assert_eq!(answer_of(&damaged, 255), None);
        let none = frame("00000001 NOTFOUND");
        assert_eq!(answer_of(none.trim_ascii_end(), 1), Some(Ok(None)));
    }

    #[test]
    fn asked_over_the_port() {
        let root = tempfile::tempdir().unwrap();
        device(root.path(), DEVICE, |said| {
            let end = said.iter().position(|b| *b == b'\n')? + 1;
            let line = std::str::from_utf8(&said[..end]).unwrap().trim();
            let answer = match line.split(' ').collect::<Vec<_>>()[..] {
                ["NEGOTIATE", "V2"] => b"V2_OK\n".to_vec(),
                ["V2", _, _, id, "GET", name] => {
                    let value = match STANDARD.decode(name).unwrap().as_slice() {
                        b"sdc:uuid" => format!("SUCCESS {}", STANDARD.encode("u1")),
                        b"sdc:hostname" => format!("SUCCESS {}", STANDARD.encode("web1\n")),
                        _ => "NOTFOUND".to_owned(),
                    };
                    frame(&format!("{id} {value}"))
                }
                _ => b"invalid command\n".to_vec(),
            };
            Some((end, answer))
        });
        let found = ask_source(&SERIAL, root.path(), 10_000).unwrap().unwrap();
        assert_eq!(found.warnings, [""; 0]);
        let metadata = found.fetched.metadata;
        assert_eq!(metadata.instance_id.as_deref(), Some("u1"));
        assert_eq!(metadata.hostname.as_deref(), Some("web1"));
    }

    proptest! {
        #[test]
        fn foreign_frames_never_panic(text in "(V2 )?\\PC{0,40}") {
            answer_of(text.as_bytes(), 1);
        }
    }
}
