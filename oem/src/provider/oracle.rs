//! Oracle Cloud Infrastructure: version 2 of its service wants a header, version 1,
//! which older instances have, does not.
//!
//! The network is left to DHCP: the first card may carry the root disk (iSCSI).

use super::Provider;
use crate::detect::Clue;
use crate::error::Result;
use crate::http::Http;
use crate::source::document::scalar;
use crate::source::{Found, Raw, Source, service, value};
use serde_json::Value;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "oracle",
    title: "Oracle Cloud",
    aliases: &["oraclecloud", "oci"],
    detect: |e| {
        let tag = &e.dmi.chassis_asset_tag;
        Clue::is("chassis_asset_tag", tag, &["OracleCloud.com"])
    },
    sources: &[&SERVICE],
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "oracle",
    title: "Oracle Cloud metadata service",
    local: false,
    fetch: |_, http, deadline| Box::pin(fetch(http, deadline)),
    parse,
};

const BASES: [&str; 2] = ["http://169.254.169.254", "http://[fd00:c1::a9fe:a9fe]"];
const PROOF: (&str, &str) = ("Authorization", "Bearer Oracle");
const INSTANCE: &str = "instance";
const VNICS: &str = "vnics";

async fn fetch(http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let answer = service::first(http, BASES, deadline, |session| async move {
        for version in [2, 1] {
            let session = if version == 2 {
                session.clone().with(PROOF.0, PROOF.1)
            } else {
                session.clone()
            };
            let body = session.get(&format!("/opc/v{version}/instance/")).await?;
            if let Some(body) = body.filter(|b| is_instance(b)) {
                return Ok(Some((session, (version, body))));
            }
        }
        Ok(None)
    });
    let Some((session, (version, body))) = answer.await? else {
        return Ok(None);
    };
    let mut raw = Raw::from([(INSTANCE.to_owned(), body)]);
    let mut lost = Vec::new();
    let path = format!("/opc/v{version}/vnics/");
    session.add(&mut raw, VNICS, &path, &mut lost).await;
    let mut found = parse(&raw, &format!("{}/opc/v{version}/", session.base()));
    found.warnings.extend(lost);
    Ok(Some(found))
}

/// Whatever else lives at this address has no such document.
fn is_instance(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|v| v.get("id").is_some())
}

/// Pure. Names are those of version 2.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let instance = value::json(raw, INSTANCE, &mut found.warnings);
    let vnics = value::json(raw, VNICS, &mut found.warnings);
    let user = instance.get("metadata").unwrap_or(&Value::Null);
    let texts = ["id", "hostname", "displayName", "shape"];
    value::odd(&instance, INSTANCE, &texts, &mut found.warnings);
    value::odd(user, "metadata", &[], &mut found.warnings);
    value::odd_blocks(user, "metadata", &["user_data"], &mut found.warnings);
    let keys = value::ssh_keys(user, "metadata", "ssh_authorized_keys", &mut found.warnings);
    let fetched = &mut found.fetched;
    fetched.provider = "oracle".into();
    fetched.source = source.into();
    fetched.user_data = value::block(user, "user_data")
        .and_then(|t| value::unwrap(t.as_bytes(), "user_data", &mut found.warnings));
    let metadata = &mut fetched.metadata;
    metadata.provider = "oracle".into();
    metadata.instance_id = scalar(&instance, "id");
    metadata.hostname = scalar(&instance, "hostname").or_else(|| scalar(&instance, "displayName"));
    metadata.ssh_keys = keys;
    let first = vnics.as_array().and_then(|v| v.first());
    let first = first.unwrap_or(&Value::Null);
    metadata.private_ipv4 = value::ipv4(first, "privateIp");
    metadata.public_ipv6 = value::items(first, "ipv6Addresses")
        .iter()
        .find_map(value::text_ipv6);
    for (name, key) in [
        ("availability-zone", "availabilityDomain"),
        ("fault-domain", "faultDomain"),
        ("region", "canonicalRegionName"),
        ("instance-type", "shape"),
        ("display-name", "displayName"),
        ("image-id", "image"),
    ] {
        let value = scalar(&instance, key).map(|v| (name.to_owned(), v));
        metadata.attributes.extend(value);
    }
    found
}
