//! Outputs appear under their final names only when they are whole: everything is
//! made in a hidden folder beside them and renamed at the end, the stamp last.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::writing;
use crate::error::{Error, Result};

/// Prefix of the hidden folders; what a killed build leaves is removed by the next.
const PREFIX: &str = ".holdfast-";

/// A folder of files on their way to `out`.
#[derive(Debug)]
pub struct Staging {
    out: PathBuf,
    dir: tempfile::TempDir,
    /// Held for as long as this build lives: tells its folder from a dead one's.
    _lock: fs::File,
}

impl Staging {
    /// Makes `out` if need be, and a hidden folder in it.
    pub fn new(out: &Path) -> Result<Self> {
        fs::create_dir_all(out).map_err(|e| writing(e, out))?;
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(out)
            .map_err(|e| writing(e, out))?;
        sweep(out, dir.path());
        // Locked before it has its name, so that nobody sees it unlocked.
        let new = dir.path().join("lock.new");
        let lock = fs::File::create(&new).map_err(|e| writing(e, &new))?;
        lock.lock()
            .and_then(|()| fs::rename(&new, dir.path().join("lock")))
            .map_err(|e| writing(e, dir.path()))?;
        Ok(Staging {
            out: out.to_path_buf(),
            dir,
            _lock: lock,
        })
    }

    /// Path for a file while it is being made.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Flushes the named files and moves them to their final names, in order.
    pub fn commit(self, names: &[String]) -> Result<()> {
        for name in names {
            let from = self.path(name);
            fs::File::open(&from)
                .and_then(|f| f.sync_all())
                .map_err(|e| writing(e, &from))?;
        }
        for name in names {
            let to = self.out.join(name);
            fs::rename(self.path(name), &to).map_err(|e| writing(e, &to))?;
        }
        sync_dir(&self.out)
    }
}

/// Removes the hidden folders of builds that are no longer running.
fn sweep(out: &Path, own: &Path) {
    let Ok(entries) = fs::read_dir(out) else {
        return;
    };
    for path in entries.flatten().map(|e| e.path()) {
        let ours = path
            .file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|n| n.starts_with(PREFIX));
        if !ours || path == own {
            continue;
        }
        let dead = fs::File::open(path.join("lock")).is_ok_and(|f| f.try_lock().is_ok());
        if dead {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Writes a small file: temporary name in the same folder, flush, rename.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let dir = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    if !dir.is_dir() {
        return Err(
            Error::environment(format!("the folder {} does not exist", dir.display()))
                .hint("make it first, or name another file"),
        );
    }
    let mut temp = tempfile::NamedTempFile::new_in(dir).map_err(|e| writing(e, dir))?;
    temp.write_all(bytes)
        .and_then(|()| temp.as_file().sync_all())
        .map_err(|e| writing(e, path))?;
    temp.persist(path).map_err(|e| writing(e.error, path))?;
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> Result<()> {
    fs::File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|e| writing(e, dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_before_commit() -> Result<()> {
        let out = tempfile::tempdir().map_err(|e| writing(e, Path::new("tmp")))?;
        let staging = Staging::new(out.path())?;
        fs::write(staging.path("a"), "1").map_err(|e| writing(e, out.path()))?;
        assert!(!out.path().join("a").exists());
        staging.commit(&["a".to_owned()])?;
        assert!(out.path().join("a").exists());
        let left: Vec<_> = fs::read_dir(out.path())
            .map_err(|e| writing(e, out.path()))?
            .flatten()
            .collect();
        assert_eq!(left.len(), 1);
        Ok(())
    }

    #[test]
    fn a_dead_builds_folder_is_swept() -> Result<()> {
        let out = tempfile::tempdir().map_err(|e| writing(e, Path::new("tmp")))?;
        let dead = out.path().join(".holdfast-dead");
        fs::create_dir(&dead)
            .and_then(|()| fs::write(dead.join("lock"), ""))
            .map_err(|e| writing(e, &dead))?;
        let _running = Staging::new(out.path())?;
        assert!(!dead.exists());
        Ok(())
    }
}
