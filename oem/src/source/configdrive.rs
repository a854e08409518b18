//! A disk labelled `config-2`: OpenStack's layout (`openstack/<version>/`) or
//! CloudStack's (`cloudstack/userdata`, `cloudstack/metadata`), or both.

use super::{Found, MAX_DOCUMENT, Raw, Scene, Source, cloudstack, openstack};
use crate::error::{Context, Error, Result};
use crate::http::MAX_BODY;
use crate::media::{MediaError, Volume};
use std::fs::File;
use std::io::{Read, Seek};

/// A disk labelled `config-2`.
pub(crate) static DRIVE: Source = Source {
    name: "config-drive",
    title: "disk labelled config-2",
    local: true,
    fetch: |scene, _, _| Box::pin(std::future::ready(read(scene))),
    parse,
};

fn read(scene: &Scene) -> Result<Option<Found>> {
    let Some(disk) = scene.evidence.disk(&["config-2"]) else {
        return Ok(None);
    };
    let device = format!("/dev/{}", disk.device);
    let failed = || format!("cannot read the config drive {device}");
    let file = File::open(scene.root.join("dev").join(&disk.device)).environment(failed)?;
    let mut volume = Volume::open(file).environment(failed)?;
    let found = read_volume(&mut volume, &device).environment(failed)?;
    found.map(Some).ok_or_else(|| {
        let what = format!("the config drive {device} has neither openstack/ nor cloudstack/");
        Error::input(what)
    })
}

/// CloudStack first: its drives may carry an OpenStack tree for other agents.
fn read_volume<R: Read + Seek>(
    volume: &mut Volume<R>,
    device: &str,
) -> std::result::Result<Option<Found>, MediaError> {
    let mut raw = cloudstack_tree(volume)?;
    if !raw.is_empty() {
        // The one thing CloudStack itself has only there.
        let network = "openstack/latest/network_data.json";
        let network = volume.read(network, MAX_DOCUMENT)?;
        raw.extend(network.map(|b| ("network_data.json".to_owned(), b)));
        return Ok(Some(cloudstack::parse(&raw, device)));
    }
    let raw = openstack_tree(volume)?;
    Ok((!raw.is_empty()).then(|| openstack::parse(&raw, device)))
}

/// Pure. Names that only CloudStack has tell which layout it is.
fn parse(raw: &Raw, source: &str) -> Found {
    let only_cloudstack = |name: &String| cloudstack::DOCUMENTS.contains(&name.as_str());
    if raw.keys().any(only_cloudstack) || raw.contains_key("user-data") {
        cloudstack::parse(raw, source)
    } else {
        openstack::parse(raw, source)
    }
}

/// `instance_id.txt`, `instance-id.txt` -> `instance-id`.
fn cloudstack_tree<R: Read + Seek>(volume: &mut Volume<R>) -> std::result::Result<Raw, MediaError> {
    let mut raw = Raw::new();
    for entry in volume.list("cloudstack/metadata")?.unwrap_or_default() {
        let name = entry.name.to_ascii_lowercase().replace('_', "-");
        let Some(name) = name.strip_suffix(".txt").filter(|_| !entry.dir) else {
            continue;
        };
        let path = format!("cloudstack/metadata/{}", entry.name);
        raw.extend(
            volume
                .read(&path, MAX_DOCUMENT)?
                .map(|b| (name.to_owned(), b)),
        );
    }
    let password = "cloudstack/password/vm_password.txt";
    let password = volume.read(password, MAX_DOCUMENT)?;
    raw.extend(password.map(|b| (cloudstack::PASSWORD.to_owned(), b)));
    for name in ["user_data.txt", "user-data.txt"] {
        let path = format!("cloudstack/userdata/{name}");
        if let Some(bytes) = volume.read(&path, MAX_BODY as u64)? {
            raw.insert("user-data".into(), bytes);
        }
    }
    Ok(raw)
}

/// Documents of the newest version directory that has any. `latest` is what it
/// says; dates sort as text.
fn openstack_tree<R: Read + Seek>(volume: &mut Volume<R>) -> std::result::Result<Raw, MediaError> {
    let mut versions: Vec<String> = volume
        .list("openstack")?
        .unwrap_or_default()
        .into_iter()
        .filter(|e| e.dir && (e.name == "latest" || is_date(&e.name)))
        .map(|e| e.name)
        .collect();
    // Letters sort after digits.
    versions.sort_by(|a, b| b.cmp(a));
    let mut raw = Raw::new();
    for version in versions {
        for name in openstack::DOCUMENTS {
            let limit = if name == "user_data" {
                MAX_BODY as u64
            } else {
                MAX_DOCUMENT
            };
            let path = format!("openstack/{version}/{name}");
            raw.extend(volume.read(&path, limit)?.map(|b| (name.to_owned(), b)));
        }
        if !raw.is_empty() {
            let ec2 = volume.read("ec2/latest/meta-data.json", MAX_DOCUMENT)?;
            raw.extend(ec2.map(|b| ("ec2.json".to_owned(), b)));
            if let Some(path) = openstack::interfaces_path(&raw) {
                let text = volume.read(&format!("openstack/{path}"), MAX_DOCUMENT)?;
                raw.extend(text.map(|b| (openstack::INTERFACES.to_owned(), b)));
            }
            break;
        }
    }
    Ok(raw)
}

/// `2018-08-27`.
fn is_date(name: &str) -> bool {
    name.len() == 10 && name.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}
