//! Opening a directory that has symbolic links on its way. The kernel follows any; here
//! a link counts only where nobody but root, or who runs this program, could have put
//! it. Each directory is opened in the one before it, so that what is swapped while this
//! goes on leads nowhere else.

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::geteuid;
use std::os::fd::{AsFd, OwnedFd};

/// Most links on one way, as the kernel has it.
const MAX_LINKS: usize = 40;

/// Why a directory was not opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A link that others may have put there: its name.
    Link(String),
    /// The kernel says no.
    Errno(Errno),
}

impl From<Errno> for Refused {
    fn from(e: Errno) -> Self {
        Refused::Errno(e)
    }
}

/// Opens `dir` below `root`, which stands for `/` in it and in all links. `None` when it
/// is not there.
pub(super) fn open(root: &OwnedFd, dir: &str) -> Result<Option<OwnedFd>, Refused> {
    let parts = |path: &str| -> Vec<String> { path.rsplit('/').map(str::to_owned).collect() };
    let mut left = parts(dir);
    // The directories that lead to where we are.
    let mut way: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(part) = left.pop() {
        let at = way.last().unwrap_or(root);
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                way.pop();
                continue;
            }
            _ => {}
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(at, part.as_str(), flags, Mode::empty()) {
            Ok(fd) => way.push(fd),
            Err(Errno::ENOENT) => return Ok(None),
            // A link, or a file.
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let target = match readlinkat(at, part.as_str()) {
                    Ok(target) => target.into_string().map_err(|_| Errno::EINVAL)?,
                    Err(Errno::EINVAL) => return Err(Errno::ENOTDIR.into()),
                    Err(e) => return Err(e.into()),
                };
                if !is_trusted(at)? {
                    return Err(Refused::Link(part));
                }
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP.into());
                }
                if target.starts_with('/') {
                    way.clear();
                }
                left.extend(parts(&target));
            }
            Err(e) => return Err(e.into()),
        }
    }
    let at = way.last().unwrap_or(root);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(Some(openat(at, ".", flags, Mode::empty())?))
}

/// Whether only root, or who runs this, can put something into a directory.
fn is_trusted(dir: impl AsFd) -> nix::Result<bool> {
    let stat = fstat(dir)?;
    let ours = stat.st_uid == 0 || stat.st_uid == geteuid().as_raw();
    Ok(ours && stat.st_mode & 0o022 == 0)
}
