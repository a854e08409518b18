//! Google Compute Engine. One request gives everything
//! (<https://cloud.google.com/compute/docs/metadata/overview>).

use super::Provider;
use crate::detect::{Clue, Evidence};
use crate::error::{Context, Result};
use crate::http::{Http, Request};
use crate::source::document::scalar;
use crate::source::{Found, Raw, Scene, Source, date, keys};
use crate::userdata::unpack::decode_base64;
use serde::Deserialize;
use serde_json::Value;
use std::net::Ipv6Addr;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "gce",
    title: "Google Compute Engine",
    aliases: &["gcp"],
    detect,
    sources: &[&SERVICE],
    report: Some(|scene, http, verdict, deadline| {
        Box::pin(host_keys(scene, http, verdict.first, deadline))
    }),
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "gce",
    title: "GCE metadata server",
    local: false,
    fetch: |_, http, deadline| Box::pin(fetch(http, deadline)),
    parse,
};

/// The literal address needs no name server.
const BASE: &str = "http://169.254.169.254/computeMetadata/v1/";
/// Sent with every request, and with every answer of the real service.
const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");
const DOCUMENT: &str = "all.json";
/// Host keys that are published, as sshd names their files.
const HOST_KEY: &str = "etc/ssh/ssh_host_ed25519_key.pub";

fn detect(evidence: &Evidence) -> Option<Clue> {
    let dmi = &evidence.dmi;
    Clue::is(
        "product_name",
        &dmi.product_name,
        &["Google Compute Engine"],
    )
    .or_else(|| Clue::starts("product_serial", &dmi.product_serial, "GoogleCloud-"))
}

async fn fetch(http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let url = format!("{BASE}?recursive=true");
    let reply = http.get(&url, &[FLAVOR], deadline).await?;
    let is_google = reply.header(FLAVOR.0) == Some(FLAVOR.1);
    let Some(body) = reply.found().filter(|_| is_google) else {
        return Ok(None);
    };
    serde_json::from_slice::<Value>(&body)
        .environment(|| format!("what {BASE} sent is no JSON"))?;
    Ok(Some(parse(&Raw::from([(DOCUMENT.to_owned(), body)]), BASE)))
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::of("gce", source);
    let all = found.json(raw, DOCUMENT);
    let (instance, project) = (&all["instance"], &all["project"]);
    let attributes = &instance["attributes"];
    found.fetched.user_data = user_data(attributes, &mut found.warnings);
    let ssh_keys = ssh_keys(attributes, &project["attributes"], &mut found.warnings);
    let metadata = &mut found.fetched.metadata;
    metadata.ssh_keys = ssh_keys;
    metadata.instance_id = scalar(instance, "id");
    metadata.hostname = scalar(instance, "hostname");
    // Not always the one that leads out, but the first that was attached.
    let card = &instance["networkInterfaces"][0];
    metadata.private_ipv4 = scalar(card, "ip").and_then(|a| a.parse().ok());
    // Empty on machines without one.
    metadata.public_ipv4 =
        scalar(&card["accessConfigs"][0], "externalIp").and_then(|a| a.parse().ok());
    let addresses = card["ipv6s"].as_array().into_iter().flatten();
    for address in addresses.filter_map(|a| a.as_str()?.parse::<Ipv6Addr>().ok()) {
        let place = match address.is_unique_local() {
            true => &mut metadata.private_ipv6,
            false => &mut metadata.public_ipv6,
        };
        place.get_or_insert(address);
    }
    for (name, value) in [
        ("name", scalar(instance, "name")),
        ("image", scalar(instance, "image").map(last)),
        ("instance-type", scalar(instance, "machineType").map(last)),
        ("availability-zone", scalar(instance, "zone").map(last)),
        ("project-id", scalar(project, "projectId")),
    ] {
        metadata
            .attributes
            .extend(value.map(|v| (name.to_owned(), v)));
    }
    found
}

/// `projects/1/zones/europe-west1-b` -> `europe-west1-b`.
fn last(path: String) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

fn user_data(attributes: &Value, warnings: &mut Vec<String>) -> Option<Vec<u8>> {
    let text = attributes["user-data"].as_str().filter(|t| !t.is_empty())?;
    if scalar(attributes, "user-data-encoding").as_deref() != Some("base64") {
        return Some(text.as_bytes().to_vec());
    }
    let data = decode_base64(text.as_bytes());
    if data.is_none() {
        let why = "user-data-encoding says base64, and it is not";
        warnings.push(format!("user-data is left out: {why}"));
    }
    data
}

/// Keys are in four places. The instance's `sshKeys`, which is old, stands for all.
fn ssh_keys(instance: &Value, project: &Value, warnings: &mut Vec<String>) -> Vec<String> {
    let text = |attributes: &Value, name: &str| {
        let text = attributes[name].as_str().unwrap_or_default();
        text.to_owned()
    };
    let old = text(instance, "sshKeys");
    let blocked = text(instance, "block-project-ssh-keys");
    let texts = if !old.trim().is_empty() {
        vec![old]
    } else if blocked.trim().eq_ignore_ascii_case("true") {
        vec![text(instance, "ssh-keys")]
    } else {
        vec![
            text(instance, "ssh-keys"),
            text(project, "sshKeys"),
            text(project, "ssh-keys"),
        ]
    };
    let mut found = Vec::new();
    for line in texts.iter().flat_map(|t| t.lines()) {
        match ssh_key(line) {
            Ok(key) => keys::merge(&mut found, keys::lines(&key)),
            Err(what) => warnings.push(format!("an SSH key is left out: {what}")),
        }
    }
    found
}

/// What follows a key of a user of Google's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expiry {
    user_name: Option<String>,
    expire_on: Option<String>,
}

/// `USER:KEY`, or `USER:KEY google-ssh {"userName":"..","expireOn":".."}`, as a line of
/// authorized_keys. sshd itself looks at the time, whenever somebody logs in.
fn ssh_key(line: &str) -> std::result::Result<String, String> {
    let line = line.trim();
    let key = match line.split_once(':') {
        // A colon of a comment is after the key.
        Some((user, key)) if !user.contains(char::is_whitespace) => key.trim(),
        _ => line,
    };
    let Some((key, about)) = key.split_once(" google-ssh ") else {
        return Ok(key.to_owned());
    };
    let about: Expiry = serde_json::from_str(about.trim())
        .map_err(|e| format!("what follows `google-ssh` makes no sense: {e}"))?;
    let comment = about.user_name.unwrap_or_default();
    let comment = comment.replace(char::is_whitespace, "_");
    let Some(until) = about.expire_on else {
        return Ok(format!("{key} {comment}"));
    };
    let until = date::parse(&until).ok_or("`expireOn` is not a date and time")?;
    let until = date::compact(until);
    Ok(format!("expiry-time=\"{until}\" {key} {comment}"))
}

/// Shows the host key to who may look at the machine's guest attributes, where they are
/// switched on: so that a first login need not be on trust.
async fn host_keys(
    scene: &Scene,
    http: &Http,
    first: bool,
    deadline: Instant,
) -> Result<Option<String>> {
    if !first {
        return Ok(None);
    }
    // sshd makes it when it first starts.
    let Ok(text) = std::fs::read_to_string(scene.root.join(HOST_KEY)) else {
        return Ok(None);
    };
    let mut words = text.split_whitespace();
    let (Some(kind), Some(key)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let url = format!("{BASE}instance/guest-attributes/hostkeys/{kind}");
    let request = Request::put(&url).headers(&[FLAVOR]).body(key);
    let reply = http.send(&request, deadline).await?;
    Ok(Some(match reply.status {
        200..300 => "host key published".into(),
        // 403: what most machines answer.
        status => {
            format!("host key not published: guest attributes are off (HTTP status {status})")
        }
    }))
}
