//! The start of something long that is fetched (a kernel image, a frame of a patch, which
//! stands for 8 MiB), kept for the next time: without it, a resume would begin anew.
//!
//! How long a file is says nothing about what is in it. After a power cut, ext4 shows
//! zeros where bytes were not flushed. So the file's head says how many were, and only
//! after they were: whenever one request's worth of bytes has come, before the next is
//! asked for.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::fetch::PIECE;
use crate::release::Digest;

/// The file's head: digest of the data file, where in it this begins, bytes that are on
/// the disk.
pub(super) const HEAD: usize = 32 + 8 + 8;
/// Where the last of these is.
const KEPT: u64 = 32 + 8;

/// The file. Nothing in it is trusted: a digest is checked when it is complete.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    data: Digest,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    start: u64,
    file: File,
    /// Bytes behind the head that are written, and that are on the disk.
    written: u64,
    kept: u64,
}

impl Open {
    /// Brings what is written to the disk, and then says so.
    fn flush(&mut self) -> io::Result<()> {
        if self.kept < self.written {
            self.file.sync_data()?;
            self.kept = self.written;
            self.file.write_all_at(&self.kept.to_le_bytes(), KEPT)?;
            self.file.sync_data()?;
        }
        Ok(())
    }
}

impl Part {
    /// For the frames of the data file with digest `data`, or for that file as a whole.
    pub(super) fn new(path: &Path, data: Digest) -> Self {
        Part {
            path: path.to_owned(),
            data,
            open: None,
        }
    }

    /// What was kept of `frame`, a range of the data file; goes on after it. What cannot
    /// be read is fetched again.
    pub(super) fn resume(&mut self, frame: Range<u64>) -> Vec<u8> {
        self.read(frame).unwrap_or_default()
    }

    fn read(&mut self, frame: Range<u64>) -> Option<Vec<u8>> {
        let mut file = options().open(&self.path).ok()?;
        let mut head = [0; HEAD];
        file.read_exact(&mut head).ok()?;
        let (identity, kept) = head.split_at(KEPT as usize);
        if *identity != self.identity(frame.start) {
            return None;
        }
        let kept = u64::from_le_bytes(kept.try_into().ok()?).min(frame.end - frame.start);
        let mut bytes = Vec::new();
        (&file).take(kept).read_to_end(&mut bytes).ok()?;
        let written = bytes.len() as u64;
        self.open = Some(Open {
            start: frame.start,
            file,
            written,
            kept: written,
        });
        Some(bytes)
    }

    /// More bytes of the frame that begins at `start` of the data file.
    pub(super) fn append(&mut self, start: u64, bytes: &[u8]) -> io::Result<()> {
        let there = self.open.take().filter(|open| open.start == start);
        let mut open = match there {
            Some(open) => open,
            None => self.begin(start)?,
        };
        open.file.write_all_at(bytes, HEAD as u64 + open.written)?;
        open.written += bytes.len() as u64;
        if (start + open.written) / PIECE > (start + open.kept) / PIECE {
            open.flush()?;
        }
        self.open = Some(open);
        Ok(())
    }

    fn begin(&self, start: u64) -> io::Result<Open> {
        let file = options().create(true).open(&self.path)?;
        file.set_len(0)?;
        file.write_all_at(&self.identity(start), 0)?;
        file.write_all_at(&[0; 8], KEPT)?;
        Ok(Open {
            start,
            file,
            written: 0,
            kept: 0,
        })
    }

    /// Brings all of it to the disk.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), Open::flush)
    }

    /// It is not needed any more, or wrong.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.open = None;
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn identity(&self, start: u64) -> [u8; KEPT as usize] {
        let mut head = [0; KEPT as usize];
        head[..32].copy_from_slice(&self.data.0);
        head[32..].copy_from_slice(&start.to_le_bytes());
        head
    }
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options
        .read(true)
        .write(true)
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
        assert!(part.resume(3..103).is_empty());
        assert!(part.append(3, b"x").is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn what_is_kept_is_for_one_frame_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let part = |data| Part::new(&path, Digest([data; 32]));
        let mut first = part(1);
        assert!(first.resume(3..103).is_empty());
        first.append(3, b"one ").unwrap();
        first.append(3, b"two ").unwrap();
        first.flush().unwrap();
        assert!(part(2).resume(3..103).is_empty());
        assert!(part(1).resume(4..104).is_empty());
        // Goes on after what is there; never longer than the frame.
        let mut second = part(1);
        assert_eq!(second.resume(3..103), b"one two ");
        second.append(3, b"three").unwrap();
        second.flush().unwrap();
        assert_eq!(part(1).resume(3..103), b"one two three");
        assert_eq!(part(1).resume(3..7), b"one ");
        assert_eq!(part(1).resume(3..103), b"one two three");
        // Another frame takes its place.
        let mut third = part(1);
        third.append(4, b"four").unwrap();
        third.flush().unwrap();
        assert_eq!(part(1).resume(4..104), b"four");
        assert!(part(1).resume(3..103).is_empty());
        third.clear().unwrap();
        third.clear().unwrap();
        assert!(part(1).resume(4..104).is_empty());
        fs::write(&path, b"short").unwrap();
        assert!(part(1).resume(4..104).is_empty());
    }

    /// Seen on a machine whose power was cut: the file was as long as what had been
    /// written, and zero where it had not been flushed.
    #[test]
    fn what_was_not_flushed_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let mut part = Part::new(&path, Digest([1; 32]));
        let piece = vec![7; 64 * 1024];
        for _ in 0..=PIECE / piece.len() as u64 {
            part.append(0, &piece).unwrap();
        }
        let written = fs::metadata(&path).unwrap().len() - HEAD as u64;
        let mut again = Part::new(&path, Digest([1; 32]));
        let kept = again.resume(0..u64::MAX).len() as u64;
        assert!(kept == PIECE && kept < written, "{kept} of {written}");
        // What comes next takes the place of what does not count.
        again.append(0, b"next").unwrap();
        again.flush().unwrap();
        let bytes = Part::new(&path, Digest([1; 32])).resume(0..u64::MAX);
        assert_eq!(bytes.len() as u64, kept + 4);
        assert!(bytes.ends_with(b"next"));
    }
}
