//! The files of the EFI system partition.
//!
//! FAT keeps no promises about a loss of power in the middle of a change: after a
//! rename that was cut there may be the old name, the new one, or both for the same
//! clusters. Whoever reads the ESP takes any of these.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::statvfs;

/// What is done with an ESP. Paths are relative, with `/`. Each change is on the
/// medium when its call returns.
pub trait Esp {
    /// Names and sizes of the plain files of a folder; none if there is no such
    /// folder.
    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>>;
    /// A whole file, from the medium.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// Makes a file, or gives it new content in new places. Leaves nothing behind
    /// when it fails.
    fn create(&self, path: &str, bytes: &[u8]) -> io::Result<()>;
    /// Writes over a file of the same length, in place.
    fn overwrite(&self, path: &str, bytes: &[u8]) -> io::Result<()>;
    /// Renames within a folder; replaces what has the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; none of that name is no error.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Bytes that are free.
    fn free(&self) -> io::Result<u64>;
}

/// An ESP that is mounted, or a folder that stands for one.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The ESP is mounted at `path`.
    pub fn new(path: &Path) -> Self {
        Folder {
            path: path.to_owned(),
        }
    }

    /// Flushes the folder that `path` is in.
    fn sync_folder(&self, path: &str) -> io::Result<()> {
        let path = self.path.join(path);
        File::open(path.parent().unwrap_or(&self.path))?.sync_all()
    }
}

impl Esp for Folder {
    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(self.path.join(folder)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let metadata = entry.metadata()?;
            // Names that are not Unicode are nobody's business here.
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                files.push((name, metadata.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path.join(path))?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut file, &mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let full = self.path.join(path);
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder)?;
        }
        self.remove(path)?;
        let write = || {
            let mut file = File::create_new(&full)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            self.sync_folder(path)
        };
        write().inspect_err(|_| {
            let _ = fs::remove_file(&full);
        })
    }

    fn overwrite(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let file = File::options().write(true).open(self.path.join(path))?;
        if file.metadata()?.len() != bytes.len() as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the file has another length",
            ));
        }
        file.write_all_at(bytes, 0)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))?;
        self.sync_folder(to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(path)) {
            Ok(()) => self.sync_folder(path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn free(&self) -> io::Result<u64> {
        let stat = statvfs(&self.path)?;
        Ok(stat.blocks_available() as u64 * stat.fragment_size() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_an_esp() {
        let root = tempfile::tempdir().unwrap();
        let esp = Folder::new(root.path());
        assert!(esp.list("EFI/Linux").unwrap().is_empty());
        esp.create("EFI/Linux/a.tmp", b"one").unwrap();
        esp.create("EFI/Linux/a.tmp", b"four").unwrap();
        esp.rename("EFI/Linux/a.tmp", "EFI/Linux/a.efi").unwrap();
        assert_eq!(esp.list("EFI/Linux").unwrap(), [("a.efi".into(), 4)]);
        assert!(esp.overwrite("EFI/Linux/a.efi", b"five5").is_err());
        esp.overwrite("EFI/Linux/a.efi", b"FOUR").unwrap();
        assert_eq!(esp.read("EFI/Linux/a.efi").unwrap(), b"FOUR");
        esp.remove("EFI/Linux/a.efi").unwrap();
        esp.remove("EFI/Linux/a.efi").unwrap();
        assert!(esp.read("EFI/Linux/a.efi").is_err());
        assert!(esp.free().unwrap() > 0);
    }
}
