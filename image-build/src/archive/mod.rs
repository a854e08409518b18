//! Debian archives: mirror, trust, indexes, solver, lock, downloads.
//!
//! `InRelease` (signed) names the hash of `Packages`, which names the hash of
//! every .deb. Nothing is parsed or unpacked before its signature or hash was
//! checked.

mod date;
pub mod fetch;
pub mod lock;
pub mod mirror;
mod packages;
mod refresh;
mod relation;
pub mod release;
mod solve;
mod transport;
pub mod trust;

use std::cell::OnceCell;
use std::fs::File;
use std::io::{BufReader, Seek, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::try_join_all;
use sha2::{Digest, Sha256};

use crate::cache::{Cache, writing};
use crate::error::{Context, Error, Result};
use crate::hex;
use crate::progress::Progress;
use lock::{Lock, Pocket};
use mirror::Mirrors;
use packages::Package;
use refresh::{Current, Judge, refresh};
use release::suite_name;
use transport::{Expected, Failure, Patience, Transport};
use trust::Trust;

/// A suite of a Debian archive, as the mirror has it now.
pub struct Archive {
    cache: Cache,
    mirrors: Mirrors,
    suite: String,
    architecture: String,
    progress: Progress,
    transport: Transport,
    current: Vec<Current>,
    /// Decompressed indexes, in the order of `current`; loaded when first needed.
    indexes: OnceCell<Vec<String>>,
}

/// How to open an [`Archive`] other than with Debian's keys and the clock.
pub(crate) struct Conditions {
    pub trust: Trust,
    /// Seconds since the epoch.
    pub now: i64,
    pub patience: Patience,
}

impl Archive {
    /// Refreshes and verifies the signed lists of `suite` (for example `trixie`), its
    /// updates and its security fixes, for a Debian architecture. Without a network the
    /// cached lists serve while they are valid, with a warning.
    pub fn open(
        cache: &Cache,
        mirrors: &Mirrors,
        suite: &str,
        architecture: &str,
        progress: &Progress,
    ) -> Result<Self> {
        Self::open_pockets(cache, mirrors, suite, &Pocket::ALL, architecture, progress)
    }

    /// As [`Archive::open`], of these pockets only: no other list is asked for.
    pub fn open_pockets(
        cache: &Cache,
        mirrors: &Mirrors,
        suite: &str,
        pockets: &[Pocket],
        architecture: &str,
        progress: &Progress,
    ) -> Result<Self> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .environment(|| "reading the clock".into())?;
        let now = i64::try_from(since.as_secs()).environment(|| "reading the clock".into())?;
        let mut trust = Trust::debian()?;
        if let Some(keyring) = &mirrors.keyring {
            trust = trust.with_keyring(keyring)?;
        }
        let conditions = Conditions {
            trust,
            now,
            patience: Patience::default(),
        };
        Self::open_with(
            cache,
            mirrors,
            suite,
            pockets,
            architecture,
            progress,
            &conditions,
        )
    }

    pub(crate) fn open_with(
        cache: &Cache,
        mirrors: &Mirrors,
        suite: &str,
        pockets: &[Pocket],
        architecture: &str,
        progress: &Progress,
        conditions: &Conditions,
    ) -> Result<Self> {
        let word =
            |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !word(suite) || !word(architecture) {
            return Err(Error::input(format!(
                "`{suite}` for `{architecture}` is not a Debian suite"
            ))
            .hint("use a release's name such as trixie, and an architecture such as amd64"));
        }
        let transport = Transport::new(conditions.patience)?;
        let judge = Judge {
            trust: &conditions.trust,
            suite,
            now: conditions.now,
        };
        let jobs = pockets
            .iter()
            .map(|pocket| refresh(&transport, cache, mirrors, &judge, *pocket));
        let current = transport.block_on(try_join_all(jobs))?;
        warn_stale(suite, &current, progress);
        Ok(Archive {
            cache: cache.clone(),
            mirrors: mirrors.clone(),
            suite: suite.to_string(),
            architecture: architecture.to_string(),
            progress: progress.clone(),
            transport,
            current,
            indexes: OnceCell::new(),
        })
    }

    /// Changes when any of the suite's lists does.
    pub fn id(&self) -> String {
        let mut hasher = Sha256::new();
        for current in &self.current {
            hasher.update(&current.id);
        }
        hex::encode(&hasher.finalize())
    }

    /// The suite's name.
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// Newest `Date` of the lists, seconds since the epoch.
    pub fn epoch(&self) -> i64 {
        self.current
            .iter()
            .map(|c| c.release.date)
            .max()
            .unwrap_or(0)
    }

    /// Resolves `requested` (`NAME`, `NAME=VERSION` or `NAME/SUITE`). Names in
    /// `exclude` (packages or virtual ones) count as installed and are never chosen.
    /// Answers are remembered in the cache.
    pub fn resolve(&self, requested: &[String], exclude: &[String]) -> Result<Lock> {
        let sorted = |all: &[String]| {
            let mut all = all.to_vec();
            all.sort();
            all.dedup();
            all
        };
        let (requested, exclude) = (sorted(requested), sorted(exclude));
        let question = serde_json::json!([
            solve::REVISION,
            self.id(),
            self.suite,
            self.architecture,
            requested,
            exclude
        ]);
        let key = hex::encode(&Sha256::digest(question.to_string().as_bytes()));
        if let Some(lock) = self.remembered(&key) {
            return Ok(lock);
        }
        let step = self.progress.step("resolve", 0);
        let mut all: Vec<Package<'_>> = Vec::new();
        for (current, text) in self.current.iter().zip(self.indexes()?) {
            let name = format!("Packages of {}", suite_name(&self.suite, current.pocket));
            all.extend(packages::parse(&name, text, current.pocket)?);
        }
        let packages = solve::solve(&all, &self.suite, &self.architecture, &requested, &exclude)?;
        step.done(&format!("{} packages", packages.len()));
        let lock = Lock {
            version: 1,
            suite: self.suite.clone(),
            architecture: self.architecture.clone(),
            epoch: self.epoch(),
            requested,
            packages,
            tools: Vec::new(),
        };
        let json = serde_json::to_vec(&lock).environment(|| "encoding the lock".into())?;
        self.cache.put("resolved", &key, |f| {
            f.write_all(&json)
                .map_err(|e| writing(e, self.cache.root()))
        })?;
        Ok(lock)
    }

    fn remembered(&self, key: &str) -> Option<Lock> {
        serde_json::from_slice(&std::fs::read(self.cache.get("resolved", key)?).ok()?).ok()
    }

    fn indexes(&self) -> Result<&[String]> {
        if let Some(indexes) = self.indexes.get() {
            return Ok(indexes);
        }
        let texts = self
            .transport
            .block_on(try_join_all(self.current.iter().map(|c| self.index(c))))?;
        Ok(self.indexes.get_or_init(|| texts))
    }

    /// One `Packages` index, from the cache or by its hash from the mirror.
    async fn index(&self, current: &Current) -> Result<String> {
        let suite = suite_name(&self.suite, current.pocket);
        let name = format!("Packages of {suite} for {}", self.architecture);
        let path = packages::index_path(&self.architecture);
        let index = current.release.index(&path).ok_or_else(|| {
            Error::input(format!(
                "{suite} has no packages for `{}`",
                self.architecture
            ))
            .hint("check the architecture's name")
        })?;
        let key = format!("{}-{}", index.sha256, packages::CONDENSED);
        if let Some(file) = self.cache.get("index", &key) {
            return std::fs::read_to_string(file)
                .environment(|| format!("reading {name} from the cache"));
        }
        let url = |path: &str| {
            self.mirrors
                .url(current.pocket, &format!("dists/{suite}/{path}"))
        };
        let expected = Expected {
            name: &name,
            size: index.size,
            sha256: &index.sha256,
        };
        let mut places = vec![url(&path)];
        if current.release.by_hash {
            places.insert(0, url(&packages::by_hash_path(&self.architecture, index)));
        }
        let step = self.progress.step(format!("list {suite}"), index.size);
        let mut last = String::new();
        for place in places {
            let mut draft = self.cache.draft("index", &key)?;
            let on_bytes = |n| step.add(n);
            let fetched = self
                .transport
                .download(&place, expected, draft.file(), &on_bytes);
            match fetched.await {
                Ok(()) => {
                    let text = packages::condense(&decompressed(&name, draft.file())?);
                    self.cache.put("index", &key, |f| {
                        f.write_all(text.as_bytes())
                            .map_err(|e| writing(e, self.cache.root()))
                    })?;
                    step.done(&format!("{:.1} MB", index.size as f64 / 1e6));
                    return Ok(text);
                }
                Err(Failure::Missing) => last = place,
                Err(failure) => return Err(failure.into_error(&name, &place)),
            }
        }
        Err(Failure::Missing.into_error(&name, &last))
    }
}

/// One line for each reason: without a network it is the same for all lists.
fn warn_stale(suite: &str, current: &[Current], progress: &Progress) {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (why, pocket) in current
        .iter()
        .filter_map(|c| Some((c.stale.as_deref()?, c.pocket)))
    {
        let name = suite_name(suite, pocket);
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(name),
            None => reasons.push((why, vec![name])),
        }
    }
    for (why, names) in reasons {
        progress.note(&format!(
            "warning: InRelease of {} {why}; using the cached one",
            names.join(", ")
        ));
    }
}

/// From the text of an index to the packages chosen, for `fuzz/`.
#[cfg(fuzzing)]
pub fn try_packages(text: &str) -> Result<()> {
    let text = packages::condense(text);
    let all = packages::parse("Packages", &text, Pocket::Main)?;
    let first: Vec<String> = all.iter().map(|p| p.name.to_owned()).take(2).collect();
    solve::solve(&all, "trixie", "amd64", &first, &[]).map(drop)
}

fn decompressed(name: &str, file: &mut File) -> Result<String> {
    file.rewind().environment(|| format!("reading {name}"))?;
    packages::decompress(name, BufReader::new(file))
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
