//! One publisher at a time.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::Error;

/// Held for as long as it lives, also against other processes. What two publishers sign
/// at once would be lost for one of them, so whoever changes a repository takes this
/// before opening it.
#[derive(Debug)]
pub struct Lock {
    /// The folder itself is locked: no file is left behind.
    _folder: File,
}

impl Lock {
    /// Takes it for a repository's `metadata/` folder. Does not wait.
    pub fn take(metadata: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io {
            path: metadata.to_owned(),
            source,
        };
        let folder = File::open(metadata).map_err(io)?;
        match folder.try_lock() {
            Ok(()) => Ok(Lock { _folder: folder }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy(metadata.to_owned())),
            Err(TryLockError::Error(e)) => Err(io(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = Lock::take(folder.path()).expect("free");
        assert!(matches!(Lock::take(folder.path()), Err(Error::Busy(_))));
        drop(lock);
        Lock::take(folder.path()).expect("free again");
    }
}
