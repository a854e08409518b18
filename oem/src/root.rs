//! All file access below one directory: `/` on the machine itself, any
//! directory with `--root`. Links are resolved inside that directory, and not
//! at all where users can plant them. A file is replaced whole or not at all.
//! Tests let the power fail after any number of changes ([`Root::cut_after`]), or do
//! something else between two of them ([`Root::before_change`]).

mod walk;

use crate::error::{Context as _, Error, Result};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{
    AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat, renameat,
};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, geteuid, symlinkat, unlinkat};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Largest file read.
const MAX_READ: u64 = 16 << 20;

/// What stands at a path. Links are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A regular file.
    File {
        /// Its bytes.
        content: Vec<u8>,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A symbolic link and its target.
    Link(String),
    /// A directory.
    Dir {
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A device, socket or pipe.
    Special,
}

/// What `plan` may ask about the machine.
pub trait SystemView {
    /// What stands at an absolute path.
    fn look(&self, path: &str) -> Result<Found>;
    /// Whether owners can be set (only as root).
    fn owners(&self) -> bool;
    /// The bytes of a regular file, links followed; `None` when there is none.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;
    /// Names in a directory, sorted; empty when it is not there.
    fn list(&self, path: &str) -> Result<Vec<String>>;
}

/// Owner and group of something to write.
pub type Owner = (u32, u32);

/// A directory that stands for `/`.
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
    live: bool,
    /// Changes left until the power fails.
    #[cfg(test)]
    left: std::cell::Cell<Option<u32>>,
    /// Changes before something happens, and what.
    #[cfg(test)]
    happens: std::cell::RefCell<(u32, Option<Box<dyn FnOnce()>>)>,
}

impl Root {
    /// Opens the directory that stands for `/`.
    pub fn open(path: &Path) -> Result<Root> {
        let fd = openat(
            AT_FDCWD,
            path,
            OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .environment(|| format!("cannot open the root directory {}", path.display()))?;
        let live = path.canonicalize().is_ok_and(|p| p == Path::new("/"));
        Ok(Root {
            fd,
            path: path.to_owned(),
            live,
            #[cfg(test)]
            left: std::cell::Cell::default(),
            #[cfg(test)]
            happens: std::cell::RefCell::default(),
        })
    }
    /// Nothing below this directory changes any more after so many changes.
    #[cfg(test)]
    pub(crate) fn cut_after(&self, changes: u32) {
        self.left.set(Some(changes));
    }
    /// Something happens after so many changes, just before the next.
    #[cfg(test)]
    pub(crate) fn before_change(&self, changes: u32, what: impl FnOnce() + 'static) {
        *self.happens.borrow_mut() = (changes, Some(Box::new(what)));
    }
    /// Whether it happened.
    #[cfg(test)]
    pub(crate) fn has_happened(&self) -> bool {
        self.happens.borrow().1.is_none()
    }
    /// Whether the power failed.
    #[cfg(test)]
    pub(crate) fn is_cut(&self) -> bool {
        self.left.get() == Some(0)
    }
    /// Comes before each change.
    #[cfg(test)]
    fn change(&self) -> nix::Result<()> {
        let (left, happens) = &mut *self.happens.borrow_mut();
        match left.checked_sub(1) {
            Some(less) => *left = less,
            None => happens.take().into_iter().for_each(|what| what()),
        }
        match self.left.get() {
            Some(0) => Err(Errno::EIO),
            Some(n) => {
                self.left.set(Some(n - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    fn change(&self) -> nix::Result<()> {
        Ok(())
    }
    /// Whether this is the running machine's own `/`.
    pub fn is_live(&self) -> bool {
        self.live
    }
    /// The directory itself, for messages and locks.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces or makes a file: written beside its place, flushed, renamed,
    /// directory flushed. Missing parents are made with mode 0755.
    pub fn write(&self, path: &str, content: &[u8], mode: u32, owner: Option<Owner>) -> Result<()> {
        let (dir, name) = self
            .parent(path, true)?
            .ok_or_else(|| Error::environment(format!("cannot make the directory of {path}")))?;
        let what = || format!("cannot write {path}");
        let temp = temp_name(name);
        self.remove_if_there(&dir, &temp).environment(what)?;
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        self.change().environment(what)?;
        let fd = openat(&dir, temp.as_str(), flags, Mode::from_bits_truncate(0o600))
            .environment(what)?;
        let mut file = File::from(fd);
        let written = (|| -> std::io::Result<()> {
            self.change()?;
            file.write_all(content)?;
            self.change()?;
            self.own(&file, owner)?;
            fchmod(&file, Mode::from_bits_truncate(mode))?;
            file.sync_all()?;
            self.change()?;
            renameat(&dir, temp.as_str(), &dir, name)?;
            sync_dir(&dir)?;
            Ok(())
        })();
        if written.is_err() {
            let _ = self.remove_if_there(&dir, &temp);
        }
        written.environment(what)
    }

    /// Replaces or makes a symbolic link.
    pub fn link(&self, path: &str, target: &str) -> Result<()> {
        let (dir, name) = self
            .parent(path, true)?
            .ok_or_else(|| Error::environment(format!("cannot make the directory of {path}")))?;
        let what = || format!("cannot link {path} to {target}");
        let temp = temp_name(name);
        self.remove_if_there(&dir, &temp).environment(what)?;
        self.change().environment(what)?;
        symlinkat(target, &dir, temp.as_str()).environment(what)?;
        self.change().environment(what)?;
        renameat(&dir, temp.as_str(), &dir, name).environment(what)?;
        sync_dir(&dir).environment(what)
    }

    /// Removes a file or link if it is there.
    pub fn remove(&self, path: &str) -> Result<()> {
        if let Some((dir, name)) = self.parent(path, false)? {
            self.remove_if_there(&dir, name)
                .environment(|| format!("cannot remove {path}"))?;
            sync_dir(&dir).environment(|| format!("cannot remove {path}"))?;
        }
        Ok(())
    }

    /// Removes a directory. False when it holds something, and stays.
    pub fn remove_dir(&self, path: &str) -> Result<bool> {
        let what = || format!("cannot remove the directory {path}");
        let Some((dir, name)) = self.parent(path, false)? else {
            return Ok(true);
        };
        self.change().environment(what)?;
        match unlinkat(&dir, name, UnlinkatFlags::RemoveDir) {
            Ok(()) => sync_dir(&dir).map(|()| true).environment(what),
            Err(Errno::ENOENT) => Ok(true),
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => Ok(false),
            Err(e) => Err(Error::environment(what()).because(e)),
        }
    }

    /// Gives a file or directory its final name, in the same directory.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let what = || format!("cannot rename {from} to {to}");
        let (Some((dir, old)), Some((there, new))) =
            (self.parent(from, false)?, self.parent(to, false)?)
        else {
            return Err(Error::environment(what()).hint("its directory is gone"));
        };
        self.change().environment(what)?;
        renameat(&dir, old, &there, new).environment(what)?;
        sync_dir(&there).environment(what)
    }

    /// Removes what a write of `path` left that was cut by a power failure.
    pub fn sweep(&self, path: &str) -> Result<()> {
        let what = || format!("cannot clean up beside {path}");
        let Some((dir, name)) = self.parent(path, false)? else {
            return Ok(());
        };
        match self.remove_if_there(&dir, &temp_name(name)) {
            // Not a file: a home that was not finished, and will be.
            Ok(()) | Err(Errno::EISDIR | Errno::EPERM) => Ok(()),
            Err(e) => Err(Error::environment(what()).because(e)),
        }
    }

    /// Makes a directory (parents 0755), or gives the one that is there mode
    /// and owner.
    pub fn make_dir(&self, path: &str, mode: u32, owner: Option<Owner>) -> Result<()> {
        let what = || format!("cannot make the directory {path}");
        let (dir, name) = self
            .parent(path, true)?
            .ok_or_else(|| Error::environment(what()))?;
        self.change().environment(what)?;
        match mkdirat(&dir, name, Mode::from_bits_truncate(0o700)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(Error::environment(what()).because(e)),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let made = openat(&dir, name, flags, Mode::empty()).environment(what)?;
        self.change().environment(what)?;
        self.own(&made, owner).environment(what)?;
        fchmod(&made, Mode::from_bits_truncate(mode)).environment(what)?;
        sync_dir(&dir).environment(what)
    }

    /// Opens (and makes) a lock file; the caller locks and holds it.
    pub fn lock_file(&self, path: &str) -> Result<File> {
        let what = || format!("cannot open the lock {path}");
        let (dir, name) = self
            .parent(path, true)?
            .ok_or_else(|| Error::environment(what()))?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&dir, name, flags, Mode::from_bits_truncate(0o600))
            .map(File::from)
            .environment(what)
    }

    fn remove_if_there(&self, dir: impl AsFd, name: &str) -> nix::Result<()> {
        match fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return Ok(()),
            _ => self.change()?,
        }
        match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn own(&self, fd: impl AsFd, owner: Option<Owner>) -> nix::Result<()> {
        match owner {
            Some((uid, gid)) if self.owners() => {
                fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            }
            _ => Ok(()),
        }
    }

    /// Opens the directory of `path` and gives its last name. `None` when the
    /// directory is missing and `make` is false.
    fn parent<'p>(&self, path: &'p str, make: bool) -> Result<Option<(OwnedFd, &'p str)>> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name.is_empty() || name == "." || name == ".." {
            return Err(Error::input(format!("{path} is not a path of a file")));
        }
        if let Some(fd) = self.open_dir(dir)? {
            return Ok(Some((fd, name)));
        }
        if !make {
            return Ok(None);
        }
        let mut at = String::new();
        for part in dir.split('/').filter(|p| !p.is_empty()) {
            let parent = self.open_dir(&at)?;
            at.push('/');
            at.push_str(part);
            let Some(parent) = parent else {
                return Ok(None);
            };
            let what = || format!("cannot make the directory {at}");
            self.change().environment(what)?;
            match mkdirat(&parent, part, Mode::from_bits_truncate(0o755)) {
                Ok(()) => {
                    if let Some(made) = self.open_dir(&at)? {
                        fchmod(&made, Mode::from_bits_truncate(0o755)).environment(what)?;
                    }
                    sync_dir(&parent).environment(what)?;
                }
                Err(Errno::EEXIST) => {}
                Err(e) => return Err(Error::environment(what()).because(e)),
            }
        }
        Ok(self.open_dir(dir)?.map(|fd| (fd, name)))
    }

    fn open_dir(&self, dir: &str) -> Result<Option<OwnedFd>> {
        let relative = dir.trim_start_matches('/');
        let relative = if relative.is_empty() { "." } else { relative };
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS);
        let failed = match openat2(&self.fd, relative, how) {
            Ok(fd) => return Ok(Some(fd)),
            Err(Errno::ENOENT) => return Ok(None),
            // Links are few, and looked at one by one.
            Err(Errno::ELOOP) if !user_writable(dir) => match walk::open(&self.fd, relative) {
                Ok(found) => return Ok(found),
                Err(failed) => failed,
            },
            Err(e) => walk::Refused::Errno(e),
        };
        let what = format!("cannot use the directory {dir}");
        Err(match failed {
            walk::Refused::Link(name) => Error::refused(format!(
                "{what}: {name} is a link in a directory that others than root may change"
            ))
            .hint("write the path without the link, or make root the owner of that directory"),
            walk::Refused::Errno(e @ (Errno::ELOOP | Errno::ENOTDIR)) => Error::environment(what)
                .because(e)
                .hint("a file or a symbolic link stands where a directory is needed"),
            walk::Refused::Errno(e) => {
                Error::environment(format!("cannot open the directory {dir}")).because(e)
            }
        })
    }
}

impl SystemView for Root {
    fn look(&self, path: &str) -> Result<Found> {
        let what = || format!("cannot look at {path}");
        let Some((dir, name)) = self.parent(path, false)? else {
            return Ok(Found::Missing);
        };
        let stat = match fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(Found::Missing),
            Err(e) => return Err(Error::environment(what()).because(e)),
        };
        match kind(&stat) {
            SFlag::S_IFREG => {
                let flags =
                    OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
                let fd = openat(&dir, name, flags, Mode::empty()).environment(what)?;
                let stat = fstat(&fd).environment(what)?;
                let content = read_all(fd, &stat, what)?;
                Ok(Found::File {
                    content,
                    mode: permissions(&stat),
                    uid: stat.st_uid,
                    gid: stat.st_gid,
                })
            }
            SFlag::S_IFLNK => {
                let target = readlinkat(&dir, name).environment(what)?;
                Ok(Found::Link(target.to_string_lossy().into_owned()))
            }
            SFlag::S_IFDIR => Ok(Found::Dir {
                mode: permissions(&stat),
                uid: stat.st_uid,
                gid: stat.st_gid,
            }),
            _ => Ok(Found::Special),
        }
    }

    fn owners(&self) -> bool {
        geteuid().is_root()
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let what = || format!("cannot read {path}");
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let fd = match openat2(&self.fd, path.trim_start_matches('/'), how) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(e) => return Err(Error::environment(what()).because(e)),
        };
        let stat = fstat(&fd).environment(what)?;
        if kind(&stat) != SFlag::S_IFREG {
            return Ok(None);
        }
        read_all(fd, &stat, what).map(Some)
    }

    fn list(&self, path: &str) -> Result<Vec<String>> {
        let what = || format!("cannot list {path}");
        let Some(fd) = self.open_dir(path)? else {
            return Ok(Vec::new());
        };
        let mut dir = Dir::from_fd(fd).environment(what)?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let name = entry
                .environment(what)?
                .file_name()
                .to_string_lossy()
                .into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Places where users other than root can plant links.
fn user_writable(dir: &str) -> bool {
    ["/home/", "/tmp/", "/var/tmp/"]
        .iter()
        .any(|p| format!("{dir}/").starts_with(p))
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn permissions(stat: &FileStat) -> u32 {
    stat.st_mode & 0o7777
}

/// Reads a file, in memory that is known before.
fn read_all(fd: OwnedFd, stat: &FileStat, what: impl Fn() -> String) -> Result<Vec<u8>> {
    let size = u64::try_from(stat.st_size)
        .unwrap_or_default()
        .min(MAX_READ);
    let mut out = Vec::with_capacity(usize::try_from(size + 1).unwrap_or_default());
    let mut file = File::from(fd).take(MAX_READ + 1);
    file.read_to_end(&mut out).environment(&what)?;
    if out.len() as u64 > MAX_READ {
        let why = format!("{}: it is larger than {} MiB", what(), MAX_READ >> 20);
        return Err(Error::environment(why).hint("move it away, or choose another path"));
    }
    Ok(out)
}

fn sync_dir(dir: impl AsFd) -> nix::Result<()> {
    fsync(dir)
}

/// Always the same for a name, so that what a power cut leaves is found and
/// removed by the next run.
pub fn temp_name(name: &str) -> String {
    let hash: String = Sha256::digest(name.as_bytes())
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect();
    format!(".oem-{hash}")
}
