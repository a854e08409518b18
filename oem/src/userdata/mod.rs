//! From received bytes to an ordered list of typed [`Part`]s, each with its name:
//! the interface to what parses and plans them. Wrappings (gzip, base64, MIME,
//! `#include`, archives, templates) are opened one after the other, in bounded
//! memory; what cannot be opened or is not applied stays in the list as such.
//!
//! Precedence rises down the list, and from layer to layer: OEM partition,
//! vendor-data, user-data.

pub mod archive;
pub mod data_url;
pub mod fetch;
pub mod format;
pub mod include;
pub mod mime;
mod open;
mod template;
pub mod unpack;

pub use fetch::{Absent, Fetch, Offline, Wanted};
pub use format::{Format, detect};
pub use open::{Around, open};

use crate::cloudconfig::{CloudConfig, Diagnostic};
use serde::Serialize;

/// One piece of user-data that is not a wrapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name, `/` between wrappings: `common.mime/docker.yaml`. Empty when the
    /// whole user-data is this part.
    pub name: String,
    /// What its own first line, or its wrapping, says it is.
    pub format: Format,
    /// Line of the received text it starts on, from 1; 0 when it does not stand
    /// there as it is.
    pub line: u32,
    /// How it is to be merged with the parts before it, as cloud-init writes it.
    pub merge: Option<String>,
    /// What it holds.
    pub content: Content,
    /// What is worth saying about its wrapping.
    pub notes: Vec<Diagnostic>,
}

/// What a [`Part`] holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A cloud-config, with its header line.
    CloudConfig(String),
    /// An Ignition configuration, in JSON or as Butane writes it: its text, and
    /// what it comes to.
    Ignition(String, Box<CloudConfig>),
    /// A script.
    Script(Script),
    /// Recognised or not, it is not applied.
    Refused(Refusal),
}

/// A script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// When it runs.
    pub when: When,
    /// All of it, with its `#!` line.
    pub content: Vec<u8>,
}

/// When a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// At each boot, before everything else that is started.
    Boothook,
    /// At each boot.
    Boot,
    /// Once an instance.
    Instance,
    /// Once on this disk.
    Once,
}

/// Why a part is not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What it is, and what is wrong with it.
    pub what: String,
    /// What to do about it.
    pub hint: String,
    /// It is not wrong, its time has not come: not an error.
    pub later: bool,
}

impl Part {
    /// Its text, for showing the lines that findings are about.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        match &self.content {
            Content::CloudConfig(text) | Content::Ignition(text, _) => text.into(),
            Content::Script(script) => String::from_utf8_lossy(&script.content),
            Content::Refused(_) => "".into(),
        }
    }
}

#[cfg(test)]
mod tests;
