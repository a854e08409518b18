//! Rackspace Cloud Servers: host name and network in XenStore, user-data on a config
//! drive where one was asked for. It looks like any other Xen host's machine, so it rests
//! on a pin.
//!
//! Its agent (nova-agent) also took commands by XenStore, a password and files among
//! them; these are not answered: a server built with a password waits for it in vain.

use super::Provider;
use crate::error::{Error, Result};
use crate::source::cards::{self, Card};
use crate::source::document::{first_word, line, scalar};
use crate::source::port::Port;
use crate::source::{Found, Raw, Scene, Source, configdrive, value};
use serde_json::Value;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "rackspace",
    title: "Rackspace Cloud Servers",
    sources: &[&configdrive::DRIVE, &XENSTORE],
    ..Provider::NONE
};

static XENSTORE: Source = Source {
    name: "rackspace",
    title: "XenStore",
    local: true,
    fetch: |scene, _, deadline| Box::pin(fetch(scene, deadline)),
    parse,
};

/// The kernel's ways to XenStore, today's and the former.
const DEVICES: [&str; 2] = ["dev/xen/xenbus", "proc/xen/xenbus"];
const HOSTNAME: &str = "vm-data/hostname";
const NETWORKING: &str = "vm-data/networking";
const ID: &str = "name";
/// Cards one machine may have.
const MAX_CARDS: usize = 64;
/// Operations and answers (xen/io/xs_wire.h).
const DIRECTORY: u32 = 1;
const READ: u32 = 2;
const ERROR: u32 = 16;
/// Largest payload the protocol allows.
const MAX_PAYLOAD: u32 = 4096;

async fn fetch(scene: &Scene, deadline: Instant) -> Result<Option<Found>> {
    let mut device = DEVICES[0];
    let mut port = Port::open(&scene.root, device, deadline)?;
    if port.is_none() {
        device = DEVICES[1];
        port = Port::open(&scene.root, device, deadline)?;
    }
    let Some(mut port) = port else {
        return Ok(None);
    };
    let mut raw = Raw::new();
    let mut names = vec![HOSTNAME.to_owned(), ID.to_owned()];
    let cards = ask(&mut port, DIRECTORY, NETWORKING)
        .await?
        .unwrap_or_default();
    let plain = |n: &&str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric());
    let cards = String::from_utf8_lossy(&cards);
    let cards = cards.split('\0').filter(plain).take(MAX_CARDS);
    names.extend(cards.map(|card| format!("{NETWORKING}/{card}")));
    for name in names {
        raw.extend(ask(&mut port, READ, &name).await?.map(|v| (name, v)));
    }
    let known = raw.keys().any(|k| k != ID);
    Ok(known.then(|| parse(&raw, &format!("/{device}"))))
}

/// One request: a header of four numbers, and the path.
async fn ask(port: &mut Port, operation: u32, path: &str) -> Result<Option<Vec<u8>>> {
    let length = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
    let header = [operation, 0, 0, length].map(u32::to_ne_bytes).concat();
    port.send(&[&header, path.as_bytes(), b"\0"].concat())
        .await?;
    let header = port.exactly(16).await?;
    let number = |at: usize| {
        let bytes = header[at..at + 4].try_into().unwrap_or_default();
        u32::from_ne_bytes(bytes)
    };
    let (kind, length) = (number(0), number(12));
    if length > MAX_PAYLOAD || (kind != operation && kind != ERROR) {
        return Err(Error::environment("XenStore's answer makes no sense"));
    }
    let payload = port.exactly(usize::try_from(length).unwrap_or(0)).await?;
    // Whatever the error is: there is nothing to be had.
    Ok((kind == operation).then_some(payload))
}

/// Pure. Names are paths of XenStore.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let mut cards = Vec::new();
    let mut addresses = Vec::new();
    let names = raw
        .keys()
        .filter(|n| n.starts_with(&format!("{NETWORKING}/")));
    for name in names {
        let document = value::json(raw, name, &mut found.warnings);
        value::odd(&document, name, &["mac", "label"], &mut found.warnings);
        let public = scalar(&document, "label").as_deref() == Some("public");
        if !document.is_object() {
            continue;
        }
        let read = value::each(&[document], name, card, &mut found.warnings);
        let more = read.iter().flat_map(|c| &c.addresses);
        addresses.extend(more.map(|a| (public, a.clone())));
        cards.extend(read);
    }
    let fetched = &mut found.fetched;
    fetched.provider = "rackspace".into();
    fetched.source = source.into();
    fetched.network = cards::configuration(&cards);
    let metadata = &mut fetched.metadata;
    metadata.provider = "rackspace".into();
    // `instance-UUID`.
    metadata.instance_id = line(raw, ID).map(str::to_owned);
    metadata.hostname = line(raw, HOSTNAME).and_then(first_word);
    for (public, address) in addresses {
        let Some(address) = value::text_address(&Value::from(address)) else {
            continue;
        };
        match (public, address) {
            (true, std::net::IpAddr::V4(a)) => drop(metadata.public_ipv4.get_or_insert(a)),
            (false, std::net::IpAddr::V4(a)) => drop(metadata.private_ipv4.get_or_insert(a)),
            (true, std::net::IpAddr::V6(a)) => drop(metadata.public_ipv6.get_or_insert(a)),
            (false, std::net::IpAddr::V6(a)) => drop(metadata.private_ipv6.get_or_insert(a)),
        }
    }
    found
}

fn card(document: &Value) -> Option<Card> {
    let mut card = Card {
        mac: Some(scalar(document, "mac")?),
        ..Card::default()
    };
    let enabled = |entry: &&Value| scalar(entry, "enabled").as_deref() != Some("0");
    for entry in value::items(document, "ips").iter().filter(enabled) {
        let prefix = cards::prefix_length(&scalar(entry, "netmask")?)?;
        card.addresses
            .push(format!("{}/{prefix}", value::ipv4(entry, "ip")?));
    }
    for entry in value::items(document, "ip6s").iter().filter(enabled) {
        let prefix: u8 = scalar(entry, "netmask")?.parse().ok()?;
        card.addresses
            .push(format!("{}/{prefix}", value::ipv6(entry, "ip")?));
    }
    if let Some(gateway) = value::ipv4(document, "gateway") {
        card.routes.push(("0.0.0.0/0".into(), gateway.to_string()));
    }
    if let Some(gateway) = value::ipv6(document, "gateway_v6") {
        card.routes.push(("::/0".into(), gateway.to_string()));
    }
    for route in value::items(document, "routes") {
        let prefix = cards::prefix_length(&scalar(route, "netmask")?)?;
        let (to, via) = (value::ipv4(route, "route")?, value::ipv4(route, "gateway")?);
        card.routes
            .push((format!("{to}/{prefix}"), via.to_string()));
    }
    let dns = value::items(document, "dns").iter();
    card.dns = dns
        .filter_map(value::text_address)
        .map(|a| a.to_string())
        .collect();
    Some(card)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::port::double::{ask as ask_source, device};

    #[test]
    fn read_from_xenstore() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(ask_source(&XENSTORE, root.path(), 500).unwrap(), None);
        device(root.path(), DEVICES[0], |said| {
            let number =
                |at: usize| Some(u32::from_ne_bytes(said.get(at..at + 4)?.try_into().ok()?));
            let length = usize::try_from(number(12)?).ok()?;
            let path = said.get(16..16 + length)?;
            let card = br#"{"mac":"BC:76:4E:20:0C:12","label":"public","gateway":"192.0.2.1","ips":[{"enabled":"1","ip":"192.0.2.7","netmask":"255.255.255.0"}]}"#;
            let (kind, payload): (u32, &[u8]) = match (number(0)?, path) {
                (DIRECTORY, b"vm-data/networking\0") => (DIRECTORY, b"BC764E200C12\0"),
                (READ, b"vm-data/hostname\0") => (READ, b"web1"),
                (READ, b"vm-data/networking/BC764E200C12\0") => (READ, card),
                _ => (ERROR, b"ENOENT\0"),
            };
            let length = u32::try_from(payload.len()).unwrap();
            let mut answer = [kind, 0, 0, length].map(u32::to_ne_bytes).concat();
            answer.extend_from_slice(payload);
            Some((16 + path.len(), answer))
        });
        let found = ask_source(&XENSTORE, root.path(), 10_000).unwrap().unwrap();
        assert_eq!(found.warnings, [""; 0]);
        let metadata = found.fetched.metadata;
        assert_eq!(metadata.hostname.as_deref(), Some("web1"));
        assert_eq!(metadata.public_ipv4, Some([192, 0, 2, 7].into()));
        assert!(found.fetched.network.is_some());
    }

    #[test]
    fn an_empty_xenstore_is_no_source() {
        let root = tempfile::tempdir().unwrap();
        device(root.path(), DEVICES[1], |said| {
            let end = said.iter().skip(16).position(|b| *b == 0)? + 17;
            let answer = [ERROR, 0, 0, 7].map(u32::to_ne_bytes).concat();
            Some((end, [answer, b"ENOENT\0".to_vec()].concat()))
        });
        assert_eq!(ask_source(&XENSTORE, root.path(), 10_000).unwrap(), None);
    }
}
