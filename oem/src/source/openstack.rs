//! OpenStack's layout: `meta_data.json`, `user_data`, `vendor_data.json` and
//! `network_data.json`, the same from its service and from a config drive.

use super::document::{data, ipv4, line, scalar};
use super::{Found, Raw, keys};
use serde_json::Value;
use std::net::Ipv4Addr;

/// Documents of one version directory.
pub(crate) const DOCUMENTS: [&str; 4] = [
    "meta_data.json",
    "user_data",
    "vendor_data.json",
    "network_data.json",
];
/// The document [`interfaces_path`] names, under a name of ours.
pub(crate) const INTERFACES: &str = "network_config";

/// Where Debian's interfaces(5) text is, below `openstack/`, on clouds that
/// send no `network_data.json`.
pub(crate) fn interfaces_path(raw: &Raw) -> Option<String> {
    if raw.contains_key("network_data.json") {
        return None;
    }
    let meta: Value = serde_json::from_slice(raw.get("meta_data.json")?).ok()?;
    let path = meta.get("network_config")?.get("content_path")?.as_str()?;
    let name = path.trim_start_matches('/').strip_prefix("content/")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    (!name.is_empty() && name.bytes().all(plain)).then(|| format!("content/{name}"))
}

/// Pure. Understands a drive's `ec2.json` (its `ec2/latest/meta-data.json`) too.
pub(crate) fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::of("openstack", source);
    let mut json = |name: &str| found.json(raw, name);
    let meta = json("meta_data.json");
    let ec2 = json("ec2.json");
    let vendor = json("vendor_data.json");
    let network = json("network_data.json");
    let fetched = &mut found.fetched;
    fetched.user_data = data(raw, "user_data");
    fetched.network = data(raw, "network_data.json").or_else(|| data(raw, INTERFACES));
    // Either the text itself or under cloud-init's name.
    fetched.vendor_data = vendor
        .as_str()
        .or_else(|| vendor.get("cloud-init")?.as_str())
        .filter(|t| !t.is_empty())
        .map(|t| t.as_bytes().to_vec());
    if vendor.is_array() || vendor.get("cloud-init").is_some_and(Value::is_array) {
        found
            .warnings
            .push("vendor_data.json is left out: a list of parts".into());
    }
    let metadata = &mut fetched.metadata;
    metadata.instance_id = scalar(&meta, "uuid").or_else(|| scalar(&ec2, "instance-id"));
    metadata.hostname = scalar(&meta, "hostname").or_else(|| scalar(&meta, "name"));
    metadata.ssh_keys = meta.get("public_keys").map(keys::of).unwrap_or_default();
    for entry in meta
        .get("keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if entry.get("type").and_then(Value::as_str) == Some("ssh") {
            let more = entry.get("data").map(keys::of).unwrap_or_default();
            keys::merge(&mut metadata.ssh_keys, more);
        }
    }
    let address = |name: &str| -> Option<Ipv4Addr> {
        ipv4(raw, name).or_else(|| scalar(&ec2, name)?.parse().ok())
    };
    metadata.private_ipv4 = address("local-ipv4").or_else(|| fixed_address(&network));
    metadata.public_ipv4 = address("public-ipv4");
    for key in ["availability_zone", "launch_index", "name", "project_id"] {
        metadata
            .attributes
            .extend(scalar(&meta, key).map(|v| (key.replace('_', "-"), v)));
    }
    if let Some(kind) = line(raw, "instance-type") {
        metadata
            .attributes
            .insert("instance-type".into(), kind.into());
    }
    found
}

/// The first address the network description fixes.
fn fixed_address(network: &Value) -> Option<Ipv4Addr> {
    let networks = network.get("networks")?.as_array()?;
    networks.iter().find_map(|n| {
        (n.get("type")?.as_str()? == "ipv4").then(|| scalar(n, "ip_address")?.parse().ok())?
    })
}
