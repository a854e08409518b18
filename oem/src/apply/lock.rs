//! Record locks that other programs honour too.

use crate::error::{Error, Result};
use crate::root::Root;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;
use std::time::{Duration, Instant};

/// Longest wait for another holder; lckpwdf(3) waits as long.
const PATIENCE: Duration = Duration::from_secs(15);

/// Takes an exclusive lock on a file, made if missing; released when dropped.
pub fn hold(root: &Root, path: &str) -> Result<File> {
    let file = root.lock_file(path)?;
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let until = Instant::now() + PATIENCE;
    loop {
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)) {
            Ok(_) => return Ok(file),
            // There is no wait with a deadline, and a signal would be heavier.
            Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(e) => {
                return Err(Error::environment(format!("cannot lock {path}"))
                    .because(e)
                    .hint("another program holds it; try again when it is done"));
            }
        }
    }
}
