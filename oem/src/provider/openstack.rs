//! OpenStack: firmware tables, or a disk labelled `config-2`.

use super::Provider;
use crate::detect::{Clue, Evidence};
use crate::error::Result;
use crate::http::{Http, Reply};
use crate::source::openstack::{DOCUMENTS, INTERFACES, interfaces_path, parse};
use crate::source::{Found, Raw, Scene, Source, configdrive};
use serde_json::Value;
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "openstack",
    title: "OpenStack",
    aliases: &[
        "openstack-metadata",
        "configdrive",
        "config-drive",
        "ironic",
    ],
    detect,
    // The service carries nothing the drive does not.
    sources: &[&configdrive::DRIVE, &SERVICE],
    guess: true,
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "openstack",
    title: "OpenStack metadata service",
    local: false,
    fetch: |scene, http, deadline| Box::pin(fetch(scene, http, deadline)),
    parse,
};

const BASE: &str = "http://169.254.169.254";
/// What only the EC2 half of the service knows.
const EC2_DOCUMENTS: [&str; 3] = ["local-ipv4", "public-ipv4", "instance-type"];

const PRODUCTS: [&str; 2] = ["OpenStack Nova", "OpenStack Compute"];
const ASSET_TAGS: [&str; 6] = [
    "OpenTelekomCloud",
    "SAP CCloud VM",
    "HUAWEICLOUD",
    "Samsung Cloud Platform",
    "OpenStack Nova",
    "OpenStack Compute",
];

fn detect(evidence: &Evidence) -> Option<Clue> {
    let dmi = &evidence.dmi;
    if PRODUCTS.contains(&dmi.product_name.as_str()) {
        return Clue::certain(format!("DMI product_name is `{}`", dmi.product_name));
    }
    if ASSET_TAGS.contains(&dmi.chassis_asset_tag.as_str()) {
        return Clue::certain(format!(
            "DMI chassis_asset_tag is `{}`",
            dmi.chassis_asset_tag
        ));
    }
    let disk = evidence.disk(&["config-2"])?;
    Clue::likely(format!(
        "{} has the label {} ({})",
        disk.device, disk.label, disk.kind
    ))
}

async fn fetch(_: &Scene, http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let mut raw = Raw::new();
    for name in DOCUMENTS {
        let reply = http
            .get(&format!("{BASE}/openstack/latest/{name}"), &[], deadline)
            .await?;
        match reply.found() {
            Some(body) => drop(raw.insert(name.into(), body)),
            // EC2 and its other clones.
            None if name == "meta_data.json" => return Ok(None),
            None => {}
        }
    }
    if !serde_json::from_slice::<Value>(&raw["meta_data.json"]).is_ok_and(|v| v.is_object()) {
        return Ok(None);
    }
    if let Some(path) = interfaces_path(&raw) {
        let reply = http
            .get(&format!("{BASE}/openstack/{path}"), &[], deadline)
            .await;
        raw.extend(
            reply
                .ok()
                .and_then(Reply::found)
                .map(|b| (INTERFACES.into(), b)),
        );
    }
    for name in EC2_DOCUMENTS {
        // Optional: some clouds turn this half off.
        let reply = http
            .get(&format!("{BASE}/latest/meta-data/{name}"), &[], deadline)
            .await;
        raw.extend(reply.ok().and_then(Reply::found).map(|b| (name.into(), b)));
    }
    Ok(Some(parse(&raw, &format!("{BASE}/openstack/latest/"))))
}
