//! One update at a time on a machine.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use super::Error;

/// Between two tries: the lock of files has no limit of time.
const AGAIN: Duration = Duration::from_millis(50);

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

    /// Takes it, and waits for it if need be: what is short should not fail because
    /// another one is at it.
    pub fn wait(state: &Path, limit: Duration) -> Result<Self, Error> {
        let end = Instant::now() + limit;
        loop {
            match Lock::take(state) {
                Err(Error::Busy) if Instant::now() < end => std::thread::sleep(AGAIN),
                result => return result,
            }
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
        assert!(matches!(
            Lock::wait(&state, Duration::from_millis(1)),
            Err(Error::Busy)
        ));
        let waiting = std::thread::spawn({
            let state = state.clone();
            move || Lock::wait(&state, Duration::from_secs(20)).map(drop)
        });
        drop(lock);
        waiting.join().unwrap().unwrap();
        Lock::take(&state).unwrap();
    }
}
