//! How far an installation is, across the end of the process.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::{Error, Job};
use crate::slots::Id;

/// The `format` this code writes, and the only one it reads: a journal of another
/// version of this program is no journal.
const FORMAT: u32 = 1;
/// Larger files are no journals.
const MAX: u64 = 64 << 10;

/// `journal.json`: replaced as a whole, so it is old or new after a loss of power.
#[derive(Debug, Clone)]
pub struct Journal {
    path: PathBuf,
}

/// What was written into which slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    format: u32,
    /// The release.
    pub version: String,
    /// Its root hash, hexadecimal.
    pub root_hash: String,
    /// Where it goes.
    pub slot: Id,
    /// Bytes of a window.
    pub window: u64,
    /// Windows that are on the medium, from the first on.
    pub windows: u64,
}

impl Progress {
    pub(super) fn new(job: &Job, slot: Id, window: u64) -> Self {
        Progress {
            format: FORMAT,
            version: job.version.to_string(),
            root_hash: job.root_hash.to_string(),
            slot,
            window,
            windows: 0,
        }
    }

    /// Whether both are about the same bytes in the same place.
    pub(super) fn is_for(&self, other: &Progress) -> bool {
        let windows = self.windows;
        *self
            == Progress {
                windows,
                ..other.clone()
            }
    }
}

impl Journal {
    /// A journal at `path`; its folder exists.
    pub fn new(path: &Path) -> Self {
        Journal {
            path: path.to_owned(),
        }
    }

    /// What it says. None if there is none, or if it makes no sense: then everything
    /// is written from the start.
    pub fn read(&self) -> Option<Progress> {
        let file = File::options()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(&self.path)
            .ok()?;
        let mut text = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, MAX), &mut text).ok()?;
        let progress: Progress = serde_json::from_slice(&text).ok()?;
        (progress.format == FORMAT).then_some(progress)
    }

    /// Replaces it, durably.
    pub fn write(&self, progress: &Progress) -> Result<(), Error> {
        let write = || {
            let folder = self.folder();
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&serde_json::to_vec(progress)?)?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| self.error(source))
    }

    /// Removes it.
    pub fn clear(&self) -> Result<(), Error> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.error(e)),
            _ => Ok(()),
        }
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn error(&self, source: io::Error) -> Error {
        Error::Journal {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&folder.path().join("journal.json"));
        assert_eq!(journal.read(), None);
        journal.clear().unwrap();
        let progress = Progress {
            format: FORMAT,
            version: "1".into(),
            root_hash: "00".into(),
            slot: Id::B,
            window: 4096,
            windows: 7,
        };
        journal.write(&progress).unwrap();
        assert_eq!(journal.read(), Some(progress.clone()));
        // f15: a newer program wrote it.
        let newer = Progress {
            format: 2,
            ..progress
        };
        journal.write(&newer).unwrap();
        assert_eq!(journal.read(), None);
        for text in ["", "{", "[]", "{\"format\":1}"] {
            fs::write(folder.path().join("journal.json"), text).unwrap();
            assert_eq!(journal.read(), None);
        }
        let lost = Journal::new(&folder.path().join("no/journal.json"));
        assert!(matches!(lost.write(&newer), Err(Error::Journal { .. })));
        journal.clear().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
