//! What is wrong, with which input, what to do, and the right exit status.

use std::process::{Command, Output};

use image_build::error::{Context, Result};
use tests::fixture::builder;

fn run(args: &[&str], env: &[(&str, &str)]) -> Result<Output> {
    Command::new(builder()?).args(args).envs(env.iter().copied()).output().environment(|| "starting image-build".into())
}

/// Exactly one `error:` line with all of `says`, a `hint:` line, and the status.
fn fails(out: &Output, status: i32, says: &[&str]) {
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(status), "{text}");
    assert_eq!(text.lines().filter(|l| l.starts_with("error: ")).count(), 1, "{text}");
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
    let out = run(&["build", &file.to_string_lossy(), "--quiet", "--out", &out_dir.to_string_lossy()], &[])?;
    fails(&out, status, says);
    let left = std::fs::read_dir(&out_dir).map(|d| d.count()).unwrap_or(0);
    assert_eq!(left, 0, "files were left in the output folder");
    Ok(())
}

#[test]
fn unknown_key() -> Result<()> {
    recipe_fails("name: mine\nextends: minimal\npackges: [htop]\n", 1, &["packges", "packages", "mine.yaml", "3"])
}

#[test]
fn mistyped_value() -> Result<()> {
    recipe_fails("name: mine\nextends: minimal\nsizes:\n  usr: very big\n", 1, &["usr", "mine.yaml", "4"])
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
    recipe_fails("name: mine\nextends: minimal\npackages: [no-such-package]\n", 1, &["no-such-package"])
}

#[test]
fn packages_that_exclude_each_other() -> Result<()> {
    recipe_fails("name: mine\nextends: minimal\npackages: [exim4-daemon-light, postfix]\n", 1, &["exim4-daemon-light", "postfix"])
}

#[test]
fn slot_too_small() -> Result<()> {
    recipe_fails("name: mine\nextends: minimal\nsizes: {usr: 64M}\n", 4, &["64", "usr"])
}

#[test]
fn esp_too_small_for_updates() -> Result<()> {
    recipe_fails("name: mine\nextends: minimal\nsizes: {esp: 34M}\n", 4, &["ESP", "34"])
}

#[test]
fn mirror_is_not_there() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let dir = |name: &str| temp.path().join(name).to_string_lossy().into_owned();
    let out = run(
        &["build", "minimal", "--quiet", "--mirror", "http://127.0.0.1:9/debian", "--cache", &dir("cache"), "--out", &dir("out")],
        &[],
    )?;
    fails(&out, 3, &["127.0.0.1:9"]);
    Ok(())
}

#[test]
fn locked_without_a_lock() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let out = run(&["build", "minimal", "--locked", "--out", &temp.path().to_string_lossy()], &[])?;
    fails(&out, 1, &["minimal.lock"]);
    Ok(())
}

#[test]
fn lock_of_another_recipe() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let lock = temp.path().join("x.lock").to_string_lossy().into_owned();
    tests::fixture::build_image(&["lock", "minimal", "--out", &lock])?;
    let out = run(&["build", "docker", "--locked", "--lock", &lock, "--out", &temp.path().to_string_lossy()], &[])?;
    fails(&out, 1, &["x.lock", "docker"]);
    Ok(())
}

#[test]
fn not_an_image() -> Result<()> {
    let out = run(&["inspect", "/etc/passwd"], &[])?;
    fails(&out, 1, &["/etc/passwd"]);
    Ok(())
}

#[test]
fn output_on_a_full_disk() -> Result<()> {
    // /dev/full cannot be a folder; a small tmpfs needs root, which set-up may have.
    if !nix::unistd::geteuid().is_root() {
        eprintln!("needs root to mount a small file system; the same path is tested by the cache's unit tests");
        return Ok(());
    }
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "none"]).arg(temp.path()).status();
    assert!(status.is_ok_and(|s| s.success()), "mounting a small tmpfs");
    let out = run(&["build", "minimal", "--quiet", "--force", "--out", &temp.path().join("out").to_string_lossy()], &[]);
    let left = std::fs::read_dir(temp.path().join("out")).map(|d| d.count()).unwrap_or(0);
    let unmounted = Command::new("umount").arg(temp.path()).status();
    assert!(unmounted.is_ok_and(|s| s.success()), "unmounting it");
    fails(&out?, 3, &["No space left"]);
    assert_eq!(left, 0, "files were left in the output folder");
    Ok(())
}
