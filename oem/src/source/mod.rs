//! Sources of user-data and metadata. A source only reads: `fetch` collects
//! raw documents by name, a pure `parse` makes [`Found`] of them.
//!
//! What only one provider has is in its file in [`crate::provider`]; here is what
//! several share.

pub(crate) mod cards;
pub(crate) mod cloudstack;
pub(crate) mod configdrive;
pub(crate) mod date;
pub(crate) mod document;
pub(crate) mod keys;
pub(crate) mod nocloud;
pub(crate) mod openstack;
pub(crate) mod passwords;
pub(crate) mod port;
pub(crate) mod service;
pub(crate) mod value;
pub(crate) mod xml;

use crate::detect::{Disk, Evidence};
use crate::error::Result;
use crate::http::Http;
use crate::metadata::Fetched;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use tokio::time::Instant;

/// Documents as received, by a name relative to the source.
pub type Raw = BTreeMap<String, Vec<u8>>;

/// Largest metadata document worth reading, in bytes. (User-data has
/// [`crate::http::MAX_BODY`].)
pub(crate) const MAX_DOCUMENT: u64 = 1 << 20;

/// What a source found, and what was wrong with parts of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The data.
    pub fetched: Fetched,
    /// Documents or values that were left out, and why. No secrets.
    pub warnings: Vec<String>,
}

impl Found {
    /// Nothing yet, of this provider, from there.
    pub(crate) fn of(provider: &str, source: &str) -> Found {
        let mut found = Found::default();
        found.fetched.provider = provider.into();
        found.fetched.source = source.into();
        found.fetched.metadata.provider = provider.into();
        found
    }

    /// A document that is JSON; `Null` when it is absent, and with a warning when it is
    /// something else.
    pub(crate) fn json(&mut self, raw: &Raw, name: &str) -> Value {
        match document::text(raw, name).map(serde_json::from_str) {
            Some(Ok(value)) => value,
            Some(Err(e)) => {
                self.warnings.push(format!("{name} is left out: {e}"));
                Value::Null
            }
            None => Value::Null,
        }
    }
}

/// What sources look at besides the network.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// `/` on a running machine.
    pub root: PathBuf,
    /// What detection saw.
    pub evidence: Evidence,
}

impl Scene {
    /// Whether a disk is a CD, which those who may write to disks cannot make.
    pub(crate) fn is_optical(&self, disk: &Disk) -> bool {
        /// Of the kernel's `TYPE_ROM`.
        const ROM: &str = "5";
        let device = self.root.join("sys/class/block").join(&disk.device);
        std::fs::read_to_string(device.join("device/type")).is_ok_and(|t| t.trim() == ROM)
    }
}

/// What comes of asking a source: `None` when what answered says that there is no such
/// service, or there is nothing to ask.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Option<Found>>> + Send + 'a>>;

/// A way to obtain data.
pub struct Source {
    /// Name in reports, e.g. `ec2`.
    pub name: &'static str,
    /// Name for people, e.g. `EC2 metadata service`.
    pub title: &'static str,
    /// Whether it needs no network.
    pub local: bool,
    /// Asks it until a deadline. An error: no answer before the deadline, or one that
    /// makes no sense.
    pub fetch: for<'a> fn(&'a Scene, &'a Http, Instant) -> Fetching<'a>,
    /// Pure: what the documents mean, and where they are from, for people.
    pub parse: fn(&Raw, &str) -> Found,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Source {}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

/// What each source makes of the same documents, for `fuzz/`.
#[cfg(fuzzing)]
pub fn parse_all(raw: &Raw) -> Vec<Found> {
    let sources = crate::provider::PROVIDERS.iter().flat_map(|p| p.sources);
    sources.map(|s| (s.parse)(raw, "")).collect()
}

#[cfg(test)]
mod tests;
