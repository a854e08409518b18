//! Bytes of a repository, from wherever they can be had.
//!
//! A [`Source`] fetches and nothing more: it verifies nothing beyond lengths. Who
//! asks for bytes checks them against signed digests before using them, and tells
//! the source when they were wrong, so that it can blame a mirror.

use std::ops::Range;

/// Where the files of a repository come from. Names are paths below the source's
/// root: plain names separated by `/`.
pub trait Source {
    /// A small file, whole. `None` if the source knows that it does not exist; an
    /// error if it is longer than `cap` bytes.
    fn document(&mut self, name: &str, cap: u64) -> Result<Option<Vec<u8>>, Error>;

    /// Bytes `range` of a file, passed on as they come, in order. A transfer that
    /// breaks is resumed at the byte where it broke, elsewhere if need be. Stops
    /// with the sink's own error when it returns one.
    fn range(&mut self, name: &str, range: Range<u64>, sink: &mut Sink<'_>) -> Result<(), Error>;

    /// What came for `name` had the wrong digest: another mirror is asked next time.
    /// False if there is none left.
    fn blame(&mut self, name: &str) -> bool;
}

/// Takes bytes as they come.
pub type Sink<'a> = dyn FnMut(&[u8]) -> std::io::Result<()> + 'a;

/// Why bytes did not come.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that is not a plain path: absolute, `..`, empty parts, strange bytes.
    #[error("{0:?} is not a plain path of a repository")]
    Name(String),
    /// The file is longer than the signed length, or than what its kind may have.
    #[error("{name}: more than {cap} bytes came")]
    TooLong {
        /// The file.
        name: String,
        /// Bytes allowed.
        cap: u64,
    },
    /// Every mirror failed; the last one's reason.
    #[error("{name}: {reason}")]
    Unreachable {
        /// The file.
        name: String,
        /// What went wrong, with the URL and without credentials.
        reason: String,
    },
    /// The receiver of the bytes failed (a full disk, a broken device).
    #[error("writing what was fetched")]
    Sink(#[source] std::io::Error),
}
