//! Downloads: every package of a lock, in parallel, into the cache.

use std::path::PathBuf;

use futures_util::stream::{self, StreamExt};

use super::lock::{Lock, LockedPackage};
use super::mirror::Mirrors;
use super::release::is_sha256;
use super::transport::{Expected, Failure, Patience, Transport};
use crate::cache::Cache;
use crate::error::{Context, Error, Result};
use crate::progress::Progress;

/// Transfers at the same time.
const PARALLEL: usize = 8;

/// A package whose file is in the cache, checked.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its entry of the lock.
    pub package: LockedPackage,
    /// The .deb.
    pub file: PathBuf,
}

/// Fetches what is not in the cache yet. The result is in the lock's order.
pub fn fetch(
    cache: &Cache,
    mirrors: &Mirrors,
    lock: &Lock,
    progress: &Progress,
) -> Result<Vec<Fetched>> {
    fetch_with(cache, mirrors, lock, progress, Patience::default())
}

pub(crate) fn fetch_with(
    cache: &Cache,
    mirrors: &Mirrors,
    lock: &Lock,
    progress: &Progress,
    patience: Patience,
) -> Result<Vec<Fetched>> {
    let mut missing = Vec::new();
    for package in &lock.packages {
        check(package)?;
        if !present(cache, package) {
            missing.push(package);
        }
    }
    if !missing.is_empty() {
        let total: u64 = missing.iter().map(|p| p.size).sum();
        let step = progress.step("fetch", total);
        let transport = Transport::new(patience)?;
        // The largest first: no long tail with one connection busy.
        missing.sort_by(|a, b| b.size.cmp(&a.size).then(a.name.cmp(&b.name)));
        transport.block_on(async {
            let on_bytes = |n| step.add(n);
            let jobs = missing
                .iter()
                .map(|p| one(&transport, cache, mirrors, p, &on_bytes));
            let mut running = stream::iter(jobs).buffer_unordered(PARALLEL);
            while let Some(result) = running.next().await {
                result?;
            }
            Ok::<(), Error>(())
        })?;
        step.done(&format!(
            "{} packages, {:.1} MB",
            missing.len(),
            total as f64 / 1e6
        ));
    }
    let fetched = |p: &LockedPackage| Fetched {
        package: p.clone(),
        file: cache.path("deb", &p.sha256),
    };
    Ok(lock.packages.iter().map(fetched).collect())
}

/// A cached file of another size was damaged from outside; it is fetched again.
fn present(cache: &Cache, package: &LockedPackage) -> bool {
    cache
        .get("deb", &package.sha256)
        .and_then(|path| path.metadata().ok())
        .is_some_and(|m| m.is_file() && m.len() == package.size)
}

/// A lock may come from a file: its paths go into URLs, its hashes into file names.
fn check(package: &LockedPackage) -> Result<()> {
    let path_ok = package
        .path
        .split('/')
        .all(|part| !matches!(part, "" | "." | ".."))
        && !package.path.contains(['?', '#', '\\', '\0', '\n']);
    if is_sha256(&package.sha256) && path_ok {
        return Ok(());
    }
    Err(Error::input(format!(
        "the lock's entry for `{}` has no usable path or SHA-256",
        package.name
    ))
    .hint("make the lock again with `image-build lock`"))
}

async fn one(
    transport: &Transport,
    cache: &Cache,
    mirrors: &Mirrors,
    package: &LockedPackage,
    on_bytes: &dyn Fn(u64),
) -> Result<()> {
    let url = mirrors.url(package.pocket, &package.path);
    let name = format!("package {} {}", package.name, package.version);
    let expected = Expected {
        name: &name,
        size: package.size,
        sha256: &package.sha256,
    };
    let mut draft = cache.draft("deb", &package.sha256)?;
    match transport
        .download(&url, expected, draft.file(), on_bytes)
        .await
    {
        Ok(()) => {}
        Err(Failure::Missing) => {
            return Err(Failure::Missing.into_error(&name, &url).hint(
                "mirrors drop superseded versions within days: run `image-build lock` for the current ones, \
                 or use a snapshot mirror or a cache that still has it",
            ));
        }
        Err(failure) => return Err(failure.into_error(&name, &url)),
    }
    // Flushing to disk would stop the other transfers.
    tokio::task::spawn_blocking(move || draft.keep())
        .await
        .environment(|| format!("storing {name}"))??;
    Ok(())
}
