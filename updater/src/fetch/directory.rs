//! A directory as a source: a mounted stick, a shared folder, a copy of a
//! repository. No symbolic link below it is followed, so what is read lies in it;
//! only plain files are read, so nothing hangs on a pipe or a device.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use reqwest::Url;

use super::{Error, Sink, Source, name};

/// Bytes read at once.
const CHUNK: u64 = 256 << 10;

/// The path that `place` names, if it names one: `/path` or `file:///path`.
pub(super) fn path_of(place: &str) -> Result<Option<PathBuf>, Error> {
    if place.starts_with('/') {
        return Ok(Some(place.into()));
    }
    if !place.starts_with("file:") {
        return Ok(None);
    }
    let path = Url::parse(place)
        .ok()
        .and_then(|url| url.to_file_path().ok());
    path.map(Some).ok_or_else(|| Error::Place {
        place: place.to_owned(),
        reason: "not the URL of a local directory (file:///path)".to_owned(),
    })
}

/// A repository in a directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    root: OwnedFd,
}

impl Directory {
    /// Opens the directory. Its own path may contain symbolic links.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC;
        let root = open(path, flags, Mode::empty()).map_err(|e| Error::Place {
            place: path.display().to_string(),
            reason: e.desc().to_owned(),
        })?;
        Ok(Directory {
            path: path.to_owned(),
            root,
        })
    }

    /// The file and its length; `None` if it does not exist.
    fn file(&self, name: &str) -> Result<Option<(File, u64)>, Error> {
        name::check(name)?;
        let mut folder = None;
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            let kind = if parts.peek().is_some() {
                OFlag::O_DIRECTORY | OFlag::O_PATH
            } else {
                OFlag::O_RDONLY | OFlag::O_NONBLOCK
            };
            let flags = kind | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            match openat(
                folder.as_ref().unwrap_or(&self.root),
                part,
                flags,
                Mode::empty(),
            ) {
                Ok(opened) => folder = Some(opened),
                Err(Errno::ENOENT) => return Ok(None),
                Err(Errno::ELOOP) => return Err(self.unreachable(name, "a symbolic link")),
                Err(e) => return Err(self.unreachable(name, e.desc())),
            }
        }
        let Some(file) = folder.map(File::from) else {
            return Ok(None);
        };
        let about = file.metadata().map_err(|e| self.failed(name, &e))?;
        if !about.is_file() {
            return Err(self.unreachable(name, "not a plain file"));
        }
        Ok(Some((file, about.len())))
    }

    fn unreachable(&self, name: &str, reason: &str) -> Error {
        Error::Unreachable {
            name: name.to_owned(),
            reason: format!("{}: {reason}", self.path.join(name).display()),
        }
    }

    fn failed(&self, name: &str, e: &io::Error) -> Error {
        self.unreachable(name, &e.to_string())
    }

    /// Reads bytes `range` of a file that has them.
    fn copy(
        &self,
        (name, file): (&str, &File),
        range: Range<u64>,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let mut at = range.start;
        let mut buffer = vec![0; range.end.saturating_sub(at).min(CHUNK) as usize];
        while at < range.end {
            let want = (range.end - at).min(buffer.len() as u64) as usize;
            match file.read_at(&mut buffer[..want], at) {
                Ok(0) => return Err(self.unreachable(name, "became shorter while it was read")),
                Ok(got) => {
                    sink(&buffer[..got]).map_err(Error::Sink)?;
                    at += got as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(name, &e)),
            }
        }
        Ok(())
    }
}

impl Source for Directory {
    fn document(&mut self, name: &str, cap: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some((file, length)) = self.file(name)? else {
            return Ok(None);
        };
        if length > cap {
            return Err(Error::TooLong {
                name: name.to_owned(),
                cap,
            });
        }
        let mut body = Vec::with_capacity(length as usize);
        self.copy((name, &file), 0..length, &mut |bytes| {
            body.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(Some(body))
    }

    fn range(&mut self, name: &str, range: Range<u64>, sink: &mut Sink<'_>) -> Result<(), Error> {
        let Some((file, length)) = self.file(name)? else {
            return Err(self.unreachable(name, "no such file"));
        };
        if length < range.end {
            let reason = format!("has {length} bytes, {} were asked", range.end);
            return Err(self.unreachable(name, &reason));
        }
        self.copy((name, &file), range, sink)
    }

    /// There is only one place to read.
    fn blame(&mut self, _: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn repository() -> (tempfile::TempDir, Directory) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repository");
        fs::create_dir_all(root.join("metadata")).unwrap();
        fs::write(root.join("metadata/timestamp.json"), "{}").unwrap();
        let bytes: Vec<u8> = (0..600_000u32).map(|i| (i % 251) as u8).collect();
        fs::write(root.join("data"), bytes).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        let directory = Directory::open(&root).unwrap();
        (folder, directory)
    }

    #[test]
    fn reads_documents_and_ranges() {
        let (_folder, mut directory) = repository();
        let document = directory.document("metadata/timestamp.json", 2).unwrap();
        assert_eq!(document.as_deref(), Some(&b"{}"[..]));
        for missing in ["metadata/1.root.json", "nowhere/a"] {
            assert_eq!(directory.document(missing, 9).unwrap(), None);
        }
        let mut got = Vec::new();
        let mut largest = 0;
        directory
            .range("data", 5..599_999, &mut |bytes| {
                largest = largest.max(bytes.len());
                got.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        assert!(got.iter().zip(5u32..).all(|(b, i)| *b == (i % 251) as u8));
        assert_eq!((got.len(), largest), (599_994, CHUNK as usize));
        directory.range("data", 7..7, &mut |_| Ok(())).unwrap();
        assert!(!directory.blame("data"));
    }

    #[test]
    fn a2_long_files_are_refused_unread() {
        let (_folder, mut directory) = repository();
        let e = directory.document("data", 599_999).unwrap_err();
        assert!(matches!(e, Error::TooLong { cap: 599_999, .. }), "{e:?}");
    }

    #[test]
    fn short_files_and_full_disks_are_errors() {
        let (_folder, mut directory) = repository();
        let e = directory.range("data", 0..600_001, &mut |_| Ok(()));
        assert!(matches!(e, Err(Error::Unreachable { .. })), "{e:?}");
        let e = directory.range("missing", 0..1, &mut |_| Ok(()));
        assert!(matches!(e, Err(Error::Unreachable { .. })), "{e:?}");
        let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
        let e = directory.range("data", 0..9, &mut |_| full());
        assert!(matches!(e, Err(Error::Sink(_))), "{e:?}");
    }

    #[test]
    fn a3_a16_nothing_outside_is_read() {
        let (folder, mut directory) = repository();
        let root = folder.path().join("repository");
        symlink(folder.path().join("secret"), root.join("file")).unwrap();
        symlink(folder.path(), root.join("folder")).unwrap();
        symlink("data", root.join("inside")).unwrap();
        nix::unistd::mkfifo(&root.join("pipe"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        for bad in [
            "file",
            "folder/secret",
            "inside",
            "pipe",
            "metadata",
            "data/x",
        ] {
            let e = directory.document(bad, 100);
            assert!(matches!(e, Err(Error::Unreachable { .. })), "{bad}: {e:?}");
        }
        for bad in ["../secret", "/etc/hostname", "metadata/../data"] {
            let e = directory.document(bad, 100);
            assert!(matches!(e, Err(Error::Name(_))), "{bad}: {e:?}");
        }
    }

    #[test]
    fn paths_and_file_urls() {
        let path = |place| path_of(place).unwrap();
        assert_eq!(path("/a b"), Some("/a b".into()));
        assert_eq!(path("file:///a%20b"), Some("/a b".into()));
        assert_eq!(path("http://h/"), None);
        assert!(path_of("file://host/a").is_err());
    }
}
