//! Amazon EC2 and the clouds that offer the same instance metadata service (IMDS),
//! version 2, else 1.

use super::Provider;
use crate::detect::{Clue, Evidence};
use crate::error::{Error, Result};
use crate::http::Http;
use crate::source::document::{data, first_word, ipv4, ipv6, line, text};
use crate::source::{Found, Raw, Scene, Source, keys};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

pub(super) static PROVIDER: Provider = Provider {
    name: "ec2",
    title: "Amazon EC2 or compatible",
    aliases: &[
        "ec2-compat",
        "ec2-compatible",
        "aws",
        "brightbox",
        "zstack",
        "e24cloud",
        "outscale",
    ],
    detect,
    sources: &[&SERVICE],
    guess: true,
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "ec2",
    title: "EC2 metadata service",
    local: false,
    fetch: |scene, http, deadline| Box::pin(fetch(scene, http, deadline)),
    parse,
};

/// Where the service is.
const BASES: [&str; 2] = ["http://169.254.169.254", "http://[fd00:ec2::254]"];

/// Documents below `meta-data/`.
const DOCUMENTS: [&str; 12] = [
    "instance-type",
    "ami-id",
    "hostname",
    "local-hostname",
    "public-hostname",
    "local-ipv4",
    "public-ipv4",
    "ipv6",
    "mac",
    "placement/availability-zone",
    "placement/region",
    "public-keys/",
];
/// Kept as attributes, under their last name.
const ATTRIBUTES: [&str; 7] = [
    "instance-type",
    "ami-id",
    "local-hostname",
    "public-hostname",
    "mac",
    "placement/availability-zone",
    "placement/region",
];
/// Six hours, the longest allowed.
const TOKEN_TTL: (&str, &str) = ("X-aws-ec2-metadata-token-ttl-seconds", "21600");
const TOKEN: &str = "X-aws-ec2-metadata-token";
/// How long the other endpoint may still answer.
const LATE: Duration = Duration::from_millis(500);
/// Keys one index may list.
const MAX_KEYS: usize = 64;

fn detect(evidence: &Evidence) -> Option<Clue> {
    let dmi = &evidence.dmi;
    let starts_ec2 = |s: &str| s.get(..3).is_some_and(|p| p.eq_ignore_ascii_case("ec2"));
    for (name, value) in [
        ("bios_vendor", &dmi.bios_vendor),
        ("sys_vendor", &dmi.sys_vendor),
    ] {
        if value == "Amazon EC2" {
            return Clue::certain(format!("DMI {name} is `{value}`"));
        }
    }
    // Old Xen instances.
    if starts_ec2(&evidence.hypervisor_uuid) {
        return Clue::certain("/sys/hypervisor/uuid starts with `ec2`");
    }
    if dmi.bios_version.to_ascii_lowercase().ends_with(".amazon") {
        return Clue::certain(format!("DMI bios_version is `{}`", dmi.bios_version));
    }
    if let Some(reason) = compatible(evidence) {
        return Clue::certain(reason);
    }
    if starts_ec2(&dmi.product_uuid) || swapped(&dmi.product_uuid) {
        if dmi.product_serial.eq_ignore_ascii_case(&dmi.product_uuid) {
            return Clue::certain("DMI product_uuid and product_serial start with `ec2`");
        }
        // One random UUID in 4096 does.
        return Clue::likely("DMI product_uuid starts with `ec2`");
    }
    None
}

/// SMBIOS before 2.6 leaves the byte order of a UUID's first fields open:
/// `45E12AEC-...` is `EC2AE145-...`.
fn swapped(uuid: &str) -> bool {
    let group = uuid.split('-').next().unwrap_or_default().as_bytes();
    group.len() == 8 && group[4] == b'2' && group[6..].eq_ignore_ascii_case(b"ec")
}

fn compatible(evidence: &Evidence) -> Option<String> {
    let dmi = &evidence.dmi;
    if dmi.product_serial.ends_with(".brightbox.com") {
        return Some("DMI product_serial ends with `.brightbox.com` (Brightbox)".into());
    }
    if dmi.chassis_asset_tag.ends_with(".zstack.io") {
        return Some("DMI chassis_asset_tag ends with `.zstack.io` (ZStack)".into());
    }
    let outscale = dmi.sys_vendor == "3DS Outscale" && dmi.product_name == "3DS Outscale VM";
    if outscale || matches!(dmi.sys_vendor.as_str(), "e24cloud" | "Tilaa") {
        return Some(format!("DMI sys_vendor is `{}`", dmi.sys_vendor));
    }
    None
}

/// One session with one endpoint.
struct Session {
    http: Http,
    base: &'static str,
    token: Option<String>,
    deadline: Instant,
}

async fn fetch(_: &Scene, http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let Some((mut session, id)) = first_to_answer(http, deadline).await? else {
        return Ok(None);
    };
    let mut raw = Raw::from([("meta-data/instance-id".to_owned(), id)]);
    for name in DOCUMENTS {
        let path = format!("meta-data/{name}");
        raw.extend(session.get(&path).await?.map(|body| (path, body)));
    }
    for number in key_numbers(&raw) {
        let path = format!("meta-data/public-keys/{number}/openssh-key");
        raw.extend(session.get(&path).await?.map(|body| (path, body)));
    }
    raw.extend(
        session
            .get("user-data")
            .await?
            .map(|body| ("user-data".to_owned(), body)),
    );
    Ok(Some(parse(&raw, &format!("{}/latest/", session.base))))
}

/// IPv4 and IPv6 race: the first endpoint that tells an instance id is used.
/// Once one says that it is something else, the other has little time left.
async fn first_to_answer(http: &Http, deadline: Instant) -> Result<Option<(Session, Vec<u8>)>> {
    let mut race = JoinSet::new();
    for base in BASES {
        let http = http.clone();
        race.spawn(async move {
            let token = token(base, &http, deadline).await?;
            let mut session = Session {
                http,
                base,
                token,
                deadline,
            };
            let id = session.get("meta-data/instance-id").await?;
            let raw: Raw = id
                .map(|id| ("instance-id".to_owned(), id))
                .into_iter()
                .collect();
            // Anything else that lives at this address has no such document.
            let known = line(&raw, "instance-id").is_some();
            Ok(raw
                .into_values()
                .next()
                .filter(|_| known)
                .map(|id| (session, id)))
        });
    }
    let mut limit = deadline + LATE;
    let mut absent = false;
    let mut failure = None;
    while let Ok(Some(answer)) = timeout_at(limit, race.join_next()).await {
        match answer {
            Ok(Ok(Some(winner))) => return Ok(Some(winner)),
            Ok(Ok(None)) => {
                absent = true;
                limit = limit.min(Instant::now() + LATE);
            }
            Ok(Err(error)) => failure = failure.or(Some(error)),
            Err(_) => {}
        }
    }
    match failure {
        Some(error) if !absent => Err(error),
        _ => Ok(None),
    }
}

/// 404, 403, 405 and the like: version 1, or nothing at all.
async fn token(base: &str, http: &Http, deadline: Instant) -> Result<Option<String>> {
    let reply = http
        .put(&format!("{base}/latest/api/token"), &[TOKEN_TTL], deadline)
        .await?;
    let token = reply.found().and_then(|body| String::from_utf8(body).ok());
    Ok(token
        .map(|t| t.trim().to_owned())
        .filter(|t| !t.is_empty() && t.len() <= 1024 && t.bytes().all(|b| b.is_ascii_graphic())))
}

impl Session {
    /// The document at `latest/PATH`; a token that expired is renewed once.
    async fn get(&mut self, path: &str) -> Result<Option<Vec<u8>>> {
        let url = format!("{}/latest/{path}", self.base);
        for renewed in [false, true] {
            let header = self.token.as_deref().map(|t| (TOKEN, t));
            let reply = self
                .http
                .get(&url, header.as_slice(), self.deadline)
                .await?;
            if reply.status != 401 {
                return Ok(reply.found());
            }
            if !renewed {
                self.token = token(self.base, &self.http, self.deadline).await?;
            }
        }
        Err(Error::environment(format!("{url} refuses our token"))
            .hint("is the metadata service of this instance enabled?"))
    }
}

/// Lines are `0=my-key`; what has no number is not an index.
fn key_numbers(raw: &Raw) -> Vec<u32> {
    let index = text(raw, "meta-data/public-keys/").unwrap_or_default();
    index
        .lines()
        .filter_map(|l| l.trim().split_once('=')?.0.parse().ok())
        .take(MAX_KEYS)
        .collect()
}

/// Pure. Names are paths below `latest/`.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let fetched = &mut found.fetched;
    fetched.provider = "ec2".into();
    fetched.source = source.into();
    fetched.user_data = data(raw, "user-data");
    let meta = |name: &str| format!("meta-data/{name}");
    let metadata = &mut fetched.metadata;
    metadata.provider = "ec2".into();
    metadata.instance_id = line(raw, &meta("instance-id")).map(str::to_owned);
    // Several domains make several names.
    metadata.hostname = line(raw, &meta("hostname"))
        .or_else(|| line(raw, &meta("local-hostname")))
        .and_then(first_word);
    for number in key_numbers(raw) {
        let path = meta(&format!("public-keys/{number}/openssh-key"));
        keys::merge(
            &mut metadata.ssh_keys,
            text(raw, &path).map(keys::lines).unwrap_or_default(),
        );
    }
    // Clones answer with the keys where the index belongs.
    let index = text(raw, &meta("public-keys/")).unwrap_or_default();
    keys::merge(
        &mut metadata.ssh_keys,
        keys::lines(index)
            .into_iter()
            .filter(|k| !is_index(k))
            .collect(),
    );
    metadata.private_ipv4 = ipv4(raw, &meta("local-ipv4"));
    metadata.public_ipv4 = ipv4(raw, &meta("public-ipv4"));
    metadata.public_ipv6 = ipv6(raw, &meta("ipv6"));
    for name in ATTRIBUTES {
        let short = name.rsplit('/').next().unwrap_or(name);
        let value = line(raw, &meta(name)).map(|v| (short.to_owned(), v.to_owned()));
        metadata.attributes.extend(value);
    }
    found
}

/// A key's name may look like a key: `0=ssh-rsa mine`.
fn is_index(line: &str) -> bool {
    line.split_once('=')
        .is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}
