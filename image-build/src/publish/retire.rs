//! Takes old releases out of a repository.
//!
//! The metadata that no longer names them is published first, their files go after it: a
//! client in the middle of fetching one starts again with a newer release, and a cut
//! leaves files that nobody asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use updater::release::{Artefact, Release, release_name};
use updater::tuf::Target;

use super::history;
use crate::error::{Context, Result};

/// A release that goes.
pub struct Retired {
    /// Its document.
    pub release: Release,
    name: String,
    target: Target,
}

/// Takes all but the newest `keep` releases out of `targets`. What a channel offers or
/// has as its floor stays. Nothing is removed yet.
pub fn choose(
    repository: &Path,
    targets: &mut BTreeMap<String, Target>,
    image: &str,
    architecture: &str,
    keep: usize,
) -> Result<Vec<Retired>> {
    let channels = history::channels(repository, targets, image, architecture)?;
    let needed: BTreeSet<String> = channels
        .into_iter()
        .flat_map(|channel| [Some(channel.version), channel.floor])
        .flatten()
        .collect();
    let mut retired = Vec::new();
    let releases = history::releases(repository, targets, image, architecture)?;
    for release in releases.into_iter().skip(keep) {
        let name = release_name(image, architecture, &release.version);
        if !needed.contains(&release.version)
            && let Some(target) = targets.remove(&name)
        {
            retired.push(Retired {
                release,
                name,
                target,
            });
        }
    }
    Ok(retired)
}

/// Removes their files, but those that a release in `targets` has as well.
pub fn remove(
    repository: &Path,
    targets: &BTreeMap<String, Target>,
    retired: &[Retired],
) -> Result<()> {
    if retired.is_empty() {
        return Ok(());
    }
    let mut used = BTreeSet::new();
    for name in targets
        .keys()
        .filter(|name| name.ends_with("/release.json"))
    {
        if let Some(release) = history::release(repository, targets, name)? {
            used.extend(artefacts(&release).map(Artefact::path));
        }
    }
    for old in retired {
        let document = old.target.consistent_path(&old.name);
        let document = document.map(|path| format!("targets/{path}"));
        let files = artefacts(&old.release).map(Artefact::path).chain(document);
        let mut folders = BTreeSet::new();
        for file in files.filter(|file| !used.contains(file)) {
            let path = repository.join(file);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(e).environment(|| format!("removing {}", path.display()));
                }
                _ => {}
            }
            folders.extend(path.parent().map(PathBuf::from));
        }
        for folder in folders {
            // Fails where something is left, as it should.
            let _ = fs::remove_dir(folder);
        }
    }
    Ok(())
}

fn artefacts(release: &Release) -> impl Iterator<Item = &Artefact> {
    let usr = &release.usr;
    let patches = usr.patches.iter().map(|patch| &patch.stream);
    let streams = std::iter::once(&usr.full).chain(patches);
    streams
        .flat_map(|stream| [&stream.index, &stream.data])
        .chain(&usr.leaves)
        .chain([&release.uki])
}
