//! The content-addressed cache (`$XDG_CACHE_HOME/holdfast`).
//!
//! An entry appears under its final name only when it is whole and on disk, and
//! never changes afterwards; the few that name what is newest (`release`,
//! `tools-last`) are replaced as a whole. So any number of builds may share a
//! cache, and any of them may be killed at any point.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Context, Error, Result};

/// A cache directory.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// A file entry in the making.
#[derive(Debug)]
pub struct Draft {
    temp: tempfile::NamedTempFile,
    path: PathBuf,
}

/// Age after which an unfinished entry belongs to nobody.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// Holds an entry's lock until dropped.
#[derive(Debug)]
pub struct Guard {
    _file: File,
}

impl Cache {
    /// Opens `dir`, else `$HOLDFAST_CACHE`, else `$XDG_CACHE_HOME/holdfast`, else
    /// `$HOME/.cache/holdfast`. Creates it when missing.
    pub fn open(dir: Option<&Path>) -> Result<Self> {
        let from_env = |name: &str| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let root = dir
            .map(Path::to_path_buf)
            .or_else(|| from_env("HOLDFAST_CACHE"))
            .or_else(|| from_env("XDG_CACHE_HOME").map(|d| d.join("holdfast")))
            .or_else(|| from_env("HOME").map(|d| d.join(".cache/holdfast")))
            .ok_or_else(|| {
                Error::environment("no cache directory: HOME and XDG_CACHE_HOME are not set")
                    .hint("set HOLDFAST_CACHE to a directory with 3 GB of free space")
            })?;
        fs::create_dir_all(&root).map_err(|e| {
            Error::environment(format!("creating the cache directory {}", root.display()))
                .because(e)
                .hint("set HOLDFAST_CACHE to a directory you can write to")
        })?;
        let root = root
            .canonicalize()
            .environment(|| format!("opening {}", root.display()))?;
        let cache = Cache { root };
        cache.sweep();
        Ok(cache)
    }

    /// The cache's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Final path of an entry, whether it exists or not.
    pub fn path(&self, space: &str, key: &str) -> PathBuf {
        self.root
            .join(space)
            .join(key.get(..2).unwrap_or("_"))
            .join(key)
    }

    /// The entry, if it is there (then it is whole).
    pub fn get(&self, space: &str, key: &str) -> Option<PathBuf> {
        let path = self.path(space, key);
        path.exists().then_some(path)
    }

    /// Starts a file entry; it appears when [`Draft::keep`] is called. When two
    /// builds race, the last one wins; both wrote the same content.
    pub fn draft(&self, space: &str, key: &str) -> Result<Draft> {
        let path = self.path(space, key);
        let dir = self.scratch()?;
        let temp = tempfile::Builder::new()
            .tempfile_in(&dir)
            .map_err(|e| writing(e, &dir))?;
        Ok(Draft { temp, path })
    }

    /// Makes a file entry from what `fill` writes.
    pub fn put(
        &self,
        space: &str,
        key: &str,
        fill: impl FnOnce(&mut File) -> Result<()>,
    ) -> Result<PathBuf> {
        let mut draft = self.draft(space, key)?;
        fill(draft.file())?;
        draft.keep()
    }

    /// Makes a directory entry in the same way. If another build was faster, its
    /// directory stays and ours goes.
    pub fn put_dir(
        &self,
        space: &str,
        key: &str,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let path = self.path(space, key);
        make_parent(&path)?;
        let dir = self.scratch()?;
        let temp = tempfile::Builder::new()
            .tempdir_in(&dir)
            .map_err(|e| writing(e, &dir))?;
        fill(temp.path())?;
        // A rename may reach the disk before the files do.
        File::open(temp.path())
            .and_then(|d| nix::unistd::syncfs(&d).map_err(Into::into))
            .map_err(|e| writing(e, &path))?;
        match fs::rename(temp.path(), &path) {
            Ok(()) => {
                let _renamed = temp.keep();
                Ok(path)
            }
            Err(_) if path.is_dir() => Ok(path),
            Err(e) => Err(writing(e, &path)),
        }
    }

    /// Waits for and takes an entry's lock, so that two builds do not do the same
    /// long work. The lock is advisory and ends with the process.
    pub fn lock(&self, space: &str, key: &str) -> Result<Guard> {
        let path = self.root.join("locks").join(format!("{space}-{key}"));
        make_parent(&path)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| writing(e, &path))?;
        file.lock()
            .environment(|| format!("locking {}", path.display()))?;
        Ok(Guard { _file: file })
    }

    /// Where entries are made: one directory, so that what killed builds left is
    /// found without a walk.
    fn scratch(&self) -> Result<PathBuf> {
        let dir = self.root.join("tmp");
        fs::create_dir_all(&dir).map_err(|e| writing(e, &dir))?;
        Ok(dir)
    }

    /// Removes what builds killed more than a day ago left behind.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.root.join("tmp")) else {
            return;
        };
        for entry in entries.flatten() {
            let age = entry
                .metadata()
                .and_then(|m| m.modified())
                .ok()
                .and_then(|m| m.elapsed().ok());
            if age.is_some_and(|age| age > STALE) {
                let path = entry.path();
                // Losing a race against another sweep is fine.
                let _gone = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            }
        }
    }
}

impl Draft {
    /// The file to fill.
    pub fn file(&mut self) -> &mut File {
        self.temp.as_file_mut()
    }

    /// Flushes the file to disk and gives it its name. A draft that is dropped
    /// instead leaves nothing.
    pub fn keep(self) -> Result<PathBuf> {
        let Draft { temp, path } = self;
        make_parent(&path)?;
        temp.as_file().sync_all().map_err(|e| writing(e, &path))?;
        temp.persist(&path).map_err(|e| writing(e.error, &path))?;
        Ok(path)
    }
}

fn make_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(dir) => fs::create_dir_all(dir).map_err(|e| writing(e, dir)),
        None => Ok(()),
    }
}

/// Writing to `path` failed.
pub(crate) fn writing(e: std::io::Error, path: &Path) -> Error {
    Error::environment(format!("writing {}", path.display())).because(e)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path())).unwrap();
        (dir, cache)
    }

    fn leftovers(cache: &Cache) -> usize {
        fs::read_dir(cache.root().join("tmp")).map_or(0, Iterator::count)
    }

    #[test]
    fn entries_appear_whole_or_not_at_all() {
        let (_dir, cache) = cache();
        let failed = cache.put("deb", "abcd", |f| {
            f.write_all(b"half").unwrap();
            Err(Error::environment("cut"))
        });
        assert!(failed.is_err());
        assert_eq!(cache.get("deb", "abcd"), None);
        let path = cache
            .put("deb", "abcd", |f| {
                f.write_all(b"whole").environment(String::new)
            })
            .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(cache.get("deb", "abcd"), Some(path.clone()));
        assert_eq!(path, cache.path("deb", "abcd"));
        assert_eq!(leftovers(&cache), 0);
    }

    #[test]
    fn directories_too_and_the_first_stays() {
        let (_dir, cache) = cache();
        assert!(
            cache
                .put_dir("tools", "k", |_| Err(Error::environment("cut")))
                .is_err()
        );
        assert_eq!(cache.get("tools", "k"), None);
        let write = |text: &'static str| {
            move |d: &Path| fs::write(d.join("f"), text).environment(String::new)
        };
        let path = cache.put_dir("tools", "k", write("1")).unwrap();
        cache.put_dir("tools", "k", write("2")).unwrap();
        assert_eq!(fs::read(path.join("f")).unwrap(), b"1");
        assert_eq!(leftovers(&cache), 0);
    }

    #[test]
    fn many_writers_of_one_entry() {
        let (_dir, cache) = cache();
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    cache
                        .put("deb", "same", |f| {
                            f.write_all(&[7; 100_000]).environment(String::new)
                        })
                        .unwrap()
                });
            }
        });
        assert_eq!(fs::read(cache.path("deb", "same")).unwrap(), [7; 100_000]);
        assert_eq!(leftovers(&cache), 0);
    }

    #[test]
    fn sweeps_old_leftovers_only() {
        let (dir, cache) = cache();
        let old = cache.scratch().unwrap().join("old");
        fs::write(&old, "x").unwrap();
        let past = std::time::SystemTime::now() - STALE * 2;
        File::options()
            .write(true)
            .open(&old)
            .unwrap()
            .set_modified(past)
            .unwrap();
        fs::write(cache.root().join("tmp/new"), "x").unwrap();
        Cache::open(Some(dir.path())).unwrap();
        assert!(!old.exists());
        assert_eq!(leftovers(&cache), 1);
    }

    #[test]
    fn locks_exclude_each_other() {
        let (_dir, cache) = cache();
        let held = cache.lock("tools", "k").unwrap();
        std::thread::scope(|s| {
            let waiter = s.spawn(|| cache.lock("tools", "k").map(drop));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!waiter.is_finished());
            drop(held);
            waiter.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_full_disk_has_a_hint() {
        let e = writing(
            std::io::Error::from(std::io::ErrorKind::StorageFull),
            Path::new("x"),
        );
        assert!(e.hint_text().unwrap().contains("HOLDFAST_CACHE"));
    }
}
