//! The programs of ours that go into the image: static `init`, `oem`, `updater`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object::{Object, ObjectSection};

use crate::error::{Context, Error, Result};
use crate::finalize::{Guest, GuestFile};

/// Reads them from `dir`, else `$HOLDFAST_GUEST_BIN`, else from the folder `guest`
/// (cargo's profile) beside that of the running program, else from beside it.
pub fn load(dir: Option<&Path>) -> Result<Guest> {
    let dir = match dir {
        Some(dir) => dir.to_path_buf(),
        None => find()?,
    };
    let read = |name: &str| -> Result<Arc<[u8]>> {
        let path = dir.join(name);
        let bytes = std::fs::read(&path).map_err(|e| {
            missing(Error::environment(format!("reading {}", path.display())).because(e))
        })?;
        check_static(&path, &bytes)?;
        Ok(bytes.into())
    };
    let shipped = oem::dist::files().iter().chain(updater::dist::files());
    let files = shipped
        .map(|(path, text)| GuestFile {
            path: (*path).to_owned(),
            mode: 0o644,
            bytes: text.as_bytes().into(),
        })
        .collect();
    Ok(Guest {
        init: read("init")?,
        oem: read("oem")?,
        updater: read("updater")?,
        files,
    })
}

fn missing(error: Error) -> Error {
    error.hint(
        "build them with `cargo build --profile guest -p init -p oem -p updater`, or name their folder with --guest-bin",
    )
}

fn find() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("HOLDFAST_GUEST_BIN").filter(|d| !d.is_empty()) {
        return Ok(dir.into());
    }
    let exe = std::env::current_exe().environment(|| "finding the running program".into())?;
    let here = exe.parent().unwrap_or(Path::new("/"));
    // Cargo's folder of the profile `guest` first: what other profiles leave beside
    // this program is larger, and may be old. Test programs are one folder deeper.
    [
        here.join("../guest"),
        here.join("../../guest"),
        here.to_path_buf(),
    ]
    .into_iter()
    .find(|d| {
        ["init", "oem", "updater"]
            .iter()
            .all(|n| d.join(n).is_file())
    })
    .ok_or_else(|| {
        missing(Error::environment(format!(
            "no `init`, `oem` and `updater` beside {}",
            exe.display()
        )))
    })
}

/// The initrd has no libraries: a dynamic binary there would not start.
fn check_static(path: &Path, bytes: &[u8]) -> Result<()> {
    let file =
        object::File::parse(bytes).input(|| format!("{} is not a program", path.display()))?;
    if file.sections().any(|s| s.name() == Ok(".interp")) {
        return Err(
            Error::input(format!("{} is dynamically linked", path.display()))
                .hint("build it inside the repository, whose cargo settings link statically"),
        );
    }
    Ok(())
}
