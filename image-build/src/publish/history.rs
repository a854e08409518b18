//! The releases that a repository has.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;
use updater::release::{Channel, MAX_DOCUMENT, Release};
use updater::tuf::{Target, json};

use super::artefacts::Image;
use crate::error::{Context, Error, Result};

/// A release's document. None if the repository does not offer it.
pub fn release(
    repository: &Path,
    targets: &BTreeMap<String, Target>,
    name: &str,
) -> Result<Option<Release>> {
    document(repository, targets, name)
}

/// All channels of an image.
pub fn channels(
    repository: &Path,
    targets: &BTreeMap<String, Target>,
    image: &str,
    architecture: &str,
) -> Result<Vec<Channel>> {
    let folder = format!("{image}/{architecture}/");
    documents(repository, targets, |name| {
        let file = name.strip_prefix(&folder).unwrap_or("/");
        file.ends_with(".json") && !file.contains('/')
    })
}

/// The documents whose names are `wanted`.
fn documents<T: DeserializeOwned>(
    repository: &Path,
    targets: &BTreeMap<String, Target>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for name in targets.keys().filter(|name| wanted(name)) {
        found.extend(document(repository, targets, name)?);
    }
    Ok(found)
}

fn document<T: DeserializeOwned>(
    repository: &Path,
    targets: &BTreeMap<String, Target>,
    name: &str,
) -> Result<Option<T>> {
    let Some(target) = targets.get(name) else {
        return Ok(None);
    };
    let what = || format!("reading {name} of the repository");
    let damaged = || {
        Error::refused(format!("{name} of the repository is not what was signed"))
            .hint("restore targets/ from a good copy")
    };
    let path = target.consistent_path(name).ok_or_else(damaged)?;
    let path = repository.join("targets").join(path);
    if target.length > MAX_DOCUMENT {
        return Err(damaged());
    }
    let bytes = fs::read(&path).environment(what)?;
    if !target.matches(&bytes) {
        return Err(damaged());
    }
    json::decode_as(&bytes).input(what).map(Some)
}

/// All releases of an image, the newest first.
pub fn releases(
    repository: &Path,
    targets: &BTreeMap<String, Target>,
    image: &str,
    architecture: &str,
) -> Result<Vec<Release>> {
    let folder = format!("{image}/{architecture}/");
    let mut found: Vec<Release> = documents(repository, targets, |name| {
        name.starts_with(&folder) && name.ends_with("/release.json")
    })?;
    found.sort_by_key(|release| std::cmp::Reverse(release.sequence));
    Ok(found)
}

/// The /usr of a release, made again from its full stream: the frames, one after the
/// other, are one zstd file.
pub fn restore(repository: &Path, release: &Release) -> Result<Image> {
    let version = &release.version;
    let usr = &release.usr;
    let what = || format!("unpacking /usr of {version} in the repository");
    let data = File::open(repository.join(usr.full.data.path())).environment(what)?;
    let file = NamedTempFile::new_in(repository).environment(what)?;
    let mut out = Limited {
        file: file.as_file(),
        left: usr.size,
    };
    zstd::stream::copy_decode(data, &mut out).environment(what)?;
    let salt = crate::hex::decode(&usr.salt);
    let salt = salt.ok_or_else(|| Error::input(format!("the salt of {version} is no text")))?;
    // The file has no name any more when this returns; the image holds it open.
    let image = Image::open(file.path(), 0..usr.size, &salt)?;
    if image.tree().root_hash != usr.root_hash.0 {
        return Err(Error::refused(format!(
            "the /usr of {version} in the repository is not what was published"
        ))
        .hint("restore targets/ from a good copy, or leave it out with --against 0"));
    }
    Ok(image)
}

/// Takes so many bytes and no more.
struct Limited<'a> {
    file: &'a File,
    left: u64,
}

impl io::Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("it is longer than it says"))?;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
