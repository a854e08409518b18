//! The documents of a repository: made, renewed, rotated.
//!
//! Written in an order that a client can read at any moment: targets and snapshot
//! under new names first, the timestamp that points to them last.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Keyring, sign};
use crate::tuf::roles::{
    Body, MAX_VERSION, Meta, RoleKeys, Root, SPEC_VERSION, Signed, Snapshot, Target, Targets,
    Timestamp,
};
use crate::tuf::{Clock, Role, Time, TrustedSet, json, store};

/// Days for which each document is good, kept in the keyring as `policy.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Longest time between two uses of the offline keys.
    pub root: u32,
    /// Longest time between two publications.
    pub targets: u32,
    /// As for targets, if the same keys sign both.
    pub snapshot: u32,
    /// How long a machine can be kept from noticing an update.
    pub timestamp: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            root: 730,
            targets: 365,
            snapshot: 365,
            timestamp: 30,
        }
    }
}

impl Policy {
    const FILE: &'static str = "policy.json";

    /// Days of a role.
    pub fn days(&self, role: Role) -> u32 {
        match role {
            Role::Root => self.root,
            Role::Timestamp => self.timestamp,
            Role::Snapshot => self.snapshot,
            Role::Targets => self.targets,
        }
    }

    fn read(keyring: &Keyring) -> Result<Self, Error> {
        let path = keyring.folder().join(Self::FILE);
        match fs::read(&path) {
            Ok(bytes) => json::decode_as(&bytes).map_err(|e| Error::Key {
                path,
                reason: e.to_string(),
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    fn write(&self, keyring: &Keyring) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        write(keyring.folder(), Self::FILE, &bytes)
    }
}

/// What a document says, and its bytes.
type Document<T> = (Signed<T>, Vec<u8>);

/// A repository's `metadata/` folder and the keys that sign it.
pub struct Repository {
    metadata: PathBuf,
    keyring: Keyring,
    policy: Policy,
    now: Time,
    trusted: TrustedSet,
    timestamp: Option<Signed<Timestamp>>,
    snapshot: Option<Document<Snapshot>>,
    targets: Option<Document<Targets>>,
}

/// Nothing is ever expired for a publisher: it signs anew.
const ANY_TIME: Clock = Clock {
    system: Time(i64::MIN),
    built: Time(0),
};

impl Repository {
    /// Makes a repository without targets. `roles` names the keys of each role and
    /// its threshold; every role must be there.
    pub fn create(
        metadata: &Path,
        keyring: Keyring,
        policy: Policy,
        now: Time,
        roles: &BTreeMap<Role, (Vec<String>, u64)>,
    ) -> Result<Self, Error> {
        let first = metadata.join(Role::Root.versioned(1));
        if first.exists() {
            return Err(Error::Exists(first));
        }
        fs::create_dir_all(metadata).map_err(|source| Error::Io {
            path: metadata.to_owned(),
            source,
        })?;
        let mut root = Root {
            consistent_snapshot: true,
            keys: BTreeMap::new(),
            roles: BTreeMap::new(),
        };
        for (role, (names, threshold)) in roles {
            assign(&mut root, &keyring, *role, names, *threshold)?;
        }
        root.check().map_err(Error::Request)?;
        policy.write(&keyring)?;
        let signed = head(root, 1, now, policy);
        let signers = keyring.signers(&signed.body, Role::Root)?;
        let bytes = sign(&signed, &signers)?;
        write(metadata, &Role::Root.versioned(1), &bytes)?;
        let trusted = TrustedSet::new(&bytes, ANY_TIME).map_err(|source| Error::Repository {
            path: first,
            source,
        })?;
        let mut repository = Repository {
            metadata: metadata.to_owned(),
            keyring,
            policy,
            now,
            trusted,
            timestamp: None,
            snapshot: None,
            targets: None,
        };
        repository.publish(BTreeMap::new())?;
        Ok(repository)
    }

    /// Opens a repository and verifies its documents, except for their age: the root
    /// chain from version 1, then what the timestamp points to. A document that an
    /// interrupted rotation left signed by the keys before is taken as well.
    pub fn open(metadata: &Path, keyring: Keyring, now: Time) -> Result<Self, Error> {
        let bad = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Repository { path, source }
        };
        let first = metadata.join(Role::Root.versioned(1));
        let bytes = read(&first)?.ok_or_else(|| Error::Io {
            path: first.clone(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        let mut trusted = TrustedSet::new(&bytes, ANY_TIME).map_err(bad(&first))?;
        let mut previous = None;
        loop {
            let next = Role::Root.versioned(trusted.root().signed.version + 1);
            let next = metadata.join(next);
            let Some(bytes) = read(&next)? else {
                break;
            };
            let root = TrustedSet::new(&trusted.root().bytes, ANY_TIME).map_err(bad(&next))?;
            trusted.update_root(&bytes).map_err(bad(&next))?;
            previous = Some(root);
        }
        let policy = Policy::read(&keyring)?;
        let mut repository = Repository {
            metadata: metadata.to_owned(),
            keyring,
            policy,
            now,
            trusted,
            timestamp: None,
            snapshot: None,
            targets: None,
        };
        let previous = previous.as_ref();
        if let Some((timestamp, _)) =
            repository.read::<Timestamp>(Role::Timestamp.file(), previous)?
        {
            if let Some(meta) = timestamp.body.snapshot() {
                let file = Role::Snapshot.versioned(meta.version);
                repository.snapshot = repository.read(file, previous)?;
            }
            repository.timestamp = Some(timestamp);
        }
        if let Some(meta) = repository
            .snapshot
            .as_ref()
            .and_then(|s| s.0.body.targets())
        {
            let file = Role::Targets.versioned(meta.version);
            repository.targets = repository.read(file, previous)?;
        }
        Ok(repository)
    }

    /// The root in force.
    pub fn root(&self) -> &Signed<Root> {
        &self.trusted.root().signed
    }

    /// The root's document: what an image ships.
    pub fn root_bytes(&self) -> &[u8] {
        &self.trusted.root().bytes
    }

    /// What the repository offers.
    pub fn targets(&self) -> BTreeMap<String, Target> {
        self.targets
            .as_ref()
            .map(|(targets, _)| targets.body.targets.clone())
            .unwrap_or_default()
    }

    /// Version and end of a role's document.
    pub fn state(&self, role: Role) -> Option<(u64, Time)> {
        fn state<T>(signed: &Signed<T>) -> (u64, Time) {
            (signed.version, signed.expires)
        }
        match role {
            Role::Root => Some(state(self.root())),
            Role::Timestamp => self.timestamp.as_ref().map(state),
            Role::Snapshot => self.snapshot.as_ref().map(|(signed, _)| state(signed)),
            Role::Targets => self.targets.as_ref().map(|(signed, _)| state(signed)),
        }
    }

    /// When the timestamp expires that the next publication makes. Machines take no
    /// release whose place in the order lies behind that.
    pub fn fresh_until(&self) -> Time {
        self.now.plus_days(self.policy.days(Role::Timestamp))
    }

    /// The keys at hand.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Offers exactly these targets from now on. Their files must be in place.
    pub fn publish(&mut self, targets: BTreeMap<String, Target>) -> Result<(), Error> {
        let version = self.next(Role::Targets)?;
        let signed = head(Targets { targets }, version, self.now, self.policy);
        let bytes = self.write(&signed, &Role::Targets.versioned(version))?;
        self.targets = Some((signed, bytes));
        self.write_snapshot()
    }

    /// Signs a role's document anew, with a new version and a new end, and whatever
    /// must follow it.
    pub fn renew(&mut self, role: Role) -> Result<(), Error> {
        match role {
            Role::Root => {
                let root = self.root().body.clone();
                self.write_root(root)
            }
            Role::Targets => {
                let targets = self.targets();
                self.publish(targets)
            }
            Role::Snapshot => self.write_snapshot(),
            Role::Timestamp => self.write_timestamp(),
        }
    }

    /// Gives a role other keys: `names` of the keyring replace those it has. The new
    /// root is signed by the old root's keys and the new one's, then the role's own
    /// document is signed anew. Keys that no role has any more are put aside.
    pub fn rotate(&mut self, role: Role, names: &[String], threshold: u64) -> Result<(), Error> {
        let mut root = self.root().body.clone();
        assign(&mut root, &self.keyring, role, names, threshold)?;
        root.check().map_err(Error::Request)?;
        let used = |root: &Root, id: &String| root.roles.values().any(|r| r.keyids.contains(id));
        let unused: Vec<String> = root
            .keys
            .keys()
            .filter(|id| !used(&root, id))
            .cloned()
            .collect();
        for id in &unused {
            root.keys.remove(id);
        }
        self.write_root(root)?;
        if role != Role::Root {
            self.renew(role)?;
        }
        unused.iter().try_for_each(|id| self.keyring.retire(id))
    }

    /// Deletes snapshots and targets that are more than `keep` versions old. Roots
    /// stay: a machine that slept needs each of them.
    pub fn prune(&self, keep: u64) -> Result<(), Error> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        for entry in fs::read_dir(&self.metadata).map_err(io(&self.metadata))? {
            let path = entry.map_err(io(&self.metadata))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some((version, rest)) = name.and_then(|name| name.split_once('.')) else {
                continue;
            };
            let current = match rest {
                "snapshot.json" => self.state(Role::Snapshot),
                "targets.json" => self.state(Role::Targets),
                _ => None,
            };
            let (Some((current, _)), Ok(version)) = (current, version.parse::<u64>()) else {
                continue;
            };
            if version.saturating_add(keep) < current {
                fs::remove_file(&path).map_err(io(&path))?;
            }
        }
        Ok(())
    }

    /// Makes a new key in the keyring.
    pub fn generate(&mut self, role: Role) -> Result<String, Error> {
        self.keyring.generate(role)
    }

    fn write_root(&mut self, root: Root) -> Result<(), Error> {
        let version = self.next(Role::Root)?;
        let mut signers = self.keyring.signers(&self.root().body, Role::Root)?;
        for new in self.keyring.signers(&root, Role::Root)? {
            if signers.iter().all(|old| old.public() != new.public()) {
                signers.push(new);
            }
        }
        let bytes = sign(&head(root, version, self.now, self.policy), &signers)?;
        let file = Role::Root.versioned(version);
        self.trusted
            .update_root(&bytes)
            .map_err(|source| Error::Repository {
                path: self.metadata.join(&file),
                source,
            })?;
        write(&self.metadata, &file, &bytes)
    }

    fn write_snapshot(&mut self) -> Result<(), Error> {
        let Some((targets, bytes)) = &self.targets else {
            return Err(Error::Request("the repository has no targets yet".into()));
        };
        let version = self.next(Role::Snapshot)?;
        let meta = [(Role::Targets.file(), Meta::of(targets.version, bytes))];
        let body = Snapshot { meta: meta.into() };
        let signed = head(body, version, self.now, self.policy);
        let bytes = self.write(&signed, &Role::Snapshot.versioned(version))?;
        self.snapshot = Some((signed, bytes));
        self.write_timestamp()
    }

    fn write_timestamp(&mut self) -> Result<(), Error> {
        let Some((snapshot, bytes)) = &self.snapshot else {
            return Err(Error::Request("the repository has no snapshot yet".into()));
        };
        let version = self.next(Role::Timestamp)?;
        let meta = [(Role::Snapshot.file(), Meta::of(snapshot.version, bytes))];
        let body = Timestamp { meta: meta.into() };
        let signed = head(body, version, self.now, self.policy);
        self.write(&signed, &Role::Timestamp.file())?;
        self.timestamp = Some(signed);
        Ok(())
    }

    /// Signs by the root in force and writes.
    fn write<T: Body>(&self, signed: &Signed<T>, file: &str) -> Result<Vec<u8>, Error> {
        let signers = self.keyring.signers(&self.root().body, T::ROLE)?;
        let bytes = sign(signed, &signers)?;
        if bytes.len() as u64 > T::ROLE.cap() {
            return Err(Error::Request(format!(
                "{file} would have {} bytes, and no client takes more than {}",
                bytes.len(),
                T::ROLE.cap()
            )));
        }
        write(&self.metadata, file, &bytes)?;
        Ok(bytes)
    }

    fn next(&self, role: Role) -> Result<u64, Error> {
        match self.state(role) {
            None => Ok(1),
            Some((version, _)) if version < MAX_VERSION => Ok(version + 1),
            Some(_) => Err(Error::Request(format!("{role} has used up its versions"))),
        }
    }

    fn read<T: Body>(
        &self,
        file: String,
        previous: Option<&TrustedSet>,
    ) -> Result<Option<Document<T>>, Error> {
        let path = self.metadata.join(file);
        let Some(bytes) = read(&path)? else {
            return Ok(None);
        };
        let now = self.trusted.load::<T>(&bytes);
        let document = match (now, previous) {
            (Err(_), Some(previous)) => previous.load::<T>(&bytes),
            (now, _) => now,
        };
        match document {
            Ok(document) => Ok(Some((document.signed, bytes))),
            Err(source) => Err(Error::Repository { path, source }),
        }
    }
}

/// What every document says of itself.
fn head<T: Body>(body: T, version: u64, now: Time, policy: Policy) -> Signed<T> {
    Signed {
        kind: T::ROLE.name().to_owned(),
        spec_version: SPEC_VERSION.to_owned(),
        version,
        expires: now.plus_days(policy.days(T::ROLE)),
        at: Some(now),
        body,
    }
}

fn assign(
    root: &mut Root,
    keyring: &Keyring,
    role: Role,
    names: &[String],
    threshold: u64,
) -> Result<(), Error> {
    if threshold == 0 || threshold > names.len() as u64 {
        return Err(Error::Request(format!(
            "{threshold} of {} keys cannot sign {role}",
            names.len()
        )));
    }
    let mut keyids = Vec::new();
    for name in names {
        let named = keyring
            .get(name)
            .ok_or_else(|| Error::Request(format!("the keyring has no key {name}")))?;
        root.keys.insert(named.id.clone(), named.key.clone());
        keyids.push(named.id.clone());
    }
    root.roles
        .insert(role.name().to_owned(), RoleKeys { keyids, threshold });
    Ok(())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Whole files, readable by a web server that runs as another user.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    store::write(folder, name, bytes, 0o644).map_err(|source| Error::Io {
        path: folder.join(name),
        source,
    })
}
