//! The tools' packages: resolved, fetched and unpacked like an image's, with the
//! same solver from the same verified lists.

use std::io::Write;

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
        if last_id(cache, closure).as_deref() != Some(tools.id()) {
            cache.put("tools-last", closure.name(), |f| {
                f.write_all(tools.id().as_bytes())
                    .map_err(|e| writing(e, cache.root()))
            })?;
        }
        Ok(tools)
    }

    /// The closure that was opened last, if it is still there, so that no network is
    /// needed; else `archive` is asked for. For work whose result does not depend
    /// on the tools' exact versions.
    pub fn last_or(
        cache: &Cache,
        mirrors: &Mirrors,
        archive: impl FnOnce() -> Result<Archive>,
        closure: Closure,
        progress: &Progress,
    ) -> Result<Self> {
        let last = last_id(cache, closure);
        if let Some((id, root)) = last.and_then(|id| cache.get("tools", &id).map(|root| (id, root)))
        {
            return Ok(Tools { root, id });
        }
        Self::open(cache, mirrors, &archive()?, closure, progress)
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

fn last_id(cache: &Cache, closure: Closure) -> Option<String> {
    let id = std::fs::read_to_string(cache.get("tools-last", closure.name())?).ok()?;
    // It becomes a path.
    id.bytes().all(|b| b.is_ascii_hexdigit()).then_some(id)
}
