//! Programs out of Debian packages, fetched and verified like every other one.

use image_build::archive::Archive;
use image_build::archive::fetch::fetch;
use image_build::archive::mirror::Mirrors;
use image_build::cache::Cache;
use image_build::error::{Context, Result};
use image_build::package::{extract, unpack};
use image_build::progress::Progress;

/// The file `path` (relative) of `package`.
pub fn program(cache: &Cache, mirrors: &Mirrors, package: &str, path: &str) -> Result<Vec<u8>> {
    let progress = Progress::quiet();
    let archive = Archive::open(cache, mirrors, "trixie", "amd64", &progress)?;
    let lock = archive.resolve(&[package.to_owned()], &[])?;
    let dir = tempfile::tempdir().environment(|| "making a temporary directory".to_owned())?;
    for fetched in fetch(cache, mirrors, &lock, &progress)? {
        if fetched.package.name == package {
            extract(
                &unpack(cache, &fetched.file, &fetched.package.sha256)?,
                dir.path(),
            )?;
        }
    }
    let path = dir.path().join(path);
    std::fs::read(&path).environment(|| format!("reading {}", path.display()))
}
