//! The built program needs nothing of its host: no root, no capability, no user
//! namespace, no loop device, no program in PATH.

use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use image_build::error::{Context, Error, Result};
use tests::fixture::{builder, fixture};

const NOBODY: u32 = 65534;

#[test]
fn builds_as_nobody_with_an_empty_path() -> Result<()> {
    // The guest programs lie beside the builder; a copy where `nobody` may read.
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let fixture = fixture()?;
    let what = || "copying the programs".to_owned();
    let program = builder()?;
    std::fs::copy(&program, temp.path().join("image-build")).environment(what)?;
    let guest = std::env::var_os("HOLDFAST_GUEST_BIN").map(std::path::PathBuf::from);
    let guest = guest.unwrap_or_else(|| program.with_file_name("../guest"));
    for name in ["init", "oem", "updater"] {
        std::fs::copy(guest.join(name), temp.path().join(name)).environment(what)?;
    }
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(temp.path(), mode).environment(what)?;
    let home = temp.path().join("home");
    std::fs::create_dir(&home).environment(what)?;

    let mut run = if nix::unistd::geteuid().is_root() {
        chown(&home, Some(NOBODY), Some(NOBODY)).environment(what)?;
        // util-linux: drop the user, every capability, and the way to new ones; in a
        // user namespace of its own in which no further ones may be made.
        let mut run = Command::new("/usr/bin/setpriv");
        run.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs", "--"]);
        run.arg(temp.path().join("image-build"));
        run
    } else {
        Command::new(temp.path().join("image-build"))
    };
    let mirrors = image_build::build::mirrors(None, None)?;
    let mut built = run;
    built
        .env_clear()
        .env("HOME", &home)
        .env("PATH", "")
        .args(["build", "minimal", "--quiet", "--format", "qcow2", "--out"])
        .arg(home.join("out"))
        .args(["--mirror", mirrors.main()])
        .args(["--security-mirror", mirrors.security()])
        .current_dir(&home);
    // Downloads are not what is tested: share those that are there.
    let shared = fixture.cache.root().join("deb");
    copy_readable(&shared, &home.join(".cache/holdfast/deb"))?;
    let out = built.output().environment(|| "starting image-build".into())?;
    if !out.status.success() {
        return Err(Error::environment(String::from_utf8_lossy(&out.stderr).into_owned()));
    }
    assert!(home.join("out/minimal.qcow2").is_file());
    Ok(())
}

fn copy_readable(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    let what = || format!("copying {}", from.display());
    std::fs::create_dir_all(to).environment(what)?;
    let mut at = Some(to);
    while let Some(dir) = at.filter(|d| d.file_name().is_some_and(|n| n != "home")) {
        let _ = chown(dir, Some(NOBODY), Some(NOBODY));
        at = dir.parent();
    }
    for entry in std::fs::read_dir(from).environment(what)?.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_readable(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target).environment(what)?;
            let _ = std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o644));
        }
    }
    Ok(())
}
