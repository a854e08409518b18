//! Scaleway: one JSON document, and user-data that only a privileged process may read:
//! the service wants the request to come from a port below 1024.

use super::{Provider, Verdict};
use crate::detect::{Clue, Evidence};
use crate::error::{Error, Result};
use crate::http::{Http, Request};
use crate::source::document::{data, scalar};
use crate::source::service::{self, Session};
use crate::source::{Found, Raw, Source, keys, value};
use serde_json::{Value, json};
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "scaleway",
    title: "Scaleway",
    detect,
    sources: &[&SERVICE],
    report: Some(|_, http, verdict, deadline| Box::pin(report(http, verdict, deadline))),
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "scaleway",
    title: "Scaleway metadata service",
    local: false,
    fetch: |_, http, deadline| Box::pin(fetch(http, deadline)),
    parse,
};

const BASES: [&str; 2] = ["http://169.254.42.42", "http://[fd00:42::42]"];
const CONF: &str = "conf";
const KEYS: &str = "ssh_public_keys";
const USER_DATA: &str = "user_data/cloud-init";
const VENDOR_DATA: &str = "vendor_data/cloud-init";
/// A tag that is a key, with underscores for blanks.
const KEY_TAG: &str = "AUTHORIZED_KEY=";

fn detect(evidence: &Evidence) -> Option<Clue> {
    Clue::is("sys_vendor", &evidence.dmi.sys_vendor, &["Scaleway"])
}

async fn fetch(http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let answer = service::first(http, BASES, deadline, |session| async move {
        let body = session.get("/conf?format=json").await?;
        Ok(body.filter(|b| is_conf(b)).map(|body| (session, body)))
    });
    let Some((session, body)) = answer.await? else {
        return Ok(None);
    };
    let mut raw = Raw::from([(CONF.to_owned(), body)]);
    let mut lost = Vec::new();
    for name in [USER_DATA, VENDOR_DATA] {
        match privileged(&session, http, name).await {
            Ok(body) => raw.extend(body.map(|b| (name.to_owned(), b))),
            Err(e) => lost.push(format!("{name} is missing: {}", e.chain())),
        }
    }
    let mut found = parse(&raw, &format!("{}/", session.base()));
    found.warnings.extend(lost);
    Ok(Some(found))
}

/// The document at `path`, asked for from a privileged port.
async fn privileged(session: &Session, http: &Http, path: &str) -> Result<Option<Vec<u8>>> {
    let url = format!("{}/{path}", session.base());
    let request = Request::get(&url).from_low_port();
    let reply = http.send(&request, session.deadline()).await?;
    match reply.status {
        401 | 403 => Err(Error::environment(format!("{url} was refused"))),
        _ => Ok(reply.found()),
    }
}

/// Tells that the machine has booted, which it has whether or not all is in place: the
/// service knows no other state.
async fn report(http: &Http, _: &Verdict<'_>, deadline: Instant) -> Result<Option<String>> {
    let answer = service::first(http, BASES, deadline, |session| async move {
        let url = format!("{}/state", session.base());
        let body = br#"{"state_detail":"booted"}"#.to_vec();
        let request = Request::patch(&url, body)
            .headers(&[("Content-Type", "application/json")])
            .from_low_port();
        let reply = session.http().send(&request, session.deadline()).await?;
        Ok(reply.is_success().then_some((session, ())))
    });
    Ok(answer.await?.map(|_| "state `booted`".to_owned()))
}

/// Whatever else lives at this address has no such document.
fn is_conf(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|v| v.get("id").is_some())
}

/// Pure. Names are paths of the service.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let conf = value::json(raw, CONF, &mut found.warnings);
    let texts = ["id", "name", "hostname", "commercial_type"];
    value::odd(&conf, CONF, &texts, &mut found.warnings);
    value::odd_addresses(&conf, CONF, &["private_ip"], &mut found.warnings);
    // With each key is its fingerprint; older answers list the keys themselves.
    let listed = value::items(&conf, KEYS).iter();
    let listed: Vec<&Value> = listed.map(|k| k.get("key").unwrap_or(k)).collect();
    let listed = json!({ KEYS: listed });
    let keys = value::ssh_keys(&listed, CONF, KEYS, &mut found.warnings);
    let fetched = &mut found.fetched;
    fetched.provider = "scaleway".into();
    fetched.source = source.into();
    fetched.user_data = data(raw, USER_DATA);
    fetched.vendor_data = data(raw, VENDOR_DATA);
    let metadata = &mut fetched.metadata;
    metadata.provider = "scaleway".into();
    metadata.instance_id = scalar(&conf, "id");
    metadata.hostname = scalar(&conf, "hostname").or_else(|| scalar(&conf, "name"));
    metadata.ssh_keys = keys;
    for tag in value::items(&conf, "tags").iter().filter_map(Value::as_str) {
        let key = tag.strip_prefix(KEY_TAG).map(|k| k.replace('_', " "));
        keys::merge(
            &mut metadata.ssh_keys,
            key.map(|k| keys::lines(&k)).unwrap_or_default(),
        );
    }
    let first = |key: &str| value::items(&conf, key).first();
    metadata.public_ipv4 = conf
        .get("public_ip")
        .into_iter()
        .chain(first("public_ips_v4"))
        .find_map(|a| value::ipv4(a, "address"));
    metadata.public_ipv6 = conf
        .get("ipv6")
        .into_iter()
        .chain(first("public_ips_v6"))
        .find_map(|a| value::ipv6(a, "address"));
    metadata.private_ipv4 = value::ipv4(&conf, "private_ip");
    let zone = conf.get("location").and_then(|l| scalar(l, "zone_id"));
    let kind = scalar(&conf, "commercial_type");
    for (name, value) in [("availability-zone", zone), ("instance-type", kind)] {
        metadata
            .attributes
            .extend(value.map(|v| (name.to_owned(), v)));
    }
    found
}
