//! UpCloud: one JSON document.

use super::Provider;
use crate::detect::Clue;
use crate::error::Result;
use crate::http::Http;
use crate::source::cards::{self, Card};
use crate::source::document::scalar;
use crate::source::{Found, Raw, Source, service, value};
use serde_json::Value;
use std::net::IpAddr;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "upcloud",
    title: "UpCloud",
    detect: |e| Clue::is("sys_vendor", &e.dmi.sys_vendor, &["UpCloud"]),
    sources: &[&SERVICE],
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "upcloud",
    title: "UpCloud metadata service",
    local: false,
    fetch: |_, http, deadline| Box::pin(fetch(http, deadline)),
    parse,
};

const BASES: [&str; 1] = ["http://169.254.169.254"];
const ALL: &str = "v1.json";

async fn fetch(http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let answer = service::first(http, BASES, deadline, |session| async move {
        let body = session.get("/metadata/v1.json").await?;
        Ok(body.filter(|b| is_metadata(b)).map(|body| (session, body)))
    });
    let Some((session, body)) = answer.await? else {
        return Ok(None);
    };
    let raw = Raw::from([(ALL.to_owned(), body)]);
    Ok(Some(parse(
        &raw,
        &format!("{}/metadata/{ALL}", session.base()),
    )))
}

/// DigitalOcean has a document of this name, with other fields.
fn is_metadata(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|v| v.get("instance_id").is_some())
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let all = value::json(raw, ALL, &mut found.warnings);
    let network = all.get("network").unwrap_or(&Value::Null);
    value::odd(
        &all,
        ALL,
        &["instance_id", "hostname", "region"],
        &mut found.warnings,
    );
    value::odd_blocks(
        &all,
        ALL,
        &["user_data", "vendor_data"],
        &mut found.warnings,
    );
    let keys = value::ssh_keys(&all, ALL, "public_keys", &mut found.warnings);
    let interfaces = value::items(network, "interfaces");
    let cards = value::each(interfaces, "interfaces", card, &mut found.warnings);
    let fetched = &mut found.fetched;
    fetched.provider = "upcloud".into();
    fetched.source = source.into();
    let bytes = |key: &str| value::block(&all, key).map(|t| t.as_bytes().to_vec());
    fetched.user_data = bytes("user_data");
    fetched.vendor_data = bytes("vendor_data");
    fetched.network = cards::configuration(&cards);
    let metadata = &mut fetched.metadata;
    metadata.provider = "upcloud".into();
    metadata.instance_id = scalar(&all, "instance_id");
    metadata.hostname = scalar(&all, "hostname");
    metadata.ssh_keys = keys;
    let of_kind = |kind: &'static str| {
        let ours = interfaces.iter().filter(move |i| is_kind(i, kind));
        ours.flat_map(|i| value::items(i, "ip_addresses"))
            .filter(|a| a.get("floating") != Some(&Value::Bool(true)))
    };
    metadata.public_ipv4 = of_kind("public").find_map(|a| value::ipv4(a, "address"));
    metadata.public_ipv6 = of_kind("public").find_map(|a| value::ipv6(a, "address"));
    // The utility network joins all machines of an account, unless it has its own.
    metadata.private_ipv4 = of_kind("private")
        .chain(of_kind("utility"))
        .find_map(|a| value::ipv4(a, "address"));
    for (name, key) in [("region", "region"), ("cloud-name", "cloud_name")] {
        let value = scalar(&all, key).map(|v| (name.to_owned(), v));
        metadata.attributes.extend(value);
    }
    found
}

fn is_kind(interface: &Value, kind: &str) -> bool {
    interface.get("type").and_then(Value::as_str) == Some(kind)
}

/// A card asks for the addresses that DHCP gives, and is told the others (floating ones).
fn card(interface: &Value) -> Option<Card> {
    let mut card = Card {
        mac: Some(scalar(interface, "mac")?),
        ..Card::default()
    };
    for entry in value::items(interface, "ip_addresses") {
        let Some(address) = value::address(entry, "address") else {
            continue;
        };
        if entry.get("dhcp") == Some(&Value::Bool(true)) {
            match address {
                IpAddr::V4(_) => card.dhcp4 = true,
                IpAddr::V6(_) => card.dhcp6 = true,
            }
            continue;
        }
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let network = scalar(entry, "network").unwrap_or_default();
        let prefix = network
            .split_once('/')
            .and_then(|(_, p)| p.parse::<u8>().ok());
        // Without a network around it, no gateway is reached.
        let gateway = prefix.and_then(|_| value::address(entry, "gateway"));
        card.addresses
            .push(format!("{address}/{}", prefix.unwrap_or(whole)));
        if let Some(gateway) = gateway {
            let all = if gateway.is_ipv4() {
                "0.0.0.0/0"
            } else {
                "::/0"
            };
            card.routes.push((all.to_owned(), gateway.to_string()));
        }
        let dns = value::items(entry, "dns").iter();
        card.dns
            .extend(dns.filter_map(value::text_address).map(|a| a.to_string()));
    }
    Some(card)
}
