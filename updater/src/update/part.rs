//! The start of a long frame, kept for the next time. Frames of patches stand for
//! 8 MiB; without this, a resume would fetch one of them from its start.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::STEP;
use crate::release::Digest;

/// The file's head: digest of the data file, number of the window.
const HEAD: usize = 32 + 8;

/// The file. Nothing in it is trusted: the frame's digest is checked when it is
/// complete.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    data: Digest,
    open: Option<(u64, File)>,
    unflushed: u64,
}

impl Part {
    /// For frames of the data file with digest `data`.
    pub(super) fn new(path: &Path, data: Digest) -> Self {
        Part {
            path: path.to_owned(),
            data,
            open: None,
            unflushed: 0,
        }
    }

    /// What was kept of the frame of window `number`, at most `length` bytes; goes on
    /// after it. What cannot be read is fetched again.
    pub(super) fn resume(&mut self, number: u64, length: u64) -> Vec<u8> {
        self.read(number, length).unwrap_or_default()
    }

    fn read(&mut self, number: u64, length: u64) -> Option<Vec<u8>> {
        let mut file = options().append(true).open(&self.path).ok()?;
        let mut head = [0; HEAD];
        file.read_exact(&mut head).ok()?;
        if head != self.head(number) {
            return None;
        }
        let mut bytes = Vec::new();
        (&file).take(length).read_to_end(&mut bytes).ok()?;
        file.set_len(HEAD as u64 + bytes.len() as u64).ok()?;
        self.open = Some((number, file));
        Some(bytes)
    }

    /// More bytes of the frame of window `number`.
    pub(super) fn append(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let there = self.open.take_if(|(open, _)| *open == number);
        let mut file = match there {
            Some((_, file)) => file,
            None => {
                let mut file = options().append(true).create(true).open(&self.path)?;
                file.set_len(0)?;
                file.write_all(&self.head(number))?;
                file
            }
        };
        file.write_all(bytes)?;
        self.unflushed += bytes.len() as u64;
        if self.unflushed >= STEP {
            file.sync_data()?;
            self.unflushed = 0;
        }
        self.open = Some((number, file));
        Ok(())
    }

    /// It is not needed any more, or wrong.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.open = None;
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn head(&self, number: u64) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..32].copy_from_slice(&self.data.0);
        head[32..].copy_from_slice(&number.to_le_bytes());
        head
    }
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options
        .read(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a16_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("part"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let mut part = Part::new(&path, Digest([1; 32]));
        assert!(part.resume(3, 100).is_empty());
        assert!(part.append(3, b"x").is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn what_is_kept_is_for_one_frame_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let part = |data| Part::new(&path, Digest([data; 32]));
        let mut first = part(1);
        assert!(first.resume(3, 100).is_empty());
        first.append(3, b"one ").unwrap();
        first.append(3, b"two ").unwrap();
        assert!(part(2).resume(3, 100).is_empty());
        assert!(part(1).resume(4, 100).is_empty());
        // Goes on after what is there; never longer than the frame.
        let mut second = part(1);
        assert_eq!(second.resume(3, 100), b"one two ");
        second.append(3, b"three").unwrap();
        assert_eq!(part(1).resume(3, 100), b"one two three");
        assert_eq!(part(1).resume(3, 4), b"one ");
        assert_eq!(part(1).resume(3, 100), b"one ");
        // Another frame takes its place.
        let mut third = part(1);
        third.append(4, b"four").unwrap();
        assert_eq!(part(1).resume(4, 100), b"four");
        assert!(part(1).resume(3, 100).is_empty());
        third.clear().unwrap();
        third.clear().unwrap();
        assert!(part(1).resume(4, 100).is_empty());
        fs::write(&path, b"short").unwrap();
        assert!(part(1).resume(4, 100).is_empty());
    }
}
