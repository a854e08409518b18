//! DigitalOcean. One document gives everything
//! (<https://docs.digitalocean.com/reference/api/metadata/>). Older regions have no
//! DHCP, so the addresses are in it, too; newer machines have the same on a drive.

use super::Provider;
use crate::detect::{Clue, Evidence};
use crate::error::Result;
use crate::http::Http;
use crate::source::document::scalar;
use crate::source::{Found, Raw, Source, configdrive, keys};
use serde_json::{Map, Value, json};
use std::net::{Ipv4Addr, Ipv6Addr};
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "digitalocean",
    title: "DigitalOcean",
    aliases: &["digital-ocean"],
    detect,
    sources: &[&configdrive::DRIVE, &SERVICE],
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "digitalocean",
    title: "DigitalOcean metadata service",
    local: false,
    fetch: |_, http, deadline| Box::pin(fetch(http, deadline)),
    parse,
};

const URL: &str = "http://169.254.169.254/metadata/v1.json";
const DOCUMENT: &str = "v1.json";

fn detect(evidence: &Evidence) -> Option<Clue> {
    Clue::is("sys_vendor", &evidence.dmi.sys_vendor, &["DigitalOcean"])
}

async fn fetch(http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let Some(body) = http.get(URL, &[], deadline).await?.found() else {
        return Ok(None);
    };
    // Vultr and UpCloud have documents of the same name.
    let is_ours = serde_json::from_slice::<Value>(&body).is_ok_and(|v| v["droplet_id"].is_number());
    if !is_ours {
        return Ok(None);
    }
    Ok(Some(parse(&Raw::from([(DOCUMENT.to_owned(), body)]), URL)))
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::of("digitalocean", source);
    let all = found.json(raw, DOCUMENT);
    let fetched = &mut found.fetched;
    let text = |name: &str| {
        let text = all[name].as_str().filter(|t| !t.is_empty())?;
        Some(text.as_bytes().to_vec())
    };
    fetched.user_data = text("user_data");
    fetched.vendor_data = text("vendor_data");
    fetched.network = network(&all).map(|n| n.to_string().into_bytes());
    let metadata = &mut fetched.metadata;
    metadata.instance_id = scalar(&all, "droplet_id");
    metadata.hostname = scalar(&all, "hostname");
    metadata.ssh_keys = keys::of(&all["public_keys"]);
    let first = |kind: &str, family: &str| {
        let cards = all["interfaces"][kind].as_array()?;
        cards.iter().find_map(|c| scalar(&c[family], "ip_address"))
    };
    let v4 = |kind| first(kind, "ipv4").and_then(|a| a.parse().ok());
    let v6 = |kind| first(kind, "ipv6").and_then(|a| a.parse().ok());
    metadata.public_ipv4 = v4("public");
    metadata.private_ipv4 = v4("private");
    metadata.public_ipv6 = v6("public");
    metadata.private_ipv6 = v6("private");
    let reserved = ["reserved_ip", "floating_ip"].map(|name| &all[name]["ipv4"]);
    let reserved = reserved.iter().find(|r| r["active"] == true);
    let tags = all["tags"].as_array().into_iter().flatten();
    let tags: Vec<&str> = tags.filter_map(Value::as_str).collect();
    for (name, value) in [
        ("region", scalar(&all, "region")),
        (
            "reserved-ipv4",
            reserved.and_then(|r| scalar(r, "ip_address")),
        ),
        ("tags", Some(tags.join(",")).filter(|t| !t.is_empty())),
    ] {
        metadata
            .attributes
            .extend(value.map(|v| (name.to_owned(), v)));
    }
    found
}

/// The static addresses, as cloud-init's network config version 2. `None` when there
/// are none: then the image's own configuration asks DHCP.
fn network(all: &Value) -> Option<Value> {
    let servers = all["dns"]["nameservers"].as_array().into_iter().flatten();
    let servers: Vec<&str> = servers.filter_map(Value::as_str).collect();
    let mut cards = Map::new();
    for kind in ["public", "private"] {
        let list = all["interfaces"][kind].as_array().into_iter().flatten();
        for (number, card) in list.enumerate() {
            let Some(mac) = scalar(card, "mac") else {
                continue;
            };
            // Behind a private card is no way out.
            let addresses = addresses(card);
            let routes = routes(card, kind == "public");
            if addresses.is_empty() {
                continue;
            }
            let mut entry = json!({
                "match": {"macaddress": mac},
                "dhcp4": false,
                "dhcp6": false,
                "addresses": addresses,
                "routes": routes,
            });
            if kind == "public" && !servers.is_empty() {
                entry["nameservers"] = json!({"addresses": servers});
            }
            cards.insert(format!("{kind}{number}"), entry);
        }
    }
    (!cards.is_empty()).then(|| json!({"version": 2, "ethernets": cards}))
}

fn addresses(card: &Value) -> Vec<String> {
    let v4 = |of: &Value| {
        let address: Ipv4Addr = scalar(of, "ip_address")?.parse().ok()?;
        let mask: Ipv4Addr = scalar(of, "netmask")?.parse().ok()?;
        let ones = mask.to_bits().leading_ones();
        (mask.to_bits().count_ones() == ones).then(|| format!("{address}/{ones}"))
    };
    let v6 = |of: &Value| {
        let address: Ipv6Addr = scalar(of, "ip_address")?.parse().ok()?;
        let length: u8 = scalar(of, "cidr")?.parse().ok()?;
        (length <= 128).then(|| format!("{address}/{length}"))
    };
    // The anchor is where reserved addresses end.
    [
        v4(&card["ipv4"]),
        v6(&card["ipv6"]),
        v4(&card["anchor_ipv4"]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn routes(card: &Value, leads_out: bool) -> Vec<Value> {
    let gateway = |family: &str| scalar(&card[family], "gateway");
    let v4 = gateway("ipv4").filter(|g| g.parse::<Ipv4Addr>().is_ok());
    let v6 = gateway("ipv6").filter(|g| g.parse::<Ipv6Addr>().is_ok());
    let default = [("0.0.0.0/0", v4), ("::/0", v6)];
    default
        .into_iter()
        .filter(|_| leads_out)
        .filter_map(|(to, via)| Some(json!({"to": to, "via": via?})))
        .collect()
}
