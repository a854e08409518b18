//! NWCS: one JSON document.

use super::Provider;
use crate::detect::Clue;
use crate::error::Result;
use crate::http::Http;
use crate::source::document::scalar;
use crate::source::{Found, Raw, Source, service, value};
use serde_json::Value;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "nwcs",
    title: "NWCS",
    detect: |e| Clue::is("sys_vendor", &e.dmi.sys_vendor, &["NWCS"]),
    sources: &[&SERVICE],
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "nwcs",
    title: "NWCS metadata service",
    local: false,
    fetch: |_, http, deadline| Box::pin(fetch(http, deadline)),
    parse,
};

const BASES: [&str; 1] = ["http://169.254.169.254"];
const ALL: &str = "metadata";

async fn fetch(http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let answer = service::first(http, BASES, deadline, |session| async move {
        let body = session.get("/api/v1/metadata").await?;
        Ok(body.filter(|b| is_metadata(b)).map(|body| (session, body)))
    });
    let Some((session, body)) = answer.await? else {
        return Ok(None);
    };
    let raw = Raw::from([(ALL.to_owned(), body)]);
    Ok(Some(parse(
        &raw,
        &format!("{}/api/v1/metadata", session.base()),
    )))
}

/// Whatever else lives at this address has no such document.
fn is_metadata(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|v| v.get("instance_id").is_some())
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let all = value::json(raw, ALL, &mut found.warnings);
    value::odd(&all, ALL, &["instance_id", "hostname"], &mut found.warnings);
    value::odd_blocks(&all, ALL, &["userdata", "vendordata"], &mut found.warnings);
    let keys = value::ssh_keys(&all, ALL, "public-keys", &mut found.warnings);
    let fetched = &mut found.fetched;
    fetched.provider = "nwcs".into();
    fetched.source = source.into();
    let bytes = |key: &str| value::block(&all, key).map(|t| t.as_bytes().to_vec());
    fetched.user_data = bytes("userdata");
    fetched.vendor_data = bytes("vendordata");
    let network = all.get("network").filter(|n| n.is_object());
    fetched.network = network.map(|n| n.to_string().into_bytes());
    let metadata = &mut fetched.metadata;
    metadata.provider = "nwcs".into();
    metadata.instance_id = scalar(&all, "instance_id");
    metadata.hostname = scalar(&all, "hostname");
    metadata.ssh_keys = keys;
    found
}
