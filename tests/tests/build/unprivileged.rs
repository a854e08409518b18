//! The built program needs nothing of its host: no root, no capability, no user
//! namespace, no loop device, no program in PATH.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use image_build::cache::Cache;
use image_build::error::{Context, Error, Result};
use tests::fixture::builder;

use super::mirror::{Fault, Mirror, minimal};

const NOBODY: u32 = 65534;

/// Becomes the builder, in a user namespace of its own in which further ones are
/// forbidden. Where the host forbids them to everybody there is nothing to do.
const ENTER: &str = r#"
if unshare --user --map-root-user true 2>/dev/null; then
    exec unshare --user --map-root-user sh -c \
        'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs -- sh -c "$PROVE" sh "$@"' sh "$@"
fi
exec sh -c "$PROVE" sh "$@"
"#;

/// Proves that no namespace, capability or loop device is to be had, then builds.
const PROVE: &str = r#"
refuse() { echo "$1" >&2; exit 99; }
if unshare --user true 2>/dev/null; then refuse "user namespaces are still on"; fi
grep -q '^CapEff:.0*$' /proc/self/status || refuse "capabilities are left"
for device in /dev/loop-control /dev/loop[0-9]*; do
    if ( : <>"$device" ) 2>/dev/null; then refuse "$device opens"; fi
done
exec /usr/bin/env -i HOME="$HOME" PATH= "$@"
"#;

#[test]
fn builds_as_nobody_with_an_empty_path() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let what = || "copying the programs".to_owned();
    let program = builder()?;
    let guest = tests::fixture::guest_dir()?;
    // A copy where `nobody` may read.
    std::fs::copy(&program, temp.path().join("image-build")).environment(what)?;
    for name in ["init", "oem", "updater"] {
        std::fs::copy(guest.join(name), temp.path().join(name)).environment(what)?;
    }
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(temp.path(), mode).environment(what)?;
    let home = temp.path().join("home");
    std::fs::create_dir(&home).environment(what)?;
    // Downloads are not what is tested: the mirror is the shared cache.
    let (shared, mirrors) = (Cache::open(None)?, image_build::build::mirrors(None, None)?);
    let lock = minimal(&shared, &mirrors)?;
    let mirror = Mirror::start(&shared, &mirrors, &lock, Fault::None)?;
    let index = home.join(".cache/holdfast/index");
    copy_tree(&shared.root().join("index"), &index)?;
    if nix::unistd::geteuid().is_root() {
        give(&home)?;
    }

    let mut run = confined();
    run.env("HOME", &home)
        .arg(temp.path().join("image-build"))
        .args(["build", "minimal", "--quiet", "--format", "qcow2", "--out"])
        .arg(home.join("out"))
        .args(["--mirror", &mirror.url()])
        .current_dir(&home);
    let out = run.output().environment(|| "starting image-build".into())?;
    if !out.status.success() {
        return Err(Error::environment(
            String::from_utf8_lossy(&out.stderr).into_owned(),
        ));
    }
    assert!(home.join("out/minimal.qcow2").is_file());
    Ok(())
}

/// A shell that gives up what it has and runs its arguments.
fn confined() -> Command {
    let mut run = if nix::unistd::geteuid().is_root() {
        let mut run = Command::new("setpriv");
        run.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--bounding-set=-all",
            "--no-new-privs",
            "--",
            "sh",
        ]);
        run
    } else {
        Command::new("sh")
    };
    run.env("PROVE", PROVE).args(["-c", ENTER, "sh"]);
    run
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("copying {}", from.display());
    std::fs::create_dir_all(to).environment(what)?;
    for entry in std::fs::read_dir(from).environment(what)?.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target).environment(what)?;
        }
    }
    Ok(())
}

/// Gives a folder and all in it to `nobody`.
fn give(dir: &Path) -> Result<()> {
    let what = || format!("giving away {}", dir.display());
    chown(dir, Some(NOBODY), Some(NOBODY)).environment(what)?;
    for entry in std::fs::read_dir(dir).environment(what)?.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            give(&entry.path())?;
        } else {
            chown(entry.path(), Some(NOBODY), Some(NOBODY)).environment(what)?;
        }
    }
    Ok(())
}
