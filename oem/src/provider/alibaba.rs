//! Alibaba Cloud: EC2's layout at an address of its own, with tokens of its own.

use super::Provider;
use crate::detect::Clue;
use crate::error::Result;
use crate::http::Http;
use crate::source::document::{data, first_word, ipv4, ipv6, line, text};
use crate::source::{Found, Raw, Source, keys, service, value};
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "alibaba",
    title: "Alibaba Cloud",
    aliases: &["aliyun"],
    detect: |e| {
        let product = &e.dmi.product_name;
        Clue::is("product_name", product, &["Alibaba Cloud ECS"])
    },
    sources: &[&SERVICE],
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "alibaba",
    title: "Alibaba Cloud metadata service",
    local: false,
    fetch: |_, http, deadline| Box::pin(fetch(http, deadline)),
    parse,
};

const BASES: [&str; 1] = ["http://100.100.100.200"];
/// Six hours, the longest allowed.
const TTL: (&str, &str) = ("X-aliyun-ecs-metadata-token-ttl-seconds", "21600");
const ID: &str = "meta-data/instance-id";
const KEYS: &str = "meta-data/public-keys/";
/// Keys one index may list.
const MAX_KEYS: usize = 64;
/// Documents below `meta-data/`, what matters most first.
const DOCUMENTS: [&str; 11] = [
    "hostname",
    "private-ipv4",
    "eipv4",
    "public-ipv4",
    "ipv6s",
    "instance/instance-type",
    "image-id",
    "region-id",
    "zone-id",
    "vpc-id",
    "mac",
];
/// Kept as attributes.
const ATTRIBUTES: [(&str, &str); 6] = [
    ("instance-type", "instance/instance-type"),
    ("image-id", "image-id"),
    ("region", "region-id"),
    ("availability-zone", "zone-id"),
    ("vpc-id", "vpc-id"),
    ("mac", "mac"),
];

async fn fetch(http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let answer = service::first(http, BASES, deadline, |session| async move {
        // Where tokens are switched off, the request for one is refused.
        let session = match session.token("/latest/api/token", TTL).await? {
            Some(token) => session.with("X-aliyun-ecs-metadata-token", &token),
            None => session,
        };
        let body = session.get("/latest/meta-data/instance-id").await?;
        let raw: Raw = body.map(|b| (ID.to_owned(), b)).into_iter().collect();
        let ours = line(&raw, ID).is_some_and(|id| !id.contains(char::is_whitespace));
        Ok(ours.then_some((session, raw)))
    });
    let Some((session, mut raw)) = answer.await? else {
        return Ok(None);
    };
    let mut lost = Vec::new();
    session
        .add(&mut raw, KEYS, &format!("/latest/{KEYS}"), &mut lost)
        .await;
    let mut names = key_paths(&raw);
    names.extend(DOCUMENTS.iter().map(|d| format!("meta-data/{d}")));
    names.extend(["user-data", "vendor-data"].map(str::to_owned));
    for name in names {
        let path = format!("/latest/{name}");
        session.add(&mut raw, &name, &path, &mut lost).await;
    }
    let mut found = parse(&raw, &format!("{}/latest/", session.base()));
    found.warnings.extend(lost);
    Ok(Some(found))
}

/// Where the keys are that the index lists: `0=name` as on EC2, or `name/`.
fn key_paths(raw: &Raw) -> Vec<String> {
    let plain = |name: &&str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c))
    };
    let index = text(raw, KEYS).unwrap_or_default();
    index
        .lines()
        .map(|l| l.trim().trim_end_matches('/'))
        .map(|l| l.split_once('=').map_or(l, |(number, _)| number))
        .filter(plain)
        .take(MAX_KEYS)
        .map(|name| format!("{KEYS}{name}/openssh-key"))
        .collect()
}

/// Pure. Names are paths below `latest/`.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let lines = [ID, "meta-data/hostname"];
    value::odd_lines(raw, &lines, &mut found.warnings);
    let paths = key_paths(raw);
    // An index that lists nothing holds something else.
    let none = [KEYS.to_owned()];
    let mut all_keys = Vec::new();
    for path in if paths.is_empty() { &none[..] } else { &paths } {
        let more = value::key_lines(raw, path, &mut found.warnings);
        keys::merge(&mut all_keys, more);
    }
    let fetched = &mut found.fetched;
    fetched.provider = "alibaba".into();
    fetched.source = source.into();
    fetched.user_data = data(raw, "user-data");
    fetched.vendor_data = data(raw, "vendor-data");
    let meta = |name: &str| format!("meta-data/{name}");
    let metadata = &mut fetched.metadata;
    metadata.provider = "alibaba".into();
    metadata.instance_id = line(raw, ID).map(str::to_owned);
    metadata.hostname = line(raw, &meta("hostname")).and_then(first_word);
    metadata.ssh_keys = all_keys;
    metadata.private_ipv4 = ipv4(raw, &meta("private-ipv4"));
    // An elastic address is not on any card of ours, a public one is.
    metadata.public_ipv4 = ipv4(raw, &meta("eipv4")).or_else(|| ipv4(raw, &meta("public-ipv4")));
    metadata.public_ipv6 = ipv6(raw, &meta("ipv6s"));
    for (name, path) in ATTRIBUTES {
        let value = line(raw, &meta(path)).map(|v| (name.to_owned(), v.to_owned()));
        metadata.attributes.extend(value);
    }
    found
}
