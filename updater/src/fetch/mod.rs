//! Bytes of a repository, from wherever they can be had.
//!
//! A [`Source`] fetches and nothing more: it verifies nothing beyond lengths. Who
//! asks for bytes checks them against signed digests before using them, and tells
//! the source when they were wrong, so that it can blame a mirror.
//!
//! Invariants, whatever a server sends: no more bytes than asked reach the caller;
//! memory does not grow with a file; every call ends by its deadline; names are
//! checked by [`name::check`] before a URL or a path is made of them; credentials
//! are in no error, event or log.
//!
//! A source is made for one run (one check, one update) and dropped after it: what
//! it learned of mirrors and name servers is of that moment. It blocks, and must
//! not be called on a thread that drives an asynchronous runtime.

use std::ops::Range;
use std::time::Duration;

mod backoff;
mod base;
mod chain;
pub mod directory;
pub mod http;
mod limit;
mod mirrors;
pub mod name;
mod options;
pub mod progress;
mod proxy;
mod retry_after;
mod throughput;

pub use backoff::Backoff;
pub use options::Options;
pub use proxy::Proxy;
pub use throughput::Floor;

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

/// Offsets that are multiples of this part the requests for a range: what lies behind one
/// is asked for only when the sink has taken all before it. So however large the buffers
/// on the way are, no more than this is under way when the power fails.
pub const PIECE: u64 = 640 << 10;

/// Takes bytes as they come.
pub type Sink<'a> = dyn FnMut(&[u8]) -> std::io::Result<()> + 'a;

/// Why bytes did not come.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that is not a plain path: absolute, `..`, empty parts, strange bytes.
    #[error("{0:?} is not a plain path of a repository")]
    Name(String),
    /// A source that cannot be used: a bad URL, an unreadable directory.
    #[error("{place}: {reason}")]
    Place {
        /// The source, without credentials.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
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
    /// Every mirror that works asks to be left alone for a while (`Retry-After`).
    #[error("{name}: {reason}; asked to wait {} s", after.as_secs())]
    Later {
        /// The file.
        name: String,
        /// What the last mirror said.
        reason: String,
        /// Not to be asked again before this time has passed; a day at most.
        after: Duration,
    },
    /// The receiver of the bytes failed (a full disk, a broken device).
    #[error("writing what was fetched")]
    Sink(#[source] std::io::Error),
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Name(_) => Some("the repository is damaged or not meant for this updater"),
            Error::Place { .. } => {
                Some("give an http:// or https:// URL, or the path of a repository's directory")
            }
            Error::TooLong { .. } => Some("check the URL; a proxy or portal may have answered"),
            Error::Unreachable { .. } => {
                Some("check the network and the repository's URL, or add another mirror")
            }
            Error::Later { .. } | Error::Sink(_) => None,
        }
    }
}

/// Opens a repository by all the places it can be had from, the preferred one first:
/// directories (`/path`, `file:///path`) and mirrors (`http://`, `https://`). A
/// directory that is not there now (a stick) is passed over if there is another place.
pub fn open<S: AsRef<str>>(
    places: &[S],
    options: &Options,
) -> Result<Box<dyn Source + Send>, Error> {
    let mut sources: Vec<Box<dyn Source + Send>> = Vec::new();
    let mut mirrors = Vec::new();
    let mut missing = None;
    for place in places.iter().map(S::as_ref) {
        match directory::path_of(place)? {
            None => mirrors.push(place),
            Some(path) => {
                // Neighbours on the web share one source, which knows them better.
                if !mirrors.is_empty() {
                    sources.push(Box::new(http::Http::new(&mirrors, options)?));
                    mirrors.clear();
                }
                match directory::Directory::open(&path) {
                    Ok(directory) => sources.push(Box::new(directory)),
                    Err(e) => {
                        tracing::info!("{e}");
                        missing = Some(e);
                    }
                }
            }
        }
    }
    if !mirrors.is_empty() {
        sources.push(Box::new(http::Http::new(&mirrors, options)?));
    }
    if sources.is_empty() {
        return Err(missing.unwrap_or_else(|| Error::Place {
            place: "the repository".to_owned(),
            reason: "no place to get it from is given".to_owned(),
        }));
    }
    if sources.len() == 1 {
        return Ok(sources.remove(0));
    }
    Ok(Box::new(chain::Chain::new(sources)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_urls_paths_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let options = Options::default();
        for good in [path, &format!("file://{path}"), "http://h", "https://h/x"] {
            assert!(open(&[good], &options).is_ok(), "{good}");
        }
        assert!(open(&["http://a", "https://b"], &options).is_ok());
        assert!(open(&[path, "http://a", path, "https://b"], &options).is_ok());
        let missing = format!("{path}/missing");
        assert!(open(&[&missing, "http://a"], &options).is_ok());
        for bad in [
            &["ftp://h"][..],
            &["relative/path"],
            &[missing.as_str()],
            &["file://elsewhere/x"],
            &["http://a", "relative/path"],
            &[],
        ] {
            let e = open(bad, &options).err();
            assert!(matches!(e, Some(Error::Place { .. })), "{bad:?}: {e:?}");
        }
    }
}
