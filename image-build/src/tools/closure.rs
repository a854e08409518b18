//! The tools' packages: resolved, fetched and unpacked like an image's, with the
//! same solver from the same verified lists.

use std::io::Write;
use std::time::Duration;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::Tools;
use crate::archive::Archive;
use crate::archive::fetch::fetch;
use crate::archive::lock::Lock;
use crate::archive::mirror::Mirrors;
use crate::cache::{Cache, writing};
use crate::error::Result;
use crate::package::{extract, unpack};
use crate::progress::Progress;

/// Changes when the same packages are laid out in another way.
const LAYOUT: &str = "1";

/// How long [`Tools::last_or`] takes what it has: QEMU gets its security updates, and
/// most runs need no network.
const FRESH: Duration = Duration::from_secs(7 * 24 * 3600);

/// Which programs are needed. A build does not fetch QEMU's system emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closure {
    /// What makes images.
    Build,
    /// What runs them.
    Run,
}

impl Closure {
    fn name(self) -> &'static str {
        match self {
            Closure::Build => "build",
            Closure::Run => "run",
        }
    }

    /// What the solver is asked for.
    pub fn requested(self) -> Vec<String> {
        self.packages().iter().map(|p| (*p).to_owned()).collect()
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Closure::Build => &[
                "erofs-utils",
                "grub-common",
                "grub-pc-bin",
                "qemu-utils",
                "systemd-boot-efi",
            ],
            Closure::Run => &[
                "openssh-client",
                "ovmf",
                "qemu-system-x86",
                "qemu-utils",
                "swtpm",
                "util-linux",
            ],
        }
    }
}

impl Tools {
    /// The closure as the archive has it now. Without changes there this neither
    /// resolves nor fetches nor unpacks. The archive must be one of this machine's
    /// architecture.
    pub fn open(
        cache: &Cache,
        mirrors: &Mirrors,
        archive: &Archive,
        closure: Closure,
        progress: &Progress,
    ) -> Result<Self> {
        let lock = archive.resolve(&closure.requested(), &[])?;
        let tools = Self::from_lock(cache, mirrors, &lock, closure, progress)?;
        remember(cache, closure, tools.id())?;
        Ok(tools)
    }

    /// The closure that was opened last, if it is still there, so that no network is
    /// needed; else, and once a week, `archive` is asked for. If that fails the last
    /// one serves for another week. For work whose result does not depend on the
    /// tools' exact versions.
    pub fn last_or(
        cache: &Cache,
        mirrors: &Mirrors,
        archive: impl FnOnce() -> Result<Archive>,
        closure: Closure,
        progress: &Progress,
    ) -> Result<Self> {
        let Some((last, age)) = last(cache, closure) else {
            return Self::open(cache, mirrors, &archive()?, closure, progress);
        };
        if age < FRESH {
            return Ok(last);
        }
        archive()
            .and_then(|archive| Self::open(cache, mirrors, &archive, closure, progress))
            .or_else(|e| {
                progress.note(&format!(
                    "warning: the {} tools were not refreshed ({}); using those at hand",
                    closure.name(),
                    e.chain()
                ));
                remember(cache, closure, last.id())?;
                Ok(last)
            })
    }

    /// The packages of a lock, unpacked.
    pub fn from_lock(
        cache: &Cache,
        mirrors: &Mirrors,
        lock: &Lock,
        closure: Closure,
        progress: &Progress,
    ) -> Result<Self> {
        let id = id(lock);
        if let Some(root) = cache.get("tools", &id) {
            return Ok(Tools { root, id });
        }
        let _guard = cache.lock("tools", &id)?;
        if let Some(root) = cache.get("tools", &id) {
            return Ok(Tools { root, id });
        }
        let fetched = fetch(cache, mirrors, lock, progress)?;
        let step = progress.step(format!("{} tools", closure.name()), 0);
        let packages = fetched
            .par_iter()
            .map(|f| unpack(cache, &f.file, &f.package.sha256))
            .collect::<Result<Vec<_>>>()?;
        let root = cache.put_dir("tools", &id, |dir| {
            packages
                .iter()
                .try_for_each(|package| extract(package, dir))
        })?;
        step.done(&format!("{} packages unpacked", packages.len()));
        Ok(Tools { root, id })
    }
}

/// Names exactly these packages in this layout.
fn id(lock: &Lock) -> String {
    let mut hasher = Sha256::new();
    hasher.update(LAYOUT);
    for package in &lock.packages {
        hasher.update(&package.sha256);
    }
    hasher
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn remember(cache: &Cache, closure: Closure, id: &str) -> Result<()> {
    cache
        .put("tools-last", closure.name(), |f| {
            f.write_all(id.as_bytes())
                .map_err(|e| writing(e, cache.root()))
        })
        .map(drop)
}

/// The closure that was opened last, and how long ago it was said to be the newest.
fn last(cache: &Cache, closure: Closure) -> Option<(Tools, Duration)> {
    let note = cache.get("tools-last", closure.name())?;
    let written = note.metadata().and_then(|m| m.modified()).ok()?;
    // A clock that went back makes it new.
    let age = written.elapsed().unwrap_or_default();
    let id = std::fs::read_to_string(note).ok()?;
    // It becomes a path.
    let id = Some(id).filter(|id| id.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let root = cache.get("tools", &id)?;
    Some((Tools { root, id }, age))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;
    use crate::error::Error;

    #[test]
    fn the_last_tools_serve_for_a_week_and_without_a_network() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path())).unwrap();
        let mirrors = Mirrors::discover_in(Some("/m/debian".into()), None, "/".as_ref()).unwrap();
        let asked = std::cell::Cell::new(0);
        let tools = || {
            let archive = || {
                asked.set(asked.get() + 1);
                Err(Error::environment("no network"))
            };
            let quiet = Progress::quiet();
            Tools::last_or(&cache, &mirrors, archive, Closure::Run, &quiet)
        };
        assert!(tools().is_err());
        assert_eq!(asked.get(), 1);

        let id = "ab".repeat(32);
        cache.put_dir("tools", &id, |_| Ok(())).unwrap();
        remember(&cache, Closure::Run, &id).unwrap();
        assert_eq!(tools().unwrap().id(), id);
        assert_eq!(asked.get(), 1);

        let old = SystemTime::now() - FRESH - Duration::from_secs(1);
        let note = cache.get("tools-last", "run").unwrap();
        File::options()
            .write(true)
            .open(note)
            .unwrap()
            .set_modified(old)
            .unwrap();
        assert_eq!(tools().unwrap().id(), id);
        assert_eq!(asked.get(), 2);
        assert_eq!(tools().unwrap().id(), id);
        assert_eq!(asked.get(), 2);

        remember(&cache, Closure::Run, "../../etc").unwrap();
        assert!(tools().is_err());
    }
}
