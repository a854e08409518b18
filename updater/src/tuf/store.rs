//! Trusted documents on disk.
//!
//! | file | is |
//! |---|---|
//! | `root.json`, `timestamp.json`, `snapshot.json`, `targets.json` | the newest that was trusted |
//! | `roots/N.root.json` | every root on the way there |
//!
//! Each file is written whole: temporary name, fsync, rename, fsync of the folder.
//! Nothing that is read is believed: the caller verifies it again. Links are not
//! followed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::Role;

/// Prefix of files that are being written.
const NEW: &str = ".new-";

/// The folder of trusted documents.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens the folder, making it if need be, and sweeps what an interrupted write
    /// left behind.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let store = Store {
            folder: folder.to_owned(),
        };
        for path in [folder.to_owned(), store.roots()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)?;
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                if entry
                    .file_name()
                    .as_encoded_bytes()
                    .starts_with(NEW.as_bytes())
                {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(store)
    }

    /// The newest trusted document of a role.
    pub fn read(&self, role: Role) -> io::Result<Option<Vec<u8>>> {
        read(&self.folder.join(role.file()), role.cap())
    }

    /// One version of the root.
    pub fn read_root(&self, version: u64) -> io::Result<Option<Vec<u8>>> {
        read(
            &self.roots().join(Role::Root.versioned(version)),
            Role::Root.cap(),
        )
    }

    /// Keeps a document that was verified.
    pub fn write(&self, role: Role, bytes: &[u8]) -> io::Result<()> {
        write(&self.folder, &role.file(), bytes, 0o600)
    }

    /// Keeps one version of the root.
    pub fn write_root(&self, version: u64, bytes: &[u8]) -> io::Result<()> {
        write(&self.roots(), &Role::Root.versioned(version), bytes, 0o600)
    }

    /// Forgets a document.
    pub fn remove(&self, role: Role) -> io::Result<()> {
        match fs::remove_file(self.folder.join(role.file())) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => sync(&self.folder),
        }
    }

    fn roots(&self) -> PathBuf {
        self.folder.join("roots")
    }
}

/// A regular file of at most `cap` bytes. One that is longer, or no regular file, is
/// as good as none: it cannot be what was written here.
fn read(path: &Path, cap: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
    {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.raw_os_error() == Some(nix::libc::ELOOP) => return Ok(None),
        Err(e) => return Err(e),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(cap + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= cap).then_some(bytes))
}

/// Writes a whole file: old or new after a power cut, nothing between.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(NEW).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name)).map_err(|e| e.error)?;
    sync(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_replaces_forgets() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("a/tuf");
        let store = Store::open(&folder).expect("opens");
        assert_eq!(store.read(Role::Root).expect("reads"), None);
        store.write(Role::Root, b"one").expect("writes");
        store.write(Role::Root, b"two").expect("writes");
        store.write_root(7, b"seven").expect("writes");
        fs::write(folder.join(".new-abc"), b"torn").expect("writes");
        let store = Store::open(&folder).expect("opens again");
        assert_eq!(
            store.read(Role::Root).expect("reads").as_deref(),
            Some(&b"two"[..])
        );
        assert_eq!(
            store.read_root(7).expect("reads").as_deref(),
            Some(&b"seven"[..])
        );
        assert!(!folder.join(".new-abc").exists());
        store.remove(Role::Root).expect("removes");
        store.remove(Role::Root).expect("nothing to remove");
        assert_eq!(store.read(Role::Root).expect("reads"), None);
    }

    #[test]
    fn a17_links_pipes_and_huge_files_are_as_good_as_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        fs::write(dir.path().join("elsewhere"), b"x").expect("writes");
        std::os::unix::fs::symlink("elsewhere", dir.path().join("root.json")).expect("a link");
        assert_eq!(store.read(Role::Root).expect("reads"), None);
        store.write(Role::Root, b"new").expect("replaces the link");
        assert_eq!(fs::read(dir.path().join("elsewhere")).expect("reads"), b"x");
        let long = vec![b' '; usize::try_from(Role::Timestamp.cap()).expect("small") + 1];
        fs::write(dir.path().join("timestamp.json"), long).expect("writes");
        assert_eq!(store.read(Role::Timestamp).expect("reads"), None);
        fs::create_dir(dir.path().join("targets.json")).expect("a folder");
        assert_eq!(store.read(Role::Targets).expect("reads"), None);
    }
}
