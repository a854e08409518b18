//! Akamai's Compute (Linode): JSON documents, behind a token.

use super::Provider;
use crate::detect::Clue;
use crate::error::Result;
use crate::http::Http;
use crate::source::document::scalar;
use crate::source::{Found, Raw, Source, keys, service, value};
use serde_json::Value;
use std::net::Ipv4Addr;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "akamai",
    title: "Akamai (Linode)",
    aliases: &["linode"],
    detect: |e| Clue::is("sys_vendor", &e.dmi.sys_vendor, &["Akamai", "Linode"]),
    sources: &[&SERVICE],
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "akamai",
    title: "Akamai metadata service",
    local: false,
    fetch: |_, http, deadline| Box::pin(fetch(http, deadline)),
    parse,
};

const BASES: [&str; 2] = ["http://169.254.169.254", "http://[fd00:a9fe:a9fe::1]"];
/// Lifetime of a token, in seconds: longer than any boot waits.
const TTL: (&str, &str) = ("Metadata-Token-Expiry-Seconds", "300");
const INSTANCE: &str = "instance";
const KEYS: &str = "ssh-keys";
const NETWORK: &str = "network";
const USER_DATA: &str = "user-data";

async fn fetch(http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let answer = service::first(http, BASES, deadline, |session| async move {
        let Some(token) = session.token("/v1/token", TTL).await? else {
            return Ok(None);
        };
        let session = session.with("Metadata-Token", &token);
        // Without this it answers in a format of its own.
        let json = session.clone().with("Accept", "application/json");
        let body = json.get("/v1/instance").await?;
        let ours = body.filter(|b| value::is_object(b));
        Ok(ours.map(|body| (session, body)))
    });
    let Some((session, body)) = answer.await? else {
        return Ok(None);
    };
    let mut raw = Raw::from([(INSTANCE.to_owned(), body)]);
    let mut lost = Vec::new();
    let json = session.clone().with("Accept", "application/json");
    for name in [KEYS, NETWORK] {
        json.add(&mut raw, name, &format!("/v1/{name}"), &mut lost)
            .await;
    }
    let text = session.clone().with("Accept", "text/plain");
    text.add(&mut raw, USER_DATA, "/v1/user-data", &mut lost)
        .await;
    let mut found = parse(&raw, &format!("{}/v1/", session.base()));
    found.warnings.extend(lost);
    Ok(Some(found))
}

/// Pure. Names are paths below `v1/`.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let instance = value::json(raw, INSTANCE, &mut found.warnings);
    let users = value::json(raw, KEYS, &mut found.warnings);
    let network = value::json(raw, NETWORK, &mut found.warnings);
    let texts = ["id", "label", "region", "type"];
    value::odd(&instance, INSTANCE, &texts, &mut found.warnings);
    value::odd(&network, NETWORK, &[], &mut found.warnings);
    let all_keys = value::ssh_keys(&users, KEYS, "users", &mut found.warnings);
    let fetched = &mut found.fetched;
    fetched.provider = "akamai".into();
    fetched.source = source.into();
    fetched.user_data = raw
        .get(USER_DATA)
        .and_then(|bytes| value::unwrap(bytes, USER_DATA, &mut found.warnings));
    let metadata = &mut fetched.metadata;
    metadata.provider = "akamai".into();
    metadata.instance_id = scalar(&instance, "id");
    // There is no host name but the label, which allows what host names do not.
    metadata.hostname = scalar(&instance, "label").map(|l| l.replace('_', "-"));
    // By user name: root's come first, all are for the one user there is.
    let users = users.get("users").unwrap_or(&Value::Null);
    metadata.ssh_keys = users.get("root").map(keys::of).unwrap_or_default();
    keys::merge(&mut metadata.ssh_keys, all_keys);
    let ipv4 = network.get("ipv4").unwrap_or(&Value::Null);
    metadata.public_ipv4 = first_of(ipv4, "public");
    metadata.private_ipv4 = first_of(ipv4, "private");
    metadata.public_ipv6 = network.get("ipv6").and_then(|n| value::ipv6(n, "slaac"));
    for (name, key) in [
        ("region", "region"),
        ("instance-type", "type"),
        ("label", "label"),
        ("host-uuid", "host_uuid"),
    ] {
        let value = scalar(&instance, key).map(|v| (name.to_owned(), v));
        metadata.attributes.extend(value);
    }
    found
}

/// The first address of a list, without its prefix length.
fn first_of(lists: &Value, name: &str) -> Option<Ipv4Addr> {
    value::items(lists, name).iter().find_map(value::text_ipv4)
}
