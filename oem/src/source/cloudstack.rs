//! CloudStack's names of things, the same from its virtual router and from a config
//! drive, and from who took them over (Exoscale).

use super::document::{data, first_word, ipv4, line, text};
use super::{Found, Raw, keys, passwords};

/// Documents below `meta-data/`, as the router spells them.
pub(crate) const DOCUMENTS: [&str; 10] = [
    "instance-id",
    "vm-id",
    "local-hostname",
    "public-keys",
    "local-ipv4",
    "public-ipv4",
    "public-hostname",
    "availability-zone",
    "service-offering",
    "cloud-identifier",
];
/// A drive's password, under a name of ours.
pub(crate) const PASSWORD: &str = "vm-password";
/// Kept as attributes.
const ATTRIBUTES: [&str; 5] = [
    "vm-id",
    "public-hostname",
    "availability-zone",
    "service-offering",
    "cloud-identifier",
];

/// Pure. Names are the router's; a config drive's are turned into them.
pub(crate) fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::of("cloudstack", source);
    let fetched = &mut found.fetched;
    fetched.user_data = data(raw, "user-data");
    fetched.network = data(raw, "network_data.json");
    fetched.passwords = line(raw, PASSWORD)
        .filter(|p| *p != "saved_password")
        .map(|p| passwords::plain(p.to_owned()))
        .into_iter()
        .collect();
    let metadata = &mut fetched.metadata;
    metadata.instance_id = line(raw, "instance-id")
        .or_else(|| line(raw, "vm-id"))
        .map(str::to_owned);
    metadata.hostname = line(raw, "local-hostname").and_then(first_word);
    metadata.ssh_keys = text(raw, "public-keys")
        .map(keys::lines)
        .unwrap_or_default();
    metadata.private_ipv4 = ipv4(raw, "local-ipv4");
    // The router's own public address, behind which the machine may be.
    metadata.public_ipv4 = ipv4(raw, "public-ipv4");
    for name in ATTRIBUTES {
        metadata
            .attributes
            .extend(line(raw, name).map(|v| (name.to_owned(), v.to_owned())));
    }
    found
}
