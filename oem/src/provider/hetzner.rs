//! Hetzner Cloud: one YAML document with nearly everything, and the user-data.

use super::Provider;
use crate::detect::Clue;
use crate::error::Result;
use crate::http::Http;
use crate::source::document::{data, scalar};
use crate::source::{Found, Raw, Scene, Source, service, value};
use serde_json::Value;
use std::net::Ipv6Addr;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "hetzner",
    title: "Hetzner Cloud",
    detect: |e| Clue::is("sys_vendor", &e.dmi.sys_vendor, &["Hetzner"]),
    sources: &[&SERVICE],
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "hetzner",
    title: "Hetzner metadata service",
    local: false,
    fetch: |scene, http, deadline| Box::pin(fetch(scene, http, deadline)),
    parse,
};

const METADATA: &str = "metadata";
const PRIVATE: &str = "private-networks";
const USER_DATA: &str = "userdata";

async fn fetch(scene: &Scene, http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let answer = service::first(
        http,
        service::link_local(scene),
        deadline,
        |session| async move {
            let body = session.get("/hetzner/v1/metadata").await?;
            let ours = body.filter(|b| is_metadata(b));
            Ok(ours.map(|body| (session, body)))
        },
    );
    let Some((session, body)) = answer.await? else {
        return Ok(None);
    };
    let mut raw = Raw::from([(METADATA.to_owned(), body)]);
    let mut lost = Vec::new();
    for (name, path) in [
        (USER_DATA, "/hetzner/v1/userdata"),
        (PRIVATE, "/hetzner/v1/metadata/private-networks"),
    ] {
        session.add(&mut raw, name, path, &mut lost).await;
    }
    let mut found = parse(&raw, &format!("{}/hetzner/v1/", session.base()));
    found.warnings.extend(lost);
    Ok(Some(found))
}

/// Whatever else lives at this address has no such document.
fn is_metadata(body: &[u8]) -> bool {
    let text = std::str::from_utf8(body).unwrap_or_default();
    text.lines().any(|l| l.starts_with("instance-id:"))
}

/// Pure. Names are the last of the paths.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let meta = value::yaml(raw, METADATA, &mut found.warnings);
    let private = value::yaml(raw, PRIVATE, &mut found.warnings);
    let texts = ["instance-id", "hostname", "availability-zone", "region"];
    value::odd(&meta, METADATA, &texts, &mut found.warnings);
    value::odd_addresses(&meta, METADATA, &["public-ipv4"], &mut found.warnings);
    value::odd_blocks(&meta, METADATA, &["vendor_data"], &mut found.warnings);
    let keys = value::ssh_keys(&meta, METADATA, "public-keys", &mut found.warnings);
    let network = meta.get("network-config").filter(|n| !n.is_null());
    if network.is_some_and(|n| !n.is_object()) {
        let what = format!("{METADATA}: `network-config` is left out: not a map");
        found.warnings.push(what);
    }
    let fetched = &mut found.fetched;
    fetched.provider = "hetzner".into();
    fetched.source = source.into();
    fetched.user_data = data(raw, USER_DATA);
    fetched.vendor_data = value::block(&meta, "vendor_data").map(|t| t.as_bytes().to_vec());
    // JSON is YAML.
    let network = network.filter(|n| n.is_object());
    fetched.network = network.map(|n| n.to_string().into_bytes());
    let metadata = &mut fetched.metadata;
    metadata.provider = "hetzner".into();
    metadata.instance_id = scalar(&meta, "instance-id");
    metadata.hostname = scalar(&meta, "hostname");
    metadata.ssh_keys = keys;
    metadata.public_ipv4 = value::ipv4(&meta, "public-ipv4");
    metadata.public_ipv6 = network.and_then(ipv6);
    let mut networks = private.as_array().into_iter().flatten();
    metadata.private_ipv4 = networks.find_map(|n| value::ipv4(n, "ip"));
    for name in ["availability-zone", "region"] {
        let value = scalar(&meta, name).map(|v| (name.to_owned(), v));
        metadata.attributes.extend(value);
    }
    found
}

/// The first IPv6 address the network configuration fixes.
fn ipv6(network: &Value) -> Option<Ipv6Addr> {
    value::items(network, "config")
        .iter()
        .flat_map(|card| value::items(card, "subnets"))
        .find_map(|subnet| value::ipv6(subnet, "address"))
}
