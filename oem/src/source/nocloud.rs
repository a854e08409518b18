//! NoCloud's documents (cloud-init's name): `user-data`, `meta-data` (YAML),
//! `vendor-data` and `network-config`, in the root of a disk labelled `cidata`, below a
//! URL, or handed over one by one.

use super::document::{data, scalar, text};
use super::{Found, MAX_DOCUMENT, Raw, Scene, Source, keys};
use crate::detect::cmdline::{Seed, seed};
use crate::error::{Context, Error, Result};
use crate::http::MAX_BODY;
use crate::media::Volume;
use serde_json::Value;
use std::fs::File;

/// A disk labelled `cidata`.
pub(crate) static DISK: Source = Source {
    name: "nocloud-disk",
    title: "disk labelled cidata",
    local: true,
    fetch: |scene, _, _| Box::pin(std::future::ready(read(scene))),
    parse: |raw, source| parse(raw, source, None),
};

/// Names of documents, and the largest size accepted.
pub(crate) const DOCUMENTS: [(&str, u64); 4] = [
    ("user-data", MAX_BODY as u64),
    ("meta-data", MAX_DOCUMENT),
    ("vendor-data", MAX_BODY as u64),
    ("network-config", MAX_DOCUMENT),
];

fn read(scene: &Scene) -> Result<Option<Found>> {
    let Some(disk) = scene.evidence.disk(&["cidata"]) else {
        return Ok(None);
    };
    let device = format!("/dev/{}", disk.device);
    let failed = || format!("cannot read the NoCloud disk {device}");
    let file = File::open(scene.root.join("dev").join(&disk.device)).environment(failed)?;
    let mut volume = Volume::open(file).environment(failed)?;
    let mut raw = Raw::new();
    for (name, limit) in DOCUMENTS {
        if let Some(bytes) = volume.read(name, limit).environment(failed)? {
            raw.insert(name.into(), bytes);
        }
    }
    if raw.is_empty() {
        let what = format!("the NoCloud disk {device} has neither user-data nor meta-data");
        return Err(Error::input(what).hint("the files belong in its root directory"));
    }
    let seed = own_seed(scene);
    Ok(Some(parse(&raw, &device, seed.as_ref())))
}

/// The seed of the command line, else of the SMBIOS serial number.
pub(crate) fn own_seed(scene: &Scene) -> Option<Seed> {
    let serial = scene.evidence.dmi.product_serial.strip_prefix("ds=");
    scene
        .evidence
        .cmdline
        .nocloud
        .clone()
        .or_else(|| serial.and_then(seed))
}

/// Pure. The command line's instance id and host name fill gaps.
pub(crate) fn parse(raw: &Raw, source: &str, seed: Option<&Seed>) -> Found {
    let mut found = Found::default();
    let fetched = &mut found.fetched;
    fetched.provider = "nocloud".into();
    fetched.source = source.into();
    fetched.user_data = data(raw, "user-data");
    fetched.vendor_data = data(raw, "vendor-data");
    fetched.network = data(raw, "network-config");
    let metadata = &mut fetched.metadata;
    metadata.provider = "nocloud".into();
    let document = match text(raw, "meta-data").map(serde_saphyr::from_str::<Value>) {
        None => Value::Null,
        Some(Ok(value)) => value,
        Some(Err(e)) => {
            let cause = e.to_string();
            let cause = cause.lines().next().unwrap_or_default();
            found
                .warnings
                .push(format!("meta-data is left out: {cause}"));
            Value::Null
        }
    };
    metadata.instance_id =
        scalar(&document, "instance-id").or_else(|| seed.and_then(|s| s.instance_id.clone()));
    metadata.hostname = scalar(&document, "local-hostname")
        .or_else(|| scalar(&document, "hostname"))
        .or_else(|| seed.and_then(|s| s.hostname.clone()));
    for name in ["public-keys", "public_keys"] {
        keys::merge(
            &mut metadata.ssh_keys,
            document.get(name).map(keys::of).unwrap_or_default(),
        );
    }
    // An older place for Debian's format.
    if let (None, Some(text)) = (&fetched.network, document.get("network-interfaces")) {
        fetched.network = text.as_str().map(|t| t.as_bytes().to_vec());
    }
    found
}
