//! What user-data may ask to be fetched, and how much of it.

use super::unpack;
use crate::error::{Error, Result};
use crate::plan::hex;
use sha2::{Digest as _, Sha256, Sha512};
use std::fmt;

/// Something to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// An `http` or `https` URL, without its fragment.
    pub url: String,
    /// Fetch it once an instance; else each time, with the last copy for when
    /// nobody answers.
    pub once: bool,
    /// What it must hash to.
    pub hash: Option<Hash>,
    /// Further header fields to send.
    pub headers: Vec<(String, String)>,
}

/// Why something was not fetched.
#[derive(Debug)]
pub enum Absent {
    /// This is not the time: there is no network yet, or none is wanted.
    Later(&'static str),
    /// It cannot be had.
    Failed(Error),
}

/// Fetches. What opens user-data counts and limits; this only gets bytes.
pub trait Fetch {
    /// Gets what is wanted, checked against its hash, or tells why not.
    fn fetch(&mut self, wanted: &Wanted) -> std::result::Result<Vec<u8>, Absent>;
}

/// Fetches nothing: for looking at user-data alone.
#[derive(Debug, Clone, Copy)]
pub struct Offline;

impl Fetch for Offline {
    fn fetch(&mut self, _: &Wanted) -> std::result::Result<Vec<u8>, Absent> {
        Err(Absent::Later("nothing is fetched to validate a file"))
    }
}

/// URLs fetched for one layer.
const MAX_FETCHES: usize = 64;

/// Counts what is unpacked and fetched, over all of what one layer sent.
pub struct Meter<'a> {
    fetch: &'a mut dyn Fetch,
    most: u64,
    left: u64,
    fetches: usize,
}

impl<'a> Meter<'a> {
    /// Nothing used yet of `most` bytes.
    pub fn new(fetch: &'a mut dyn Fetch, most: u64) -> Self {
        Meter {
            fetch,
            most,
            left: most,
            fetches: 0,
        }
    }

    /// What is said when it is too much.
    pub fn too_large(&self) -> Error {
        unpack::too_large(self.most)
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Takes bytes; whether there were as many.
    pub fn take(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let fits = bytes <= self.left;
        self.left = self.left.saturating_sub(bytes);
        fits
    }

    /// Fetches, within the limits.
    ///
    /// # Errors
    /// As [`Fetch::fetch`], or a limit is reached.
    pub fn get(&mut self, wanted: &Wanted) -> std::result::Result<Vec<u8>, Absent> {
        self.fetches += 1;
        if self.fetches > MAX_FETCHES {
            let e = Error::input(format!("more than {MAX_FETCHES} URLs in all"));
            return Err(Absent::Failed(e.hint("put several files into one")));
        }
        let body = self.fetch.fetch(wanted)?;
        if !self.take(body.len()) {
            return Err(Absent::Failed(self.too_large()));
        }
        Ok(body)
    }
}

/// A hash in Ignition's notation, `sha512-HEX` or `sha256-HEX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash {
    long: bool,
    hex: String,
}

impl Hash {
    /// Reads the notation; `=` may stand for `-`.
    pub fn parse(text: &str) -> Option<Hash> {
        let (kind, hex) = text.split_once(['-', '='])?;
        let long = match kind {
            "sha512" => true,
            "sha256" => false,
            _ => return None,
        };
        let right = hex.len() == if long { 128 } else { 64 };
        (right && hex.bytes().all(|b| b.is_ascii_hexdigit())).then(|| Hash {
            long,
            hex: hex.to_ascii_lowercase(),
        })
    }

    /// Compares.
    ///
    /// # Errors
    /// They differ: tells what was found.
    pub fn check(&self, bytes: &[u8]) -> Result<()> {
        let found = match self.long {
            true => hex(&Sha512::digest(bytes)),
            false => hex(&Sha256::digest(bytes)),
        };
        if found == self.hex {
            return Ok(());
        }
        let kind = if self.long { "sha512" } else { "sha256" };
        Err(
            Error::refused(format!("its hash is {kind}-{found}, wanted is {self}"))
                .hint("somebody changed it: look at what changed before you write the new hash"),
        )
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.long { "sha512" } else { "sha256" };
        write!(f, "{kind}-{}", self.hex)
    }
}

impl Wanted {
    /// Reads a URL of an include list. A fragment `#sha256=HEX` or `#sha512=HEX`
    /// says what it must hash to: others ignore it.
    ///
    /// # Errors
    /// Not a URL that is fetched: says why.
    pub fn parse(text: &str, once: bool) -> std::result::Result<Wanted, String> {
        let (url, fragment) = match text.split_once('#') {
            Some((url, fragment)) => (url, Some(fragment)),
            None => (text, None),
        };
        let lower = url.to_ascii_lowercase();
        if !lower.starts_with("http://") && !lower.starts_with("https://") {
            return Err("not an http or https URL".to_owned());
        }
        if url.contains(char::is_whitespace) {
            return Err("a URL with white space in it".to_owned());
        }
        let hash = match fragment {
            Some(f) if f.starts_with("sha") => Some(Hash::parse(f).ok_or(
                "not a hash: expected #sha256= and 64, or #sha512= and 128 hexadecimal digits",
            )?),
            _ => None,
        };
        Ok(Wanted {
            url: url.to_owned(),
            once,
            hash,
            headers: Vec::new(),
        })
    }

    /// The last word of the path, else the host: a name for people.
    pub fn name(&self) -> &str {
        let path = self.url.split('?').next().unwrap_or_default();
        path.split('/').rfind(|w| !w.is_empty()).unwrap_or("url")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_carry_hashes() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let w = Wanted::parse(&format!("https://h/a/b.yaml?x=1#sha256={empty}"), true).unwrap();
        assert_eq!(
            (w.url.as_str(), w.name()),
            ("https://h/a/b.yaml?x=1", "b.yaml")
        );
        let hash = w.hash.unwrap();
        assert!(hash.check(b"").is_ok());
        assert!(hash.check(b"x").unwrap_err().to_string().contains(empty));
        assert_eq!(Wanted::parse("http://h/#top", false).unwrap().hash, None);
        assert_eq!(Wanted::parse("http://h", false).unwrap().name(), "h");
        for bad in [
            "file:///etc/shadow",
            "http://h/#sha256=12",
            "http://h/ x",
            "x",
        ] {
            assert!(Wanted::parse(bad, false).is_err(), "{bad}");
        }
        assert!(Hash::parse(&format!("sha512-{empty}{empty}")).is_some());
    }
}
