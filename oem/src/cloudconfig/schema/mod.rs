//! The keys of the language. One file reads one key, or keys that belong
//! together, and has one line in a table here; what it says about its keys is
//! what [`super::parse`] accepts, and what `oem schema` prints in every form.

mod document;
mod json;
mod kind;
mod shape;

pub use document::markdown;
pub use json::json_schema;
pub use kind::Type;
pub(super) use kind::{COMMANDS, TABLES, WORDS};
pub(super) use shape::{look, place_of};

use super::CloudConfig;
use super::read::{Fields, Reader};
use super::refused::Refused;
use super::tasks::Frequency;
use super::{
    accepted, bootcmd, ca_certs, disks, fence, final_message, groups, hostname, hosts, keyboard,
};
use super::{etcd, flannel, oem_release, retired, units, updates};
use super::{locale, mounts, ntp, passwords, phone_home, power_state, random_seed, refused};
use super::{
    resolv_conf, runcmd, ssh, ssh_import, ssh_keys, swap, timezone, users, wireguard, write_files,
};

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Full name, e.g. `coreos.units[].name`.
    pub name: &'static str,
    /// What its value is.
    pub kind: Type,
    /// Its table makes no sense without it.
    pub required: bool,
    /// Meaning.
    pub about: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// How often it is done; `None` for what is a state, which every boot restores.
    pub frequency: Option<Frequency>,
    /// Its value may be `credential:NAME`.
    pub credential: bool,
    /// The version of this program that had it first.
    pub since: &'static str,
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Applied,
    /// It is so already, or means nothing here, and nobody need be told.
    Accepted,
    /// It is read, and warned about.
    NotApplied,
}

impl Fate {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Fate::Applied => "applied",
            Fate::Accepted => "accepted",
            Fate::NotApplied => "not applied",
        }
    }
}

pub(super) const fn key(name: &'static str, kind: Type, about: &'static str) -> Key {
    Key {
        name,
        kind,
        required: false,
        about,
        fate: Fate::Applied,
        frequency: None,
        credential: false,
        // A key that comes later says so: `Key { since: "0.2", ..key(...) }`.
        since: "0.1",
    }
}

impl Key {
    pub(super) const fn required(mut self) -> Key {
        self.required = true;
        self
    }
    pub(super) const fn or_credential(mut self) -> Key {
        self.credential = true;
        self
    }
    pub(super) const fn accepted(mut self) -> Key {
        self.fate = Fate::Accepted;
        self
    }
    pub(super) const fn not_applied(mut self) -> Key {
        self.fate = Fate::NotApplied;
        self
    }
    pub(super) const fn each(mut self, frequency: Frequency) -> Key {
        self.frequency = Some(frequency);
        self
    }

    /// Meaning, fate and frequency in one line.
    pub fn told(&self) -> String {
        let fate = match self.fate {
            Fate::Applied => String::new(),
            other => format!("{}: ", other.as_str()),
        };
        let often = self.frequency.map(|f| format!(" ({})", f.as_str()));
        format!("{fate}{}{}", self.about, often.unwrap_or_default())
    }

    /// Type in words, and whether it must be there.
    pub fn kind_told(&self) -> String {
        let required = if self.required { ", required" } else { "" };
        let credential = match self.credential {
            true => " or `credential:NAME`",
            false => "",
        };
        format!("{}{credential}{required}", self.kind)
    }

    /// Whether it stands at the top level, or directly in `coreos`.
    pub fn is_top(&self) -> bool {
        let name = self.name.strip_prefix(COREOS_PREFIX).unwrap_or(self.name);
        !name.contains(['.', '['])
    }
}

/// Keys that are read together.
pub struct Section {
    /// What they are about.
    pub title: &'static str,
    /// What they are.
    pub keys: &'static [Key],
    /// A piece of a cloud-config that has all of them in it, but those that are
    /// not applied.
    pub example: &'static str,
    /// Reads those that are there.
    pub(super) read: fn(&Fields<'_>, &mut CloudConfig, &mut Reader),
}

/// The top level.
pub(super) const SECTIONS: &[&Section] = &[
    &hostname::SECTION,
    &ssh_keys::SECTION,
    &ssh_import::SECTION,
    &groups::SECTION,
    &users::SECTION,
    &passwords::SECTION,
    &write_files::SECTION,
    &hosts::SECTION,
    &ssh::SECTION,
    &disks::SECTION,
    &swap::SECTION,
    &mounts::SECTION,
    &timezone::SECTION,
    &locale::SECTION,
    &keyboard::SECTION,
    &ntp::SECTION,
    &ca_certs::SECTION,
    &resolv_conf::SECTION,
    &wireguard::SECTION,
    &random_seed::SECTION,
    &bootcmd::SECTION,
    &runcmd::SECTION,
    &fence::SECTION,
    &accepted::SECTION,
    &phone_home::SECTION,
    &final_message::SECTION,
    &power_state::SECTION,
];

/// The table `coreos`.
pub(super) const COREOS: &[&Section] = &[
    &units::SECTION,
    &updates::UPDATE,
    &updates::LOCKSMITH,
    &etcd::SECTION,
    &flannel::SECTION,
    &oem_release::SECTION,
    &retired::SECTION,
];

/// Prefix of the names in [`COREOS`].
pub(super) const COREOS_PREFIX: &str = "coreos.";

/// Keys that are known and refused, each list with the prefix of its names.
const REFUSED: &[(&str, &[Refused])] = &[
    ("", refused::KEYS),
    (COREOS_PREFIX, refused::COREOS),
    ("users[].", users::REFUSED),
    ("ssh_keys.", ssh::REFUSED),
];

/// All that is read.
pub fn sections() -> impl Iterator<Item = &'static Section> {
    SECTIONS.iter().chain(COREOS).copied()
}

/// Every key that is read. `-` may be written for `_`.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    sections().flat_map(|s| s.keys)
}

/// Full names of keys that are refused, each with what to use instead.
pub fn refused() -> impl Iterator<Item = (String, &'static str)> {
    REFUSED.iter().flat_map(|(prefix, keys)| {
        keys.iter()
            .map(move |k| (format!("{prefix}{}", k.name), k.instead))
    })
}

/// Names directly below `prefix` in some keys: `users[].` has `name`, `gecos`...
pub(super) fn names(keys: &[Key], prefix: &str) -> Vec<&'static str> {
    let mut out: Vec<&'static str> = Vec::new();
    for key in keys {
        let Some(rest) = key.name.strip_prefix(prefix) else {
            continue;
        };
        let name = rest.split(['.', '[']).next().unwrap_or(rest);
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// The same over some sections.
pub(super) fn names_of(sections: &[&Section], prefix: &str) -> Vec<&'static str> {
    sections
        .iter()
        .flat_map(|s| names(s.keys, prefix))
        .collect()
}

#[cfg(test)]
mod checker;
#[cfg(test)]
mod tests;
