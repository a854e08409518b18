//! What is wrong, with which input, what to do, and the right exit status.

use std::path::Path;
use std::process::{Command, Output};

use image_build::cache::Cache;
use image_build::error::{Context, Result};
use tests::fixture::builder;

use super::mirror::{Fault, Mirror, minimal, private, private_cache};

fn run(args: &[&str], env: &[(&str, &str)]) -> Result<Output> {
    Command::new(builder()?)
        .args(args)
        .envs(env.iter().copied())
        .output()
        .environment(|| "starting image-build".into())
}

/// Exactly one `error:` line with all of `says`, a `hint:` line, and the status.
fn fails(out: &Output, status: i32, says: &[&str]) {
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(status), "{text}");
    assert_eq!(
        text.lines().filter(|l| l.starts_with("error: ")).count(),
        1,
        "{text}"
    );
    assert!(text.contains("hint: "), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    for word in says {
        assert!(text.contains(word), "no {word:?} in\n{text}");
    }
}

/// Builds the recipe `text` into a folder that must stay empty.
fn recipe_fails(text: &str, status: i32, says: &[&str]) -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let file = temp.path().join("mine.yaml");
    std::fs::write(&file, text).environment(|| "writing the recipe".into())?;
    let out_dir = temp.path().join("out");
    let out = run(
        &[
            "build",
            &file.to_string_lossy(),
            "--quiet",
            "--out",
            &out_dir.to_string_lossy(),
        ],
        &[],
    )?;
    fails(&out, status, says);
    let left = std::fs::read_dir(&out_dir).map(|d| d.count()).unwrap_or(0);
    assert_eq!(left, 0, "files were left in the output folder");
    Ok(())
}

#[test]
fn unknown_key() -> Result<()> {
    recipe_fails(
        "name: mine\nextends: minimal\npackges: [htop]\n",
        1,
        &["packges", "packages", "mine.yaml", "3"],
    )
}

#[test]
fn mistyped_value() -> Result<()> {
    recipe_fails(
        "name: mine\nextends: minimal\nsizes:\n  usr: very big\n",
        1,
        &["mine.yaml:4:", "very big", "512 MiB"],
    )
}

#[test]
fn unknown_base() -> Result<()> {
    recipe_fails("name: mine\nextends: dokcer\n", 1, &["dokcer", "docker"])
}

#[test]
fn no_such_recipe() -> Result<()> {
    let out = run(&["build", "dockre", "--out", "/nonexistent/out"], &[])?;
    fails(&out, 1, &["dockre", "docker"]);
    Ok(())
}

#[test]
fn package_that_does_not_exist() -> Result<()> {
    recipe_fails(
        "name: mine\nextends: minimal\npackages: [no-such-package]\n",
        1,
        &["no-such-package"],
    )
}

#[test]
fn packages_that_exclude_each_other() -> Result<()> {
    recipe_fails(
        "name: mine\nextends: minimal\npackages: [exim4-daemon-light, postfix]\n",
        1,
        &["exim4-daemon-light", "postfix"],
    )
}

#[test]
fn slot_too_small() -> Result<()> {
    recipe_fails(
        "name: mine\nextends: minimal\nsizes: {usr: 64M}\n",
        4,
        &["64", "usr"],
    )
}

#[test]
fn esp_too_small_for_updates() -> Result<()> {
    recipe_fails(
        "name: mine\nextends: minimal\nsizes: {esp: 34M}\n",
        4,
        &["ESP", "34"],
    )
}

#[test]
fn mirror_is_not_there() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let dir = |name: &str| temp.path().join(name).to_string_lossy().into_owned();
    let out = run(
        &[
            "build",
            "minimal",
            "--quiet",
            "--mirror",
            "http://127.0.0.1:9/debian",
            "--cache",
            &dir("cache"),
            "--out",
            &dir("out"),
        ],
        &[],
    )?;
    fails(&out, 3, &["127.0.0.1:9"]);
    Ok(())
}

#[test]
fn locked_without_a_lock() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let out = run(
        &[
            "build",
            "minimal",
            "--locked",
            "--out",
            &temp.path().to_string_lossy(),
        ],
        &[],
    )?;
    fails(&out, 1, &["minimal.lock"]);
    Ok(())
}

#[test]
fn lock_of_another_recipe() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let lock = temp.path().join("x.lock").to_string_lossy().into_owned();
    tests::fixture::build_image(&["lock", "minimal", "--out", &lock])?;
    let out = run(
        &[
            "build",
            "docker",
            "--locked",
            "--lock",
            &lock,
            "--out",
            &temp.path().to_string_lossy(),
        ],
        &[],
    )?;
    fails(&out, 1, &["x.lock", "docker"]);
    Ok(())
}

#[test]
fn not_an_image() -> Result<()> {
    let out = run(&["inspect", "/etc/passwd"], &[])?;
    fails(&out, 1, &["/etc/passwd"]);
    Ok(())
}

/// A full disk, for whoever runs this: a limit on the size of files gives the same
/// kind of error. 32 MiB stop mkfs.erofs, 1 GiB our own writing of the disk.
#[test]
fn output_on_a_full_disk() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    for blocks in [65_536, 2_097_152] {
        let out_dir = temp.path().join("out");
        let out = Command::new("/bin/sh")
            .args([
                "-c",
                "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"",
                &blocks.to_string(),
            ])
            .arg(builder()?)
            .args(["build", "minimal", "--quiet", "--out"])
            .arg(&out_dir)
            .output()
            .environment(|| "starting image-build".into())?;
        fails(&out, 3, &["File too large", "free some space"]);
        let left = std::fs::read_dir(&out_dir).map(|d| d.count()).unwrap_or(0);
        assert_eq!(left, 0, "files were left in the output folder");
    }
    Ok(())
}

/// Builds `minimal` from a mirror with a fault, with a cache that lacks `package`.
fn mirror_fails(fault: Fault, package: &str, status: i32, says: &[&str]) -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let (shared, mirrors) = (Cache::open(None)?, image_build::build::mirrors(None, None)?);
    let lock = minimal(&shared, &mirrors)?;
    let cache = private_cache(&temp.path().join("cache"), &shared, &lock, package)?;
    let mirror = Mirror::start(&shared, &mirrors, &lock, fault)?;
    let (root, dir) = (cache.root().to_string_lossy(), temp.path().join("out"));
    let out_dir = dir.to_string_lossy();
    let out = run(
        &[
            "build",
            "minimal",
            "--quiet",
            "--mirror",
            &mirror.url(),
            "--cache",
            &root,
            "--out",
            &out_dir,
        ],
        &[],
    )?;
    fails(&out, status, says);
    let left = std::fs::read_dir(&dir).map(|d| d.count()).unwrap_or(0);
    assert_eq!(left, 0, "files were left in the output folder");
    let entry = lock.packages.iter().find(|p| p.name == package);
    assert!(
        entry.is_none_or(|p| cache.get("deb", &p.sha256).is_none()),
        "the bad file is in the cache"
    );
    Ok(())
}

/// Resolves `app` from an archive with its own key: `release` and `index` are the files
/// served, `keyring` is whom the builder is told to believe.
fn private_archive(release: &Path, index: &Path, keyring: Option<&Path>) -> Result<Output> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let path = |name: &str| temp.path().join(name).to_string_lossy().into_owned();
    let recipe = path("mine.yaml");
    std::fs::write(&recipe, "name: mine\nextends: minimal\n")
        .environment(|| "writing the recipe".into())?;
    let mirror = Mirror::start_private(release, index)?;
    let (url, cache, lock) = (mirror.url(), path("cache"), path("mine.lock"));
    let mut args = vec!["lock", &recipe, "--quiet", "--mirror", &url];
    args.extend(["--cache", &cache, "--out", &lock]);
    let keyring = keyring.map(Path::to_string_lossy);
    args.extend(keyring.iter().flat_map(|file| ["--keyring", file]));
    let out = run(&args, &[])?;
    assert!(!Path::new(&lock).exists(), "a lock was written");
    Ok(out)
}

#[test]
fn lists_signed_by_a_key_nobody_named() -> Result<()> {
    let (release, index) = (private("trixie.InRelease"), private("Packages.xz"));
    let out = private_archive(&release, &index, None)?;
    fails(&out, 4, &["InRelease", "is not trusted", "--keyring"]);
    // With the key all lists are believed, and only then is it seen what they lack.
    let out = private_archive(&release, &index, Some(&private("keyring.asc")))?;
    fails(&out, 1, &["there is no package `"]);
    Ok(())
}

#[test]
fn expired_lists() -> Result<()> {
    let out = private_archive(
        &private("expired.InRelease"),
        &private("Packages.xz"),
        Some(&private("keyring.asc")),
    )?;
    fails(
        &out,
        4,
        &[
            "InRelease of trixie",
            "expired on 2025-01-09",
            "another mirror",
        ],
    );
    Ok(())
}

#[test]
fn lists_changed_after_they_were_signed() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let changed = temp.path().join("InRelease");
    // The expired lists, with a longer life.
    let text = std::fs::read_to_string(private("expired.InRelease"))
        .environment(|| "reading the lists".into())?;
    std::fs::write(&changed, text.replace("09 Jan 2025", "09 Jan 2095"))
        .environment(|| "writing the lists".into())?;
    let keyring = private("keyring.asc");
    let out = private_archive(&changed, &private("Packages.xz"), Some(&keyring))?;
    fails(&out, 4, &["InRelease", "does not match the text"]);
    Ok(())
}

/// Well signed lists, and another index than they name: same length, other bytes.
#[test]
fn index_with_another_hash() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let changed = temp.path().join("Packages.xz");
    let mut bytes =
        std::fs::read(private("Packages.xz")).environment(|| "reading the index".into())?;
    bytes[100] ^= 1;
    std::fs::write(&changed, bytes).environment(|| "writing the index".into())?;
    let keyring = private("keyring.asc");
    let out = private_archive(&private("trixie.InRelease"), &changed, Some(&keyring))?;
    fails(&out, 4, &["Packages of trixie", "SHA-256"]);
    Ok(())
}

#[test]
fn keyring_without_a_key() -> Result<()> {
    for file in ["/nonexistent/keys.asc", "/etc/passwd"] {
        let out = private_archive(
            &private("trixie.InRelease"),
            &private("Packages.xz"),
            Some(Path::new(file)),
        )?;
        fails(&out, 1, &["keyring", file]);
    }
    Ok(())
}

#[test]
fn tampered_lists() -> Result<()> {
    mirror_fails(Fault::TamperedRelease, "", 4, &["InRelease", "signature"])
}

#[test]
fn package_with_another_hash() -> Result<()> {
    mirror_fails(
        Fault::WrongHash("base-files".into()),
        "base-files",
        4,
        &["base-files", "SHA-256"],
    )
}

#[test]
fn truncated_package() -> Result<()> {
    mirror_fails(
        Fault::Truncated("base-files".into()),
        "base-files",
        4,
        &["base-files"],
    )
}

#[test]
fn mirror_that_dies_midway() -> Result<()> {
    mirror_fails(
        Fault::Dies("systemd".into()),
        "systemd",
        3,
        &["systemd", "fetching"],
    )
}

#[test]
fn no_mirror_at_all() -> Result<()> {
    let out = run(
        &["build", "minimal", "--quiet", "--mirror", "nonsense"],
        &[],
    )?;
    fails(&out, 2, &["nonsense"]);
    Ok(())
}
