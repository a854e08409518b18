//! Are two builds from the same packages the same bytes?

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::holdfast::Build;
use super::mkosi::{Flavour, Reuse};
use super::table::{Row, Unit};
use super::{Bench, progress};

/// Rows of this figure.
pub fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let ours = match bench.holdfast_side() {
        Some(holdfast) => {
            progress("building twice with image-build");
            let first = Build {
                force: true,
                env: vec![("RAYON_NUM_THREADS", "1"), ("TZ", "UTC")],
                ..Build::default()
            };
            let second = Build {
                force: true,
                env: vec![
                    ("RAYON_NUM_THREADS", "3"),
                    ("TZ", "Asia/Kathmandu"),
                    ("LC_ALL", "tr_TR.UTF-8"),
                ],
                ..Build::default()
            };
            holdfast.build("first", &first)?;
            holdfast.build("second", &second)?;
            Some(differing(
                &hashes(&holdfast.out("first"))?,
                &hashes(&holdfast.out("second"))?,
            ))
        }
        None => None,
    };
    let theirs = match bench.mkosi_side() {
        Some(mkosi) => {
            progress("building twice with mkosi");
            let build = || -> Result<_> {
                mkosi.build(Flavour::Plain, Reuse::Nothing)?;
                let image = mkosi.image(Flavour::Plain)?;
                [
                    ("image", &image.raw),
                    ("uki", &image.uki),
                    ("initrd", &image.initrd),
                ]
                .into_iter()
                .map(|(name, path)| Ok((name.to_owned(), hash(path)?)))
                .collect::<Result<BTreeMap<_, _>>>()
            };
            Some(differing(&build()?, &build()?))
        }
        None => None,
    };
    Ok(vec![Row::new(
        "outputs that differ between two builds",
        Unit::Count,
        ours,
        theirs,
    )])
}

/// How many names are on one side only or have other contents.
fn differing(a: &BTreeMap<String, [u8; 32]>, b: &BTreeMap<String, [u8; 32]>) -> f64 {
    let changed = a
        .iter()
        .filter(|(name, hash)| b.get(*name) != Some(hash))
        .count();
    let added = b.keys().filter(|name| !a.contains_key(*name)).count();
    (changed + added) as f64
}

fn hashes(dir: &Path) -> Result<BTreeMap<String, [u8; 32]>> {
    let mut hashes = BTreeMap::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
        if entry.path().is_file() {
            hashes.insert(
                entry.file_name().to_string_lossy().into_owned(),
                hash(&entry.path())?,
            );
        }
    }
    Ok(hashes)
}

fn hash(path: &Path) -> Result<[u8; 32]> {
    let failed = || format!("reading {}", path.display());
    let mut file = File::open(path).with_context(failed)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block).with_context(failed)? {
            0 => return Ok(hasher.finalize().into()),
            n => hasher.update(&block[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted() {
        let a = BTreeMap::from([("x".to_owned(), [1; 32]), ("y".to_owned(), [2; 32])]);
        let b = BTreeMap::from([
            ("x".to_owned(), [1; 32]),
            ("y".to_owned(), [3; 32]),
            ("z".to_owned(), [0; 32]),
        ]);
        assert_eq!(differing(&a, &a), 0.0);
        assert_eq!(differing(&a, &b), 2.0);
    }
}
