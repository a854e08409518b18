//! Microsoft Hyper-V: key-value pairs that the host gives (KVP), as its daemon keeps
//! them in files; a disk labelled `cidata`.
//!
//! There is no user-data as such. Pairs of the names of NoCloud's documents are taken for
//! them: `user-data`, `meta-data`, `vendor-data`, `network-config`; values are short, so
//! that one may be given in pieces, `user-data.0`, `user-data.1`... Ignition's
//! `ignition.config` is user-data too.

use super::Provider;
use super::azure::ASSET_TAG;
use crate::detect::{Clue, Evidence};
use crate::source::{Found, MAX_DOCUMENT, Raw, Scene, Source, nocloud};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub(super) static PROVIDER: Provider = Provider {
    name: "hyperv",
    title: "Microsoft Hyper-V",
    aliases: &["hyper-v"],
    detect,
    sources: &[&PAIRS, &nocloud::DISK],
    ..Provider::NONE
};

static PAIRS: Source = Source {
    name: "hyperv",
    title: "Hyper-V's key-value pairs",
    local: true,
    fetch: |scene, _, _| Box::pin(std::future::ready(Ok(read(scene)))),
    parse,
};

/// What the administrator of the host gives.
const GIVEN: &str = "pool-0";
/// What the host tells by itself.
const FACTS: &str = "pool-3";
/// Where the daemon keeps the pools, by name of ours.
const POOLS: [(&str, &str); 2] = [
    (GIVEN, "var/lib/hyperv/.kvp_pool_0"),
    (FACTS, "var/lib/hyperv/.kvp_pool_3"),
];
/// Bytes of a key and of a value in a pool; shorter ones end with NUL.
const KEY: usize = 512;
const VALUE: usize = 2048;

fn detect(evidence: &Evidence) -> Option<Clue> {
    let dmi = &evidence.dmi;
    let hyperv = dmi.sys_vendor == "Microsoft Corporation" && dmi.product_name == "Virtual Machine";
    if !hyperv || dmi.chassis_asset_tag == ASSET_TAG {
        return None;
    }
    Clue::certain("DMI sys_vendor is `Microsoft Corporation` without Azure's asset tag")
}

/// `None` without documents: the pools are there on every machine whose daemon runs.
fn read(scene: &Scene) -> Option<Found> {
    let mut raw = Raw::new();
    for (name, path) in POOLS {
        raw.extend(pool(&scene.root.join(path)).map(|bytes| (name.to_owned(), bytes)));
    }
    let given = documents(raw.get(GIVEN)?);
    let known = |name: &str| given.0.contains_key(name);
    if !nocloud::DOCUMENTS.iter().any(|(name, _)| known(name)) {
        return None;
    }
    Some(parse(&raw, "/var/lib/hyperv"))
}

fn pool(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(16 * MAX_DOCUMENT).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Pairs of a pool; of repeated keys the last counts.
fn pairs(pool: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let until_nul = |b: &[u8]| b.split(|b| *b == 0).next().unwrap_or_default().to_vec();
    pool.chunks_exact(KEY + VALUE)
        .map(|record| record.split_at(KEY))
        .map(|(key, value)| {
            (
                String::from_utf8_lossy(&until_nul(key)).into_owned(),
                until_nul(value),
            )
        })
        .filter(|(key, _)| !key.is_empty())
        .collect()
}

/// NoCloud's documents among the pairs, their pieces put together, and those of which a
/// piece is missing.
fn documents(pool: &[u8]) -> (Raw, Vec<String>) {
    let pairs = pairs(pool);
    let mut raw = Raw::new();
    let mut broken = Vec::new();
    let names = nocloud::DOCUMENTS.iter().map(|(name, _)| (*name, *name));
    for (name, key) in names.chain([("user-data", "ignition.config")]) {
        let mut pieces: BTreeMap<u32, &[u8]> = BTreeMap::new();
        for (piece, value) in &pairs {
            let number = piece.strip_prefix(key).and_then(|n| n.strip_prefix('.'));
            pieces.extend(
                number
                    .and_then(|n| n.parse().ok())
                    .map(|n| (n, value.as_slice())),
            );
        }
        let whole = pieces
            .keys()
            .copied()
            .eq(0..u32::try_from(pieces.len()).unwrap_or(0));
        let value = match pairs.get(key) {
            Some(value) => value.clone(),
            None if pieces.is_empty() => continue,
            None if whole => pieces.into_values().flatten().copied().collect(),
            None => {
                broken.push(format!("{key} is left out: a piece of it is missing"));
                continue;
            }
        };
        raw.entry(name.to_owned()).or_insert(value);
    }
    (raw, broken)
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let pool = |name: &str| raw.get(name).map(Vec::as_slice).unwrap_or_default();
    let (given, broken) = documents(pool(GIVEN));
    let mut found = nocloud::parse(&given, source, None);
    found.warnings.extend(broken);
    found.fetched.provider = "hyperv".into();
    let metadata = &mut found.fetched.metadata;
    metadata.provider = "hyperv".into();
    let facts = pairs(pool(FACTS));
    let fact = |name: &str| {
        let text = String::from_utf8_lossy(facts.get(name)?).trim().to_owned();
        (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
    };
    if metadata.instance_id.is_none() {
        metadata.instance_id = fact("VirtualMachineId");
    }
    for (name, key) in [
        ("vm-name", "VirtualMachineName"),
        ("host-name", "PhysicalHostName"),
    ] {
        metadata
            .attributes
            .extend(fact(key).map(|v| (name.to_owned(), v)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(key: &str, value: &str) -> Vec<u8> {
        let mut out = key.as_bytes().to_vec();
        out.resize(KEY, 0);
        out.extend_from_slice(value.as_bytes());
        out.resize(KEY + VALUE, 0);
        out
    }

    #[test]
    fn documents_in_pieces() {
        let pool = [
            record("user-data.1", "hostname: x\n"),
            record("meta-data", "local-hostname: web1"),
            record("user-data.0", "#cloud-config\n"),
            record("vendor-data.1", "secret"),
            record("", "nothing"),
        ]
        .concat();
        let facts = [
            record("VirtualMachineId", "5E3A0DD5-3F5E-4F0A-8C5B-2F8A6E3B1C11"),
            record("VirtualMachineName", "Web server 1"),
        ]
        .concat();
        let found = parse(
            &Raw::from([(GIVEN.into(), pool), (FACTS.into(), facts)]),
            "",
        );
        let fetched = found.fetched;
        let text = fetched.user_data.unwrap();
        assert_eq!(text, b"#cloud-config\nhostname: x\n");
        assert_eq!(fetched.metadata.hostname.as_deref(), Some("web1"));
        assert!(fetched.metadata.instance_id.unwrap().starts_with("5E3A"));
        assert_eq!(fetched.metadata.attributes["vm-name"], "Web server 1");
        assert_eq!(
            (found.warnings, fetched.vendor_data),
            (
                vec!["vendor-data is left out: a piece of it is missing".to_owned()],
                None
            )
        );
    }

    #[test]
    fn ignition_is_user_data() {
        let pool = [
            record("ignition.config.0", "{\"ignition\":"),
            record("ignition.config.1", "{}}"),
        ]
        .concat();
        let (raw, _) = documents(&pool);
        assert_eq!(raw["user-data"], b"{\"ignition\":{}}");
    }

    #[test]
    fn pools_without_documents_are_no_source() {
        let root = tempfile::tempdir().unwrap();
        let scene = Scene {
            root: root.path().into(),
            ..Scene::default()
        };
        assert_eq!(read(&scene), None);
        let folder = root.path().join("var/lib/hyperv");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(".kvp_pool_0"), record("other", "x")).unwrap();
        assert_eq!(read(&scene), None);
        std::fs::write(folder.join(".kvp_pool_0"), record("user-data", "x")).unwrap();
        assert!(read(&scene).is_some());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40), at in 0usize..3000) {
            let mut pool = record("user-data.7", "x");
            pool.splice(at.min(pool.len())..at.min(pool.len()), bytes);
            parse(&Raw::from([(GIVEN.to_owned(), pool)]), "");
        }
    }
}
