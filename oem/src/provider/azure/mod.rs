//! Microsoft Azure. The instance metadata service (IMDS) has keys, names, addresses and
//! user-data; a provisioning CD, which is there at the first boot only, has the custom
//! data (<https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service>).
//! The machine counts as deployed when it says so: [`report`].

mod kvp;
mod report;

use super::Provider;
use crate::detect::{Clue, Evidence};
use crate::error::{Context, Error, Result};
use crate::http::{Http, Request, is_passing};
use crate::media::Volume;
use crate::metadata::{INSTANCES, instance_name};
use crate::source::document::{is_line, scalar, text};
use crate::source::{Found, MAX_DOCUMENT, Raw, Scene, Source, keys, passwords, xml};
use crate::userdata::unpack::decode_base64;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "azure",
    title: "Microsoft Azure",
    aliases: &["azurestack"],
    detect,
    sources: &[&SERVICE],
    report: Some(|scene, http, verdict, deadline| {
        Box::pin(report::send(scene, http, verdict, deadline))
    }),
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "azure",
    title: "Azure metadata service and provisioning CD",
    local: false,
    fetch: |scene, http, deadline| Box::pin(fetch(scene, http, deadline)),
    parse,
};

/// Chassis asset tag of every Azure machine.
pub(super) const ASSET_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

const BASE: &str = "http://169.254.169.254/metadata/";
/// Newest first: regions and Azure Stack are behind.
const VERSIONS: [&str; 2] = [
    "api-version=2021-08-01&extended=true",
    "api-version=2019-06-01",
];
const HEADER: (&str, &str) = ("Metadata", "true");
/// Documents: of the service, of the CD, of an earlier boot.
const INSTANCE: &str = "instance.json";
const ENVIRONMENT: &str = "ovf-env.xml";
const KEPT: &str = "custom-data";
/// Attribute that tells that user-data came from the CD.
const ORIGIN: (&str, &str) = ("user-data-from", "provisioning-cd");

fn detect(evidence: &Evidence) -> Option<Clue> {
    let tag = &evidence.dmi.chassis_asset_tag;
    Clue::is("chassis_asset_tag", tag, &[ASSET_TAG])
}

async fn fetch(scene: &Scene, http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let mut raw = Raw::new();
    let mut troubles = Vec::new();
    match environment(scene) {
        Ok(bytes) => raw.extend(bytes.map(|b| (ENVIRONMENT.to_owned(), b))),
        Err(e) => troubles.push(e),
    }
    match instance(http, deadline).await {
        Ok(Some(body)) => drop(raw.insert(INSTANCE.to_owned(), body)),
        Ok(None) if raw.is_empty() => return Ok(None),
        Ok(None) => troubles.push(Error::environment(format!(
            "what is at {BASE} is not Azure's metadata service"
        ))),
        Err(e) if raw.is_empty() => return Err(e),
        Err(e) => troubles.push(e),
    }
    raw.extend(kept(scene, &raw).map(|b| (KEPT.to_owned(), b)));
    let mut found = parse(&raw, BASE);
    found.warnings.extend(troubles.iter().map(|e| e.chain()));
    Ok(Some(found))
}

/// What the service knows of this instance. For the first minutes of a machine's life
/// it may say 404, 410 and 429.
async fn instance(http: &Http, deadline: Instant) -> Result<Option<Vec<u8>>> {
    for version in VERSIONS {
        let url = format!("{BASE}instance?{version}");
        let request = Request::get(&url)
            .headers(&[HEADER])
            .again(|status| status == 404 || is_passing(status));
        let reply = http.send(&request, deadline).await?;
        if reply.status == 400 {
            continue;
        }
        let ours = |body: &Vec<u8>| {
            serde_json::from_slice::<Value>(body).is_ok_and(|v| v["compute"].is_object())
        };
        return Ok(reply.found().filter(ours));
    }
    Ok(None)
}

/// `ovf-env.xml` of the provisioning CD. Of a CD only: a disk that its user attaches
/// must not pass for the platform.
fn environment(scene: &Scene) -> Result<Option<Vec<u8>>> {
    for disk in scene.evidence.disks.iter().filter(|d| scene.is_optical(d)) {
        let failed = || format!("cannot read the CD in /dev/{}", disk.device);
        let file = File::open(scene.root.join("dev").join(&disk.device)).environment(failed)?;
        let mut volume = Volume::open(file).environment(failed)?;
        let found = volume
            .read(ENVIRONMENT, MAX_DOCUMENT * 2)
            .environment(failed)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The custom data that the CD of an earlier boot gave this instance.
fn kept(scene: &Scene, raw: &Raw) -> Option<Vec<u8>> {
    let all: Value = serde_json::from_slice(raw.get(INSTANCE)?).ok()?;
    let instance = instance_name(&scalar(&all["compute"], "vmId")?);
    let folder = scene
        .root
        .join(INSTANCES.trim_start_matches('/'))
        .join(instance);
    let document: Value =
        serde_json::from_slice(&fs::read(folder.join("metadata.json")).ok()?).ok()?;
    let is_custom_data = document["metadata"]["attributes"][ORIGIN.0] == ORIGIN.1;
    fs::read(folder.join("user-data"))
        .ok()
        .filter(|_| is_custom_data)
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::of("azure", source);
    let all = found.json(raw, INSTANCE);
    let compute = &all["compute"];
    let environment = match text(raw, ENVIRONMENT).map(xml::texts) {
        Some(Ok(texts)) => texts,
        Some(Err(e)) => {
            found
                .warnings
                .push(format!("{ENVIRONMENT} is left out: {e}"));
            BTreeMap::new()
        }
        None => BTreeMap::new(),
    };
    let given = |name: &str| environment.get(name).cloned();
    let named = |name: &str| given(name).filter(|v| is_line(v));
    let is = |name: &str| given(name).is_some_and(|v| v.eq_ignore_ascii_case("true"));
    if is("PreprovisionedVm") {
        found.warnings.push(
            "this machine was provisioned before it was sold: what it was sold for is not known"
                .into(),
        );
    }
    let fetched = &mut found.fetched;
    let custom = given("CustomData")
        .and_then(|text| decode_base64(text.as_bytes()))
        .or_else(|| raw.get(KEPT).cloned())
        .filter(|data| !data.is_empty());
    let from_cd = custom.is_some();
    let written = compute["userData"].as_str().unwrap_or_default();
    let decoded = decode_base64(written.as_bytes());
    if decoded.is_none() {
        let why = "userData is left out: not base64";
        found.warnings.push(why.into());
    }
    fetched.user_data = custom.or(decoded).filter(|data| !data.is_empty());
    let password = given("UserPassword").filter(|p| p != "REDACTED");
    fetched.passwords = password.into_iter().map(passwords::plain).collect();
    let metadata = &mut fetched.metadata;
    metadata.instance_id = scalar(compute, "vmId");
    metadata.hostname = scalar(&compute["osProfile"], "computerName")
        .or_else(|| named("HostName"))
        .or_else(|| scalar(compute, "name"));
    for key in compute["publicKeys"].as_array().into_iter().flatten() {
        let text = key["keyData"].as_str().unwrap_or_default();
        keys::merge(&mut metadata.ssh_keys, keys::lines(&unbroken(text)));
    }
    let card = &all["network"]["interface"][0];
    let address = |family: &str, kind: &str| scalar(&card[family]["ipAddress"][0], kind);
    metadata.private_ipv4 = address("ipv4", "privateIpAddress").and_then(|a| a.parse().ok());
    metadata.public_ipv4 = address("ipv4", "publicIpAddress").and_then(|a| a.parse().ok());
    metadata.private_ipv6 = address("ipv6", "privateIpAddress").and_then(|a| a.parse().ok());
    let admin = scalar(&compute["osProfile"], "adminUsername").or_else(|| named("UserName"));
    for (name, value) in [
        ("name", scalar(compute, "name")),
        ("instance-type", scalar(compute, "vmSize")),
        ("region", scalar(compute, "location")),
        ("availability-zone", scalar(compute, "zone")),
        ("resource-group", scalar(compute, "resourceGroupName")),
        ("subscription", scalar(compute, "subscriptionId")),
        ("admin-username", admin),
        (ORIGIN.0, from_cd.then(|| ORIGIN.1.to_owned())),
    ] {
        metadata
            .attributes
            .extend(value.map(|v| (name.to_owned(), v)));
    }
    found
}

/// Keys arrive with line ends of the web form they were pasted into, in their midst.
fn unbroken(text: &str) -> String {
    let starts = |line: &str| {
        line.starts_with("ssh-") || line.starts_with("ecdsa-") || line.starts_with("sk-")
    };
    let mut out = String::new();
    for line in text.split(['\r', '\n']).map(str::trim) {
        if starts(line) && !out.is_empty() {
            out.push('\n');
        }
        out.push_str(line);
    }
    out
}

#[cfg(test)]
mod tests;
