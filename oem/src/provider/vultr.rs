//! Vultr: one JSON document, and the user-data.

use super::Provider;
use crate::detect::Clue;
use crate::error::Result;
use crate::http::Http;
use crate::source::cards::{self, Card};
use crate::source::document::{data, scalar};
use crate::source::{Found, Raw, Source, service, value};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "vultr",
    title: "Vultr",
    detect: |e| Clue::is("sys_vendor", &e.dmi.sys_vendor, &["Vultr"]),
    sources: &[&SERVICE],
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "vultr",
    title: "Vultr metadata service",
    local: false,
    fetch: |_, http, deadline| Box::pin(fetch(http, deadline)),
    parse,
};

const BASES: [&str; 1] = ["http://169.254.169.254"];
/// Asks for what is meant for an agent: vendor-data among it.
const TOKEN: (&str, &str) = ("Metadata-Token", "cloudinit");
const ALL: &str = "v1.json";
const USER_DATA: &str = "user-data";

async fn fetch(http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let answer = service::first(http, BASES, deadline, |session| async move {
        let session = session.with(TOKEN.0, TOKEN.1);
        let body = session.get("/v1.json").await?;
        Ok(body.filter(|b| is_metadata(b)).map(|body| (session, body)))
    });
    let Some((session, body)) = answer.await? else {
        return Ok(None);
    };
    let mut raw = Raw::from([(ALL.to_owned(), body)]);
    let mut lost = Vec::new();
    session
        .add(&mut raw, USER_DATA, "/user-data/user-data", &mut lost)
        .await;
    let mut found = parse(&raw, &format!("{}/{ALL}", session.base()));
    found.warnings.extend(lost);
    Ok(Some(found))
}

/// Whatever else lives at this address has no such document.
fn is_metadata(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body)
        .is_ok_and(|v| v.get("instanceid").is_some() || v.get("instance-v2-id").is_some())
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let all = value::json(raw, ALL, &mut found.warnings);
    let texts = ["instance-v2-id", "instanceid", "hostname"];
    value::odd(&all, ALL, &texts, &mut found.warnings);
    let keys = value::ssh_keys(&all, ALL, "public-keys", &mut found.warnings);
    let interfaces = value::items(&all, "interfaces");
    let cards = value::each(interfaces, "interfaces", card, &mut found.warnings);
    let fetched = &mut found.fetched;
    fetched.provider = "vultr".into();
    fetched.source = source.into();
    fetched.user_data = data(raw, USER_DATA)
        .or_else(|| value::block(&all, "user-data").map(|t| t.as_bytes().to_vec()));
    // May set root's password: never to be shown.
    fetched.vendor_data = all.get("vendor-data").and_then(vendor_data);
    fetched.network = cards::configuration(&cards);
    let metadata = &mut fetched.metadata;
    metadata.provider = "vultr".into();
    metadata.instance_id = scalar(&all, "instance-v2-id").or_else(|| scalar(&all, "instanceid"));
    metadata.hostname = scalar(&all, "hostname");
    metadata.ssh_keys = keys;
    let of_kind = |kind: &'static str| interfaces.iter().filter(move |i| is_kind(i, kind));
    metadata.public_ipv4 = of_kind("public").find_map(ipv4);
    metadata.private_ipv4 = of_kind("private").find_map(ipv4);
    metadata.public_ipv6 = of_kind("public").find_map(|i| value::ipv6(i.get("ipv6")?, "address"));
    if let Some(region) = all.get("region") {
        let value = scalar(region, "regioncode").map(|v| ("region".to_owned(), v));
        metadata.attributes.extend(value);
    }
    found
}

fn is_kind(interface: &Value, kind: &str) -> bool {
    interface.get("network-type").and_then(Value::as_str) == Some(kind)
}

fn ipv4(interface: &Value) -> Option<Ipv4Addr> {
    value::ipv4(interface.get("ipv4")?, "address")
}

/// A text as it is; objects, one or several, are cloud-configs.
fn vendor_data(value: &Value) -> Option<Vec<u8>> {
    let text = match value {
        Value::String(text) if !text.trim().is_empty() => text.clone(),
        Value::Object(map) if !map.is_empty() => format!("#cloud-config\n{value}\n"),
        Value::Array(parts) => {
            let parts: Vec<Vec<u8>> = parts.iter().filter_map(vendor_data).collect();
            if parts.len() < 2 {
                return parts.into_iter().next();
            }
            let parts: Vec<Value> = parts
                .iter()
                .map(|p| json!({"content": String::from_utf8_lossy(p)}))
                .collect();
            format!("#cloud-config-archive\n{}\n", Value::from(parts))
        }
        _ => return None,
    };
    Some(text.into_bytes())
}

/// Public cards ask for addresses; those of private networks are told theirs here only.
fn card(interface: &Value) -> Option<Card> {
    let mac = scalar(interface, "mac")?;
    let private = is_kind(interface, "private");
    let mut card = Card {
        mac: Some(mac),
        dhcp4: !private,
        ..Card::default()
    };
    if let Some(v4) = interface.get("ipv4") {
        if private {
            // A private network may be somebody else's to give addresses in.
            if let Some(address) = ipv4(interface) {
                let prefix = cards::prefix_length(&scalar(v4, "netmask")?)?;
                card.addresses.push(format!("{address}/{prefix}"));
            }
        }
        for more in value::items(v4, "additional") {
            let prefix = cards::prefix_length(&scalar(more, "netmask").unwrap_or_default());
            if let (Some(address), Some(prefix)) = (value::address(more, "address"), prefix) {
                card.addresses.push(format!("{address}/{prefix}"));
            }
        }
    }
    if let Some(v6) = interface.get("ipv6") {
        for more in value::items(v6, "additional") {
            let prefix = scalar(more, "prefix").and_then(|p| p.parse::<u8>().ok());
            if let (Some(network), Some(prefix)) = (value::ipv6(more, "network"), prefix) {
                card.addresses.push(format!("{network}/{prefix}"));
            }
        }
    }
    Some(card)
}
