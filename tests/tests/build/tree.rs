//! What is in the tree of the `docker` image, composed from the real packages.

use image_build::archive::fetch::fetch;
use image_build::cache::Cache;
use image_build::error::Result;
use image_build::finalize::{Composition, compose};
use image_build::progress::Progress;
use image_build::tree::Tree;
use image_build::{build, guest, package};
use tests::fixture::guest_dir;

/// Where the defaults of /etc are.
const ETC: &str = "usr/share/holdfast/etc";
const UNITS: &str = "usr/lib/systemd/system";

fn docker() -> Result<Composition> {
    let (cache, mirrors) = (Cache::open(None)?, build::mirrors(None, None)?);
    let progress = Progress::quiet();
    let (recipe, _) = build::recipe("docker")?;
    let lock = build::resolve(&recipe, &mirrors, &cache, &progress)?;
    let packages = fetch(&cache, &mirrors, &lock, &progress)?
        .iter()
        .map(|f| package::unpack(&cache, &f.file, &f.package.sha256))
        .collect::<Result<Vec<_>>>()?;
    let guest = guest::load(Some(&guest_dir()?))?;
    compose(&recipe, &packages, &guest, lock.epoch, "1")
}

/// Whether a path of the running system is in the image.
fn has(tree: &Tree, path: &str) -> bool {
    let path = path.trim_start_matches('/');
    match path.strip_prefix("etc/") {
        Some(rest) => tree.contains(&format!("{ETC}/{rest}")),
        None => tree.contains(path),
    }
}

/// Services warn at each start about files that are named and missing.
#[test]
fn files_that_are_named_are_there() -> Result<()> {
    let tree = docker()?.tree;
    let mut looked = 0;
    for (path, _) in tree.below(&format!("{ETC}/pam.d")) {
        let text = tree.text(path)?.unwrap_or_default();
        for line in text.lines().filter(|l| !l.trim_start().starts_with('#')) {
            let Some((_, arguments)) = line.split_once("pam_env.so") else {
                continue;
            };
            let file = arguments
                .split_whitespace()
                .find_map(|word| word.strip_prefix("envfile="));
            let file = file.unwrap_or("/etc/environment");
            assert!(has(&tree, file), "{path} reads {file}");
            looked += 1;
        }
    }
    assert!(looked > 0, "nothing reads /etc/environment any more");
    for (path, _) in tree.below(UNITS) {
        for line in tree.text(path)?.unwrap_or_default().lines() {
            if let Some(file) = line.strip_prefix("EnvironmentFile=/") {
                assert!(has(&tree, file), "{path} needs /{file}");
            }
        }
    }
    Ok(())
}

/// Docker is wanted by the boot, comes after what configures it, and waits for no network.
#[test]
fn docker_waits_for_what_it_needs() -> Result<()> {
    let composition = docker()?;
    let text = |unit: &str| -> Result<String> {
        let text = composition.tree.text(&format!("{UNITS}/{unit}"))?;
        assert!(text.is_some(), "no {unit}");
        Ok(text.unwrap_or_default())
    };
    for unit in ["docker.service", "docker.socket", "containerd.service"] {
        assert!(
            composition.enabled_units.iter().any(|u| u == unit),
            "{unit} is not enabled"
        );
        assert!(!text(unit)?.contains("network-online.target"), "{unit}");
    }
    let docker = text("docker.service")?;
    let words = |key: &str| -> Vec<&str> {
        docker
            .lines()
            .filter_map(|line| line.strip_prefix(key))
            .flat_map(str::split_whitespace)
            .collect()
    };
    for unit in ["oem.service", "docker.socket", "containerd.service"] {
        assert!(words("After=").contains(&unit), "After={unit}");
    }
    assert!(words("Requires=").contains(&"docker.socket"));
    assert!(words("Wants=").contains(&"containerd.service"));
    Ok(())
}
