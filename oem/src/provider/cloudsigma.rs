//! CloudSigma: one JSON document, asked for over the second serial port.

use super::Provider;
use crate::detect::Clue;
use crate::error::Result;
use crate::source::document::scalar;
use crate::source::port::Port;
use crate::source::{Found, Raw, Scene, Source, value};
use serde_json::Value;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "cloudsigma",
    title: "CloudSigma",
    detect: |e| Clue::starts("product_name", &e.dmi.product_name, "CloudSigma"),
    sources: &[&SERIAL],
    ..Provider::NONE
};

static SERIAL: Source = Source {
    name: "cloudsigma",
    title: "CloudSigma's serial port",
    local: true,
    fetch: |scene, _, deadline| Box::pin(fetch(scene, deadline)),
    parse,
};

const DEVICE: &str = "dev/ttyS1";
/// Asks for the value of a key; of the empty one, for everything.
const EVERYTHING: &[u8] = b"<\n\n>";
/// Ends an answer.
const EOT: u8 = 4;
const CONTEXT: &str = "context";

async fn fetch(scene: &Scene, deadline: Instant) -> Result<Option<Found>> {
    let Some(mut port) = Port::open(&scene.root, DEVICE, deadline)? else {
        return Ok(None);
    };
    port.send(EVERYTHING).await?;
    let raw = Raw::from([(CONTEXT.to_owned(), port.until(EOT).await?)]);
    Ok(Some(parse(&raw, &format!("/{DEVICE}"))))
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let warnings = &mut found.warnings;
    let all = value::json(raw, CONTEXT, warnings);
    let meta = all.get("meta").unwrap_or(&Value::Null);
    value::odd(&all, CONTEXT, &["uuid", "name"], warnings);
    value::odd_blocks(meta, "meta", &["cloudinit-user-data"], warnings);
    let keys = value::ssh_keys(meta, "meta", "ssh_public_key", warnings);
    let fetched = &mut found.fetched;
    fetched.provider = "cloudsigma".into();
    fetched.source = source.into();
    let packed = scalar(meta, "base64_fields").unwrap_or_default();
    let is_packed = |field: &str| packed.split(',').any(|f| f.trim() == field);
    let field = "cloudinit-user-data";
    fetched.user_data = match value::block(meta, field) {
        Some(text) if is_packed(field) => value::unwrap(text.as_bytes(), field, warnings),
        other => other.map(|t| t.as_bytes().to_vec()),
    };
    let vendor = all.get("vendor_data").unwrap_or(&Value::Null);
    fetched.vendor_data = value::block(vendor, "cloudinit").map(|t| t.as_bytes().to_vec());
    let metadata = &mut fetched.metadata;
    metadata.provider = "cloudsigma".into();
    metadata.instance_id = scalar(&all, "uuid");
    // A server's name is free text: only its first label can be a host's.
    metadata.hostname = scalar(&all, "name").filter(|n| !n.contains(char::is_whitespace));
    if metadata.hostname.is_none() {
        let id = metadata.instance_id.as_deref();
        metadata.hostname = id.map(|id| id.split('-').next().unwrap_or(id).to_owned());
    }
    metadata.ssh_keys = keys;
    let zone = scalar(vendor, "location").map(|v| ("availability-zone".to_owned(), v));
    metadata.attributes.extend(zone);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::port::double::{ask, device};

    #[test]
    fn asked_over_the_port() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(ask(&SERIAL, root.path(), 500).unwrap(), None);
        device(root.path(), DEVICE, |said| {
            let answer = b"{\"uuid\": \"u1\", \"meta\": {\"cloudinit-user-data\": \"x\"}}\n\x04";
            (said == EVERYTHING).then(|| (said.len(), answer.to_vec()))
        });
        let fetched = ask(&SERIAL, root.path(), 10_000).unwrap().unwrap().fetched;
        assert_eq!(fetched.metadata.instance_id.as_deref(), Some("u1"));
        assert_eq!(fetched.user_data.as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn a_silent_port_costs_its_time_and_no_more() {
        let root = tempfile::tempdir().unwrap();
        device(root.path(), DEVICE, |_| None);
        let start = std::time::Instant::now();
        let error = ask(&SERIAL, root.path(), 200).unwrap_err();
        assert_eq!(error.chain(), "/dev/ttyS1 says nothing");
        assert!(start.elapsed().as_millis() < 2000);
    }
}
