//! What the root file system must have before systemd runs: the base tree and the /etc overlay.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use nix::mount::MsFlags;

use super::failure::{Failure, OrFail};
use super::{log, mounts};

/// Defaults of /etc, in the verified /usr.
const LOWER: &str = "/usr/share/holdfast/etc";
/// Changes to /etc, on the root partition.
const STATE: &str = "/var/lib/holdfast/etc";

const REMEDY: &str = "free space on the root partition, or delete it to start afresh";

/// Directories of the base tree and their modes.
const DIRECTORIES: [(&str, u32); 20] = [
    ("usr", 0o755),
    ("proc", 0o555),
    ("sys", 0o555),
    ("dev", 0o755),
    ("run", 0o755),
    ("var", 0o755),
    ("etc", 0o755),
    ("root", 0o700),
    ("tmp", 0o1777),
    ("home", 0o755),
    ("mnt", 0o755),
    ("media", 0o755),
    ("boot", 0o755),
    ("efi", 0o755),
    ("opt", 0o755),
    ("srv", 0o755),
    ("var/lib", 0o755),
    ("var/lib/holdfast", 0o755),
    ("var/lib/holdfast/etc", 0o755),
    ("var/tmp", 0o1777),
];

/// Makes what is missing of the base tree under `root`; leaves alone what is there.
///
/// `usr` (a path) is looked at for the links: `/lib64` is made where `/usr/lib64` exists.
pub fn make(root: &Path, usr: &Path) -> io::Result<()> {
    for (name, mode) in DIRECTORIES {
        let path = root.join(name);
        match DirBuilder::new().mode(mode).create(&path) {
            // The process mask must not decide.
            Ok(()) => fs::set_permissions(&path, fs::Permissions::from_mode(mode))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        if usr.join(name).exists() {
            match symlink(format!("usr/{name}"), root.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// [`make`] with a failure that says what to do.
pub fn prepare(root: &str) -> Result<(), Failure> {
    make(root.as_ref(), "/usr".as_ref())
        .or_fail("making the base tree on the root partition", REMEDY)
}

/// Mounts `/etc`: the defaults below, the machine's changes above. Call it in the new root.
pub fn mount_etc() -> Result<(), Failure> {
    if !Path::new(LOWER).is_dir() {
        log::warning(&format!(
            "{LOWER} does not exist: /etc is what the root partition has"
        ));
        return Ok(());
    }
    for part in ["upper", "work"] {
        fs::create_dir_all(format!("{STATE}/{part}"))
            .or_fail(format_args!("{STATE}/{part}"), REMEDY)?;
    }
    // An update replaces the lower layer. That is only allowed without these features, which keep references to it.
    let options = format!(
        "lowerdir={LOWER},upperdir={STATE}/upper,workdir={STATE}/work,redirect_dir=off,index=off,metacopy=off,xino=off"
    );
    mounts::device(
        "overlay",
        "/etc",
        "overlay",
        MsFlags::MS_RELATIME,
        &options,
        REMEDY,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_only_what_is_missing() {
        let root = tempfile::tempdir().unwrap();
        let usr = root.path().join("usr");
        fs::create_dir_all(usr.join("lib64")).unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        fs::set_permissions(root.path().join("home"), fs::Permissions::from_mode(0o700)).unwrap();
        for _ in 0..2 {
            make(root.path(), &usr).unwrap();
        }
        let mode = |name: &str| {
            fs::metadata(root.path().join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777
        };
        assert_eq!(
            (
                mode("tmp"),
                mode("root"),
                mode("home"),
                mode("var/lib/holdfast/etc")
            ),
            (0o1777, 0o700, 0o700, 0o755)
        );
        assert_eq!(
            fs::read_link(root.path().join("lib64")).unwrap(),
            Path::new("usr/lib64")
        );
        assert!(!root.path().join("bin").exists());
    }
}
