//! What sources gave, kept for this boot (`/run/oem`, also for people to look
//! at) and for boots at which the provider is silent (`/var/lib/oem`). Files
//! are 0600: user-data holds secrets.

use crate::detect::Evidence;
use crate::error::{Context, Result};
use crate::metadata::{Fetched, INSTANCES, Metadata, instance_name, is_plain};
use crate::root::{Root, SystemView};
use serde::{Deserialize, Serialize};

/// Copies of this boot.
pub const RUNTIME: &str = "/run/oem";
/// Which instance was the last.
const CURRENT: &str = "/var/lib/oem/current.json";

/// The last instance seen.
#[derive(Serialize, Deserialize)]
struct Cached {
    /// Its directory in [`INSTANCES`].
    directory: String,
    /// The machine's SMBIOS UUID: a copied disk must not pass for the original.
    machine: String,
}

/// All but the data, which have files of their own.
#[derive(Serialize, Deserialize)]
struct Document {
    provider: String,
    source: String,
    metadata: Metadata,
}

/// Whether another instance than `fetched`, or none, was seen last.
pub(super) fn is_new(root: &Root, fetched: &Fetched, evidence: &Evidence) -> bool {
    current(root)
        .ok()
        .flatten()
        .is_none_or(|c| c.directory != directory(fetched, evidence))
}

/// Keeps `fetched` in both places.
pub(super) fn store(root: &Root, fetched: &Fetched, evidence: &Evidence) -> Result<()> {
    root.make_dir(RUNTIME, 0o755, None)?;
    store_in(root, RUNTIME, fetched)?;
    let name = directory(fetched, evidence);
    root.make_dir(INSTANCES, 0o700, None)?;
    let dir = format!("{INSTANCES}/{name}");
    root.make_dir(&dir, 0o700, None)?;
    store_in(root, &dir, fetched)?;
    let cached = Cached {
        directory: name,
        machine: evidence.dmi.product_uuid.clone(),
    };
    let json = serde_json::to_vec(&cached).environment(|| "cannot write JSON".to_owned())?;
    // Last: until then the previous copy counts.
    keep(root, CURRENT, Some(&json))
}

/// The last copy, if this is still the same machine.
pub(super) fn load(root: &Root, evidence: &Evidence) -> Result<Option<Fetched>> {
    let Some(cached) = current(root)? else {
        return Ok(None);
    };
    if cached.machine != evidence.dmi.product_uuid {
        return Ok(None);
    }
    load_from(root, &format!("{INSTANCES}/{}", cached.directory))
}

/// What was fetched in this boot.
///
/// # Errors
/// The copy is damaged or not readable (it is only for root).
pub fn fetched(root: &Root) -> Result<Option<Fetched>> {
    load_from(root, RUNTIME)
}

fn load_from(root: &Root, dir: &str) -> Result<Option<Fetched>> {
    let path = format!("{dir}/metadata.json");
    let Some(json) = root.read(&path)? else {
        return Ok(None);
    };
    let document: Document =
        serde_json::from_slice(&json).environment(|| format!("{path} is damaged"))?;
    Ok(Some(Fetched {
        provider: document.provider,
        source: document.source,
        user_data: root.read(&format!("{dir}/user-data"))?,
        vendor_data: root.read(&format!("{dir}/vendor-data"))?,
        network: root.read(&format!("{dir}/network-config"))?,
        metadata: document.metadata,
        passwords: Vec::new(),
    }))
}

fn current(root: &Root) -> Result<Option<Cached>> {
    let Some(json) = root.read(CURRENT)? else {
        return Ok(None);
    };
    let cached: Cached =
        serde_json::from_slice(&json).environment(|| format!("{CURRENT} is damaged"))?;
    Ok(Some(cached).filter(|c| is_plain(&c.directory)))
}

fn store_in(root: &Root, dir: &str, fetched: &Fetched) -> Result<()> {
    let document = Document {
        provider: fetched.provider.clone(),
        source: fetched.source.clone(),
        metadata: fetched.metadata.clone(),
    };
    let json =
        serde_json::to_vec_pretty(&document).environment(|| "cannot write JSON".to_owned())?;
    keep(
        root,
        &format!("{dir}/user-data"),
        fetched.user_data.as_deref(),
    )?;
    keep(
        root,
        &format!("{dir}/vendor-data"),
        fetched.vendor_data.as_deref(),
    )?;
    keep(
        root,
        &format!("{dir}/network-config"),
        fetched.network.as_deref(),
    )?;
    keep(root, &format!("{dir}/metadata.json"), Some(&json))
}

/// Writes only what differs: a second boot writes nothing.
fn keep(root: &Root, path: &str, content: Option<&[u8]>) -> Result<()> {
    let there = root.read(path)?;
    match content {
        Some(content) if there.as_deref() != Some(content) => {
            root.write(path, content, 0o600, None)
        }
        None if there.is_some() => root.remove(path),
        _ => Ok(()),
    }
}

/// A directory name for an instance; without an id, the machine stands for it.
pub(super) fn directory(fetched: &Fetched, evidence: &Evidence) -> String {
    let machine = &evidence.dmi.product_uuid;
    instance_name(fetched.metadata.instance_id.as_deref().unwrap_or(machine))
}
