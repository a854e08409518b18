//! The documents of the four roles, typed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

use super::Time;
use super::key::{Key, Signers};

/// The version of the specification that our documents name; every `1.` is read.
pub const SPEC_VERSION: &str = "1.0.34";
/// Highest version of a document: far beyond use, far below any overflow.
pub const MAX_VERSION: u64 = 1 << 48;

/// A top-level role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Who may sign the roles. Offline.
    Root,
    /// Which snapshot is newest. Online, expires soonest.
    Timestamp,
    /// Which documents belong together.
    Snapshot,
    /// What the repository offers.
    Targets,
}

impl Role {
    /// Every role, in the order of the client's work.
    pub const ALL: [Role; 4] = [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets];

    /// `root`, `timestamp`, `snapshot` or `targets`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Root => "root",
            Role::Timestamp => "timestamp",
            Role::Snapshot => "snapshot",
            Role::Targets => "targets",
        }
    }

    /// Name of the document without a version: `root.json`.
    pub fn file(self) -> String {
        format!("{}.json", self.name())
    }

    /// Name of one version of the document: `7.root.json`.
    pub fn versioned(self, version: u64) -> String {
        format!("{version}.{}.json", self.name())
    }

    /// Largest document that is fetched or read, in bytes.
    pub fn cap(self) -> u64 {
        match self {
            Role::Root => 512 << 10,
            Role::Timestamp => 16 << 10,
            Role::Snapshot | Role::Targets => 1 << 20,
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Role::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| "a role is root, timestamp, snapshot or targets".to_owned())
    }
}

/// What every document says of itself, and its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    /// The role's name.
    #[serde(rename = "_type")]
    pub kind: String,
    /// Version of the specification.
    pub spec_version: String,
    /// Grows with each change.
    pub version: u64,
    /// Not to be trusted from here on.
    pub expires: Time,
    /// When it was signed: a lower bound for the clock of who reads it. Ours only;
    /// other clients ignore it.
    #[serde(
        default,
        rename = "x-holdfast-signed",
        skip_serializing_if = "Option::is_none"
    )]
    pub at: Option<Time>,
    /// The role's own part.
    #[serde(flatten)]
    pub body: T,
}

/// The part of a document that its role defines.
pub trait Body: Serialize + serde::de::DeserializeOwned {
    /// The role.
    const ROLE: Role;

    /// What the types cannot say; the error is a sentence.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Who may sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Documents have versions in their names, targets have digests.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// Keys by identifier.
    pub keys: BTreeMap<String, Key>,
    /// Keys of each role.
    pub roles: BTreeMap<String, RoleKeys>,
}

/// Keys of one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// Identifiers of keys.
    pub keyids: Vec<String>,
    /// How many of them must sign.
    pub threshold: u64,
}

impl Root {
    /// Who may sign `role`. Identifiers without a key and keys of a kind that is not
    /// used here count for nothing.
    pub fn signers(&self, role: Role) -> Signers {
        let Some(entry) = self.roles.get(role.name()) else {
            return Signers::new(BTreeMap::new(), u64::MAX);
        };
        let keys = entry
            .keyids
            .iter()
            .filter_map(|id| Some((id.clone(), self.keys.get(id)?.verifying()?)))
            .collect();
        Signers::new(keys, entry.threshold)
    }
}

impl Body for Root {
    const ROLE: Role = Role::Root;

    fn check(&self) -> Result<(), String> {
        for role in Role::ALL {
            let entry = self
                .roles
                .get(role.name())
                .ok_or_else(|| format!("it has no role {role}"))?;
            if entry.threshold == 0 {
                return Err(format!("the threshold of {role} is 0"));
            }
            let distinct: BTreeSet<_> = entry.keyids.iter().collect();
            if distinct.len() != entry.keyids.len() {
                return Err(format!("a key of {role} is listed twice"));
            }
        }
        Ok(())
    }
}

/// Hexadecimal digests by the name of their algorithm.
pub type Hashes = BTreeMap<String, String>;

/// What one document says of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Version of the document.
    pub version: u64,
    /// Its length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
}

impl Meta {
    /// Describes a document.
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        Meta {
            version,
            length: Some(bytes.len() as u64),
            hashes: Some(digests(bytes)),
        }
    }

    /// True if length and digests, as far as they are given, are those of `bytes`.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.length
            .is_none_or(|length| length == bytes.len() as u64)
            && self
                .hashes
                .as_ref()
                .is_none_or(|hashes| match_hashes(hashes, bytes))
    }
}

/// The newest snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// `snapshot.json` alone.
    pub meta: BTreeMap<String, Meta>,
}

impl Timestamp {
    /// The snapshot's entry. [`Body::check`] makes sure that there is one.
    pub fn snapshot(&self) -> Option<&Meta> {
        self.meta.get("snapshot.json")
    }
}

impl Body for Timestamp {
    const ROLE: Role = Role::Timestamp;

    fn check(&self) -> Result<(), String> {
        match self.snapshot() {
            Some(meta) if self.meta.len() == 1 => check_version(meta.version),
            _ => Err("it must name snapshot.json and nothing else".to_owned()),
        }
    }
}

/// The documents that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// By file name.
    pub meta: BTreeMap<String, Meta>,
}

impl Snapshot {
    /// The entry of the top-level targets.
    pub fn targets(&self) -> Option<&Meta> {
        self.meta.get("targets.json")
    }
}

impl Body for Snapshot {
    const ROLE: Role = Role::Snapshot;

    fn check(&self) -> Result<(), String> {
        if self.targets().is_none() {
            return Err("it does not name targets.json".to_owned());
        }
        self.meta
            .values()
            .try_for_each(|meta| check_version(meta.version))
    }
}

/// What the repository offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// By path below the repository's `targets/`.
    pub targets: BTreeMap<String, Target>,
}

impl Body for Targets {
    const ROLE: Role = Role::Targets;
}

/// One file of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Bytes.
    pub length: u64,
    /// Its digests.
    pub hashes: Hashes,
    /// Whatever the publisher adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<serde_json::Value>,
}

impl Target {
    /// Describes a file by its content.
    pub fn of(bytes: &[u8]) -> Self {
        Target {
            length: bytes.len() as u64,
            hashes: digests(bytes),
            custom: None,
        }
    }

    /// True if `bytes` are the file's.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.length == bytes.len() as u64 && match_hashes(&self.hashes, bytes)
    }

    /// Where the file lies below `targets/` in a repository with consistent
    /// snapshots: `a/b` is `a/<digest>.b`.
    pub fn consistent_path(&self, name: &str) -> Option<String> {
        let hash = ["sha256", "sha512"]
            .iter()
            .find_map(|kind| self.hashes.get(*kind))?;
        let well_formed = super::unhex::<32>(hash).is_some() || super::unhex::<64>(hash).is_some();
        well_formed.then(|| match name.rsplit_once('/') {
            Some((folder, file)) => format!("{folder}/{hash}.{file}"),
            None => format!("{hash}.{name}"),
        })
    }
}

fn digests(bytes: &[u8]) -> Hashes {
    Hashes::from([("sha256".into(), super::hex(&Sha256::digest(bytes)))])
}

/// At least one digest is of a known kind, and every such digest is right.
fn match_hashes(hashes: &Hashes, bytes: &[u8]) -> bool {
    let mut known = 0;
    for (kind, digest) in hashes {
        let right = match kind.as_str() {
            "sha256" => super::hex(&Sha256::digest(bytes)) == *digest,
            "sha512" => super::hex(&Sha512::digest(bytes)) == *digest,
            _ => continue,
        };
        if !right {
            return false;
        }
        known += 1;
    }
    known > 0
}

/// Versions start at 1.
pub(super) fn check_version(version: u64) -> Result<(), String> {
    if (1..=MAX_VERSION).contains(&version) {
        Ok(())
    } else {
        Err(format!("{version} is no version of a document"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_digests_prove_nothing() {
        let mut target = Target::of(b"content");
        assert!(target.matches(b"content"));
        assert!(!target.matches(b"another"));
        target.hashes.insert("md5".into(), "0".into());
        assert!(target.matches(b"content"));
        target.hashes.remove("sha256");
        assert!(!target.matches(b"content"));
    }

    #[test]
    fn digests_go_before_the_file_name() {
        let target = Target::of(b"");
        let digest = &target.hashes["sha256"];
        assert_eq!(
            target.consistent_path("a/b/c.json"),
            Some(format!("a/b/{digest}.c.json"))
        );
        assert_eq!(target.consistent_path("c"), Some(format!("{digest}.c")));
        let evil = Target {
            hashes: Hashes::from([("sha256".into(), "../../x".into())]),
            ..target
        };
        assert_eq!(evil.consistent_path("c"), None);
    }
}
