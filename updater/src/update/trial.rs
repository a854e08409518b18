//! Which releases have not proved good yet, told to everybody on the machine.
//!
//! `trial/VERSION` in the state's folder is there from before a release can be booted
//! until it is good. Both slots share the folder, and the loaders' own counters are on
//! an ESP that nobody has mounted: this is how `updater-trial.service` knows from the
//! first second of a boot that it is a trial, by BIOS and by UEFI.
//!
//! A file that is missing costs no more than that service's deadline: who decides
//! about a release asks the loaders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::state::{Known, replace};

/// Folder in the state's folder.
pub const FOLDER: &str = "trial";

fn path(state: &Path, version: &str) -> PathBuf {
    state.join(FOLDER).join(version)
}

/// A release is about to become bootable; others are not any more.
pub(super) fn note(state: &Path, release: &Known) -> io::Result<()> {
    for entry in fs::read_dir(state.join(FOLDER)).into_iter().flatten() {
        let entry = entry?;
        if entry.file_name().to_str() != Some(&release.version) {
            fs::remove_file(entry.path())?;
        }
    }
    let bytes = serde_json::to_vec(release).map_err(io::Error::other)?;
    replace(&path(state, &release.version), &bytes)
}

/// Whether a version is on trial.
pub fn is_on(state: &Path, version: &str) -> bool {
    path(state, version).exists()
}

/// A version is good.
pub(super) fn end(state: &Path, version: &str) -> io::Result<()> {
    match fs::remove_file(path(state, version)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// What is known of the release in the other slot: its sequence, if it came as an
/// update.
pub fn known(state: &Path, version: &str) -> Known {
    let noted = fs::read(path(state, version)).ok();
    let noted = noted.and_then(|bytes| serde_json::from_slice::<Known>(&bytes).ok());
    noted
        .filter(|known| known.version == version)
        .unwrap_or_else(|| Known {
            version: version.to_owned(),
            sequence: 0,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(version: &str, sequence: u64) -> Known {
        Known {
            version: version.to_owned(),
            sequence,
        }
    }

    #[test]
    fn one_release_at_a_time_is_on_trial() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        assert!(!is_on(state, "2"));
        assert_eq!(known(state, "2"), release("2", 0));
        note(state, &release("2", 20)).unwrap();
        assert!(is_on(state, "2"));
        assert_eq!(known(state, "2"), release("2", 20));
        note(state, &release("3", 30)).unwrap();
        assert!(is_on(state, "3") && !is_on(state, "2"));
        end(state, "2").unwrap();
        end(state, "3").unwrap();
        assert!(!is_on(state, "3"));
        fs::write(state.join("trial/4"), "{").unwrap();
        assert_eq!(known(state, "4"), release("4", 0));
    }
}
