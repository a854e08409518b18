//! The content-addressed cache (`$XDG_CACHE_HOME/holdfast`).
//!
//! An entry appears under its final name only when it is whole and on disk, and
//! never changes afterwards. So any number of builds may share a cache, and any
//! of them may be killed at any point.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// A cache directory.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// Holds an entry's lock until dropped.
#[derive(Debug)]
pub struct Guard {
    _file: File,
}

impl Cache {
    /// Opens `dir`, else `$HOLDFAST_CACHE`, else `$XDG_CACHE_HOME/holdfast`, else
    /// `$HOME/.cache/holdfast`. Creates it when missing.
    pub fn open(dir: Option<&Path>) -> Result<Self> {
        let from_env = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let root = dir
            .map(Path::to_path_buf)
            .or_else(|| from_env("HOLDFAST_CACHE"))
            .or_else(|| from_env("XDG_CACHE_HOME").map(|d| d.join("holdfast")))
            .or_else(|| from_env("HOME").map(|d| d.join(".cache/holdfast")))
            .ok_or_else(|| {
                Error::environment("no cache directory: HOME and XDG_CACHE_HOME are not set")
                    .hint("set HOLDFAST_CACHE to a directory with 3 GB of free space")
            })?;
        fs::create_dir_all(&root)
            .map_err(|e| {
                Error::environment(format!("creating the cache directory {}", root.display()))
                    .because(e)
                    .hint("set HOLDFAST_CACHE to a directory you can write to")
            })?;
        let root = root.canonicalize().environment(|| format!("opening {}", root.display()))?;
        Ok(Cache { root })
    }

    /// The cache's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Final path of an entry, whether it exists or not.
    pub fn path(&self, space: &str, key: &str) -> PathBuf {
        self.root.join(space).join(key.get(..2).unwrap_or("_")).join(key)
    }

    /// The entry, if it is there (then it is whole).
    pub fn get(&self, space: &str, key: &str) -> Option<PathBuf> {
        let path = self.path(space, key);
        path.exists().then_some(path)
    }

    /// Makes a file entry: `fill` writes a temporary file in the same directory,
    /// which is then flushed to disk and renamed. When two builds race, the last
    /// rename wins; both wrote the same content.
    pub fn put(&self, space: &str, key: &str, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<PathBuf> {
        let path = self.path(space, key);
        let dir = self.parent(&path)?;
        let mut temp = tempfile::Builder::new()
            .prefix(".tmp-")
            .tempfile_in(&dir)
            .map_err(|e| full_disk(e, &dir))?;
        fill(temp.as_file_mut())?;
        temp.as_file().sync_all().map_err(|e| full_disk(e, &path))?;
        temp.persist(&path).map_err(|e| full_disk(e.error, &path))?;
        Ok(path)
    }

    /// Makes a directory entry in the same way. If another build was faster, its
    /// directory stays and ours goes.
    pub fn put_dir(&self, space: &str, key: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.path(space, key);
        let dir = self.parent(&path)?;
        let temp = tempfile::Builder::new()
            .prefix(".tmp-")
            .tempdir_in(&dir)
            .map_err(|e| full_disk(e, &dir))?;
        fill(temp.path())?;
        match fs::rename(temp.path(), &path) {
            Ok(()) => {
                let _renamed = temp.keep();
                Ok(path)
            }
            Err(_) if path.is_dir() => Ok(path),
            Err(e) => Err(full_disk(e, &path)),
        }
    }

    /// Waits for and takes an entry's lock, so that two builds do not do the same
    /// long work. The lock is advisory and ends with the process.
    pub fn lock(&self, space: &str, key: &str) -> Result<Guard> {
        let path = self.root.join("locks").join(format!("{space}-{key}"));
        self.parent(&path)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| full_disk(e, &path))?;
        file.lock().environment(|| format!("locking {}", path.display()))?;
        Ok(Guard { _file: file })
    }

    fn parent(&self, path: &Path) -> Result<PathBuf> {
        let dir = path.parent().unwrap_or(&self.root).to_path_buf();
        fs::create_dir_all(&dir).map_err(|e| full_disk(e, &dir))?;
        Ok(dir)
    }
}

/// Names the path and, when the disk is full, the remedy.
pub(crate) fn full_disk(e: std::io::Error, path: &Path) -> Error {
    let full = matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
    let error = Error::environment(format!("writing {}", path.display())).because(e);
    if full {
        error.hint("free some space, or point HOLDFAST_CACHE and --out at another disk")
    } else {
        error
    }
}
