//! One update at a time on a machine.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use super::Error;

/// The lock's file, in the state's folder.
const FILE: &str = "lock";

/// Held for as long as it lives; the kernel gives it back when a process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it. Makes the state's folder if there is none.
    pub fn take(state: &Path) -> Result<Self, Error> {
        let path = state.join(FILE);
        let failed = |e| Error::State(path.clone(), e);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state)
            .map_err(failed)?;
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy),
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/b");
        let lock = Lock::take(&state).unwrap();
        assert!(matches!(Lock::take(&state), Err(Error::Busy)));
        drop(lock);
        Lock::take(&state).unwrap();
    }
}
