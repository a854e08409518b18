//! The client workflow of section 5: fetch, decide, keep.

use std::io;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::json;
use super::roles::Target;
use super::store::Store;
use super::trusted::{Clock, Outcome, Refused, TrustedSet};
use super::{Role, Time};
use crate::fetch::{self, Source};

/// Most roots taken in one refresh; the next one goes on.
const MAX_ROOTS: u64 = 1024;
/// Most mirrors asked for one document.
const MAX_MIRRORS: u32 = 16;
/// A timestamp or snapshot whose version grows by more than this at once is told.
const JUMP: u64 = 100_000;

/// Where documents and targets lie in a source: prefixes of names.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    /// Before the name of a document.
    pub metadata: &'a str,
    /// Before the name of a target.
    pub targets: &'a str,
}

impl Layout<'static> {
    /// `metadata/` and `targets/`, as our repositories have them.
    pub fn repository() -> Self {
        Layout {
            metadata: "metadata/",
            targets: "targets/",
        }
    }

    /// Everything at the source's own root.
    pub fn bare() -> Self {
        Layout {
            metadata: "",
            targets: "",
        }
    }
}

/// A client that has not refreshed yet.
#[derive(Debug)]
pub struct Client {
    store: Store,
    trusted: TrustedSet,
}

/// A repository as it is now: verified, complete, not expired.
#[derive(Debug)]
pub struct Fresh<'a> {
    trusted: TrustedSet,
    layout: Layout<'a>,
    seen: Seen,
}

/// What a refresh saw, for logs, metrics and comparison between machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Version of the root.
    pub root: u64,
    /// Version of the timestamp.
    pub timestamp: u64,
    /// Version of the snapshot.
    pub snapshot: u64,
    /// Version of the targets.
    pub targets: u64,
    /// SHA-256 of the snapshot's document. Machines of one fleet that see one version
    /// with different digests are being told different things.
    pub snapshot_sha256: String,
    /// When the timestamp was signed, if it says so.
    pub signed: Option<Time>,
    /// When the timestamp expires.
    pub expires: Time,
    /// The timestamp came again with another content under its old version.
    pub equivocation: bool,
    /// The timestamp's or snapshot's version grew by a suspicious step.
    pub jump: bool,
    /// The system's clock is behind what is proven to be over.
    pub clock_is_behind: bool,
}

impl Seen {
    /// What a repository should not do, or a clock not say: one word each, and what it
    /// means.
    pub fn suspicions(&self) -> Vec<(&'static str, &'static str)> {
        let all = [
            (
                self.equivocation,
                "equivocation",
                "The repository has two contents for one version of its metadata: it may tell machines different things",
            ),
            (
                self.jump,
                "jump",
                "The repository's metadata skipped a suspicious number of versions",
            ),
            (
                self.clock_is_behind,
                "clock-behind",
                "This machine's clock is behind the time at which metadata was signed",
            ),
        ];
        let there = all.into_iter().filter(|(is, ..)| *is);
        there.map(|(_, word, text)| (word, text)).collect()
    }

    /// Every word of [`Seen::suspicions`].
    pub const SUSPICIONS: [&'static str; 3] = ["equivocation", "jump", "clock-behind"];
}

/// Why a refresh or a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A document was fetched and must not be trusted.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A target's bytes are not the signed ones, whichever mirror was asked.
    #[error("{0}: length or digest is not the signed one")]
    Target(String),
    /// A target is larger than the caller can take.
    #[error("{name}: {length} bytes are more than the {cap} allowed")]
    TooLarge {
        /// The target.
        name: String,
        /// Its signed length.
        length: u64,
        /// What the caller allows.
        cap: u64,
    },
    /// A target is what was signed, and not what the caller reads.
    #[error("{name}: {why}")]
    Content {
        /// The target.
        name: String,
        /// The reason.
        why: json::BadJson,
    },
    /// The repository does not offer this target.
    #[error("the repository has no target {0:?}")]
    NoTarget(String),
    /// The repository lacks a document that its own documents name.
    #[error("the repository has no {0}")]
    Missing(String),
    /// The bytes did not come.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// No root to start from.
    #[error("there is no trusted root.json")]
    NoRoot,
    /// The folder of trusted documents failed.
    #[error("keeping trusted metadata")]
    Store(#[source] io::Error),
}

impl Error {
    /// True if verification refused something (exit status 4), false if the
    /// environment failed (3).
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Error::Refused(_)
                | Error::Target(_)
                | Error::TooLarge { .. }
                | Error::Content { .. }
                | Error::Fetch(fetch::Error::TooLong { .. })
        )
    }

    /// What can be done.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Refused(refused) => Some(refused.hint()),
            Error::Target(_) => Some("the mirror is broken or hostile; use another one"),
            Error::NoTarget(_) => Some("check the image's name, architecture and channel"),
            Error::Missing(_) => Some("the repository or mirror is incomplete; publish it again"),
            Error::NoRoot => Some("the image ships one in /usr/share/holdfast/update/root.json"),
            Error::Fetch(fetch) => fetch.hint(),
            Error::Store(_) => Some("check space and permissions of the folder"),
            _ => None,
        }
    }
}

impl Client {
    /// Opens the folder of trusted documents and verifies all of it again.
    ///
    /// `shipped` is a root whose place nobody can write to: the image's own. With it,
    /// the folder can take a client forward along a signed chain and nowhere else;
    /// whatever does not verify is left out and fetched again. Without it, the
    /// folder's `root.json` is believed.
    pub fn open(folder: &Path, shipped: Option<&[u8]>, clock: Clock) -> Result<Self, Error> {
        let store = Store::open(folder).map_err(Error::Store)?;
        let read = |role| store.read(role).map_err(Error::Store);
        let mut trusted = match shipped {
            Some(root) => TrustedSet::new(root, clock)?,
            None => TrustedSet::new(&read(Role::Root)?.ok_or(Error::NoRoot)?, clock)?,
        };
        if shipped.is_some() {
            while let Some(root) = store
                .read_root(trusted.root().signed.version + 1)
                .map_err(Error::Store)?
            {
                if let Err(e) = trusted.update_root(&root) {
                    tracing::warn!("a kept root is not trusted, so it is fetched again: {e}");
                    break;
                }
            }
        }
        if let Some(bytes) = read(Role::Timestamp)?
            && let Err(e) = trusted.restore_timestamp(&bytes)
        {
            tracing::warn!("the kept timestamp is not trusted any more: {e}");
        }
        if let Some(bytes) = read(Role::Snapshot)?
            && let Err(e) = trusted.restore_snapshot(&bytes)
        {
            tracing::warn!("the kept snapshot is not trusted any more: {e}");
        }
        Ok(Client { store, trusted })
    }

    /// Takes a root that the caller vouches for into an empty folder: what `open`
    /// without a shipped root starts from. Everything else there is forgotten.
    pub fn init(folder: &Path, root: &[u8]) -> Result<(), Error> {
        TrustedSet::new(root, Clock::now(Time(0)))?;
        let store = Store::open(folder).map_err(Error::Store)?;
        for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
            store.remove(role).map_err(Error::Store)?;
        }
        store.write(Role::Root, root).map_err(Error::Store)
    }

    /// Brings everything up to date, or fails and leaves what was trusted before.
    /// Each document is kept as soon as it is trusted.
    pub fn refresh<'a>(
        mut self,
        source: &mut dyn Source,
        layout: Layout<'a>,
    ) -> Result<Fresh<'a>, Error> {
        self.roots(source, layout)?;
        let before = versions(&self.trusted);
        let outcome = self.timestamp(source, layout)?;
        self.snapshot(source, layout)?;
        self.targets(source, layout)?;
        let jump = before
            .iter()
            .zip(versions(&self.trusted))
            .any(|(old, new)| {
                old.is_some_and(|old| new.is_some_and(|new| new.saturating_sub(old) > JUMP))
            });
        let seen = seen(&self.trusted, outcome, jump)?;
        Ok(Fresh {
            trusted: self.trusted,
            layout,
            seen,
        })
    }

    /// The documents trusted so far.
    pub fn trusted(&self) -> &TrustedSet {
        &self.trusted
    }

    fn roots(&mut self, source: &mut dyn Source, layout: Layout<'_>) -> Result<(), Error> {
        for _ in 0..MAX_ROOTS {
            let version = self.trusted.root().signed.version + 1;
            let path = format!("{}{}", layout.metadata, Role::Root.versioned(version));
            let trusted = &mut self.trusted;
            let fetched = fetch(source, &path, Role::Root.cap(), |bytes| {
                trusted
                    .update_root(bytes)
                    .map(|rotated| (rotated, bytes.to_vec()))
            })?;
            let Some((rotated, bytes)) = fetched else {
                break;
            };
            // What stolen keys may have signed goes before the root that revokes them
            // is kept, so that no power cut can leave it behind.
            if rotated {
                self.store.remove(Role::Timestamp).map_err(Error::Store)?;
                self.store.remove(Role::Snapshot).map_err(Error::Store)?;
            }
            self.store
                .write_root(version, &bytes)
                .map_err(Error::Store)?;
            self.store.write(Role::Root, &bytes).map_err(Error::Store)?;
        }
        Ok(self.trusted.finish_root()?)
    }

    fn timestamp(&mut self, source: &mut dyn Source, layout: Layout<'_>) -> Result<Outcome, Error> {
        let path = format!("{}{}", layout.metadata, Role::Timestamp.file());
        let trusted = &mut self.trusted;
        let outcome = fetch(source, &path, Role::Timestamp.cap(), |bytes| {
            trusted.update_timestamp(bytes)
        })?
        .ok_or(Error::Missing(path))?;
        if let (Outcome::New, Some(document)) = (outcome, self.trusted.timestamp()) {
            self.store
                .write(Role::Timestamp, &document.bytes)
                .map_err(Error::Store)?;
        }
        Ok(outcome)
    }

    fn snapshot(&mut self, source: &mut dyn Source, layout: Layout<'_>) -> Result<(), Error> {
        if self.trusted.snapshot_is_current()? {
            return Ok(());
        }
        let meta = self.trusted.snapshot_meta()?;
        let (path, cap) = self.place(Role::Snapshot, meta.version, meta.length, layout);
        let trusted = &mut self.trusted;
        fetch(source, &path, cap, |bytes| trusted.update_snapshot(bytes))?
            .ok_or(Error::Missing(path))?;
        match self.trusted.snapshot() {
            Some(document) => self
                .store
                .write(Role::Snapshot, &document.bytes)
                .map_err(Error::Store),
            None => Ok(()),
        }
    }

    fn targets(&mut self, source: &mut dyn Source, layout: Layout<'_>) -> Result<(), Error> {
        let kept = self.store.read(Role::Targets).map_err(Error::Store)?;
        if kept.is_some_and(|bytes| self.trusted.update_targets(&bytes).is_ok()) {
            return Ok(());
        }
        let meta = self.trusted.targets_meta()?;
        let (path, cap) = self.place(Role::Targets, meta.version, meta.length, layout);
        let trusted = &mut self.trusted;
        fetch(source, &path, cap, |bytes| trusted.update_targets(bytes))?
            .ok_or(Error::Missing(path))?;
        match self.trusted.targets() {
            Some(document) => self
                .store
                .write(Role::Targets, &document.bytes)
                .map_err(Error::Store),
            None => Ok(()),
        }
    }

    /// Where a document lies and how long it may be.
    fn place(
        &self,
        role: Role,
        version: u64,
        length: Option<u64>,
        layout: Layout<'_>,
    ) -> (String, u64) {
        let file = if self.trusted.root().signed.body.consistent_snapshot {
            role.versioned(version)
        } else {
            role.file()
        };
        let cap = length.map_or(role.cap(), |length| length.min(role.cap()));
        (format!("{}{file}", layout.metadata), cap)
    }
}

impl Fresh<'_> {
    /// What this refresh saw.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The trusted documents.
    pub fn trusted(&self) -> &TrustedSet {
        &self.trusted
    }

    /// A target's signed length and digests.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.trusted.targets()?.signed.body.targets.get(name)
    }

    /// Name under which the source has a target.
    pub fn path(&self, name: &str) -> Result<String, Error> {
        let target = self
            .target(name)
            .ok_or_else(|| Error::NoTarget(name.to_owned()))?;
        let path = if self.trusted.root().signed.body.consistent_snapshot {
            target
                .consistent_path(name)
                .ok_or_else(|| Error::Target(name.to_owned()))?
        } else {
            name.to_owned()
        };
        Ok(format!("{}{path}", self.layout.targets))
    }

    /// A target's bytes, verified. Refused before anything is fetched if it is longer
    /// than `cap`.
    pub fn bytes(&self, source: &mut dyn Source, name: &str, cap: u64) -> Result<Vec<u8>, Error> {
        let target = self
            .target(name)
            .ok_or_else(|| Error::NoTarget(name.to_owned()))?;
        if target.length > cap {
            return Err(Error::TooLarge {
                name: name.to_owned(),
                length: target.length,
                cap,
            });
        }
        let path = self.path(name)?;
        fetch(source, &path, target.length, |bytes| {
            if target.matches(bytes) {
                Ok(bytes.to_vec())
            } else {
                Err(Error::Target(name.to_owned()))
            }
        })?
        .ok_or(Error::Missing(path))
    }

    /// A target that is a JSON document, verified and then read strictly.
    pub fn json<T: serde::de::DeserializeOwned>(
        &self,
        source: &mut dyn Source,
        name: &str,
        cap: u64,
    ) -> Result<T, Error> {
        let bytes = self.bytes(source, name, cap)?;
        json::decode_as(&bytes).map_err(|why| Error::Content {
            name: name.to_owned(),
            why,
        })
    }
}

/// Fetches a document until one mirror has one that `accept` takes. `None` if it does
/// not exist.
fn fetch<T, E: Into<Error>>(
    source: &mut dyn Source,
    path: &str,
    cap: u64,
    mut accept: impl FnMut(&[u8]) -> Result<T, E>,
) -> Result<Option<T>, Error> {
    let mut mirrors = 1;
    loop {
        let error = match source.document(path, cap) {
            Ok(None) => return Ok(None),
            Ok(Some(bytes)) => match accept(&bytes) {
                Ok(taken) => return Ok(Some(taken)),
                Err(e) => e.into(),
            },
            Err(e @ fetch::Error::TooLong { .. }) => e.into(),
            Err(e) => return Err(e.into()),
        };
        if mirrors == MAX_MIRRORS || !source.blame(path) {
            return Err(error);
        }
        mirrors += 1;
        tracing::warn!("asking another mirror: {error}");
    }
}

fn versions(trusted: &TrustedSet) -> [Option<u64>; 2] {
    [
        trusted.timestamp().map(|document| document.signed.version),
        trusted.snapshot().map(|document| document.signed.version),
    ]
}

fn seen(trusted: &TrustedSet, outcome: Outcome, jump: bool) -> Result<Seen, Error> {
    let (Some(timestamp), Some(snapshot), Some(targets)) =
        (trusted.timestamp(), trusted.snapshot(), trusted.targets())
    else {
        return Err(Refused::Order(Role::Targets).into());
    };
    Ok(Seen {
        root: trusted.root().signed.version,
        timestamp: timestamp.signed.version,
        snapshot: snapshot.signed.version,
        targets: targets.signed.version,
        snapshot_sha256: super::hex(&Sha256::digest(&snapshot.bytes)),
        signed: timestamp.signed.at,
        expires: timestamp.signed.expires,
        equivocation: outcome == Outcome::Different,
        jump,
        clock_is_behind: trusted.clock_is_behind(),
    })
}
