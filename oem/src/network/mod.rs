//! Network configuration: every format a provider sends it in, read into one
//! [`model::Network`], written as systemd-networkd's units. Pure, but for
//! [`nics`]. One file (or folder) a format; a mistake costs the item it is in,
//! and never a link its last address.

mod bond;
mod check;
mod interfaces;
pub mod model;
pub mod nics;
mod openstack;
mod v1;
mod v2;
mod value;
mod write;

pub use write::{PREFIX, Unit, units};

use crate::cloudconfig::node::{self, Kind, Node};
use crate::cloudconfig::read::Reader;
use crate::cloudconfig::{Diagnostic, Spot};
use model::Network;
use std::fmt;

/// Formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// cloud-init's version 1.
    V1,
    /// cloud-init's version 2, netplan's.
    V2,
    /// OpenStack's `network_data.json`.
    OpenStack,
    /// Debian's interfaces(5).
    Interfaces,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::V1 => "network config version 1",
            Format::V2 => "network config version 2 (netplan)",
            Format::OpenStack => "OpenStack network_data.json",
            Format::Interfaces => "Debian interfaces",
        })
    }
}

/// Largest text, in bytes. A link of fifteen letters becomes some kilobytes.
const MAX: usize = 128 << 10;
/// Most values in one: three or more make a link.
const MAX_NODES: usize = 20_000;

/// What a text says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Its format, when it is known.
    pub format: Option<Format>,
    /// The network; `None` leaves the image's own configuration in place.
    pub network: Option<Network>,
    /// What is wrong with it, in the order of the text.
    pub findings: Vec<Diagnostic>,
}

/// Reads a text of any of the [`Format`]s. Never fails: what cannot be read is
/// a finding.
pub fn parse(bytes: &[u8]) -> Parsed {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(e) => {
            let before = &bytes[..e.valid_up_to()];
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            let spot = Spot {
                line: u32::try_from(line).unwrap_or(u32::MAX),
                column: 1,
            };
            let d = Diagnostic::error(spot, "", "not UTF-8 text; nothing of it is applied".into());
            return Parsed {
                findings: vec![d.hint("save the file as UTF-8")],
                ..Parsed::default()
            };
        }
    };
    if text.len() > MAX {
        let what = format!("larger than {} KiB; nothing of it is applied", MAX >> 10);
        let d = Diagnostic::error(Spot::default(), "", what);
        return Parsed {
            findings: vec![d.hint("one machine has no need of so many links")],
            ..Parsed::default()
        };
    }
    if interfaces::is_it(text) {
        let mut r = Reader::with_dashes();
        let network = interfaces::read(text, &mut r);
        return finish(Format::Interfaces, network, r);
    }
    let mut notes = Vec::new();
    let left = &mut node::Count::of(MAX_NODES);
    let root = match node::parse_below(text, 0, &mut notes, left) {
        Ok(Some(root)) => root,
        Ok(None) => {
            return Parsed {
                findings: notes,
                ..Parsed::default()
            };
        }
        Err(broken) => {
            notes.push(broken);
            return Parsed {
                findings: notes,
                ..Parsed::default()
            };
        }
    };
    let mut parsed = of_tree(&root);
    notes.append(&mut parsed.findings);
    Parsed {
        findings: notes,
        ..parsed
    }
}

fn finish(format: Format, mut network: Network, mut r: Reader) -> Parsed {
    check::settle(&mut network, &mut r);
    Parsed {
        format: Some(format),
        network: Some(network),
        findings: r.finish(),
    }
}

fn of_tree(root: &Node) -> Parsed {
    let (inner, path) = match field(root, "network") {
        Some(inner) => (inner, "network"),
        None => (root, ""),
    };
    let word = |key: &str| match field(inner, key).map(|n| &n.kind) {
        Some(Kind::Scalar { text, .. }) => Some(text.as_str()),
        _ => None,
    };
    if word("config") == Some("disabled") {
        return Parsed::default();
    }
    match word("version") {
        Some("1") => {
            let mut r = Reader::default();
            let network = v1::read(inner, path, &mut r);
            finish(Format::V1, network, r)
        }
        Some("2") => {
            let mut r = Reader::with_dashes();
            let network = v2::read(inner, path, &mut r);
            finish(Format::V2, network, r)
        }
        None if field(inner, "links").is_some() || field(inner, "networks").is_some() => {
            let mut r = Reader::default();
            let network = openstack::read(inner, &mut r);
            finish(Format::OpenStack, network, r)
        }
        version => {
            let mut r = Reader::default();
            let what = match version {
                Some(v) => format!(
                    "there is no version {:?}",
                    crate::cloudconfig::read::shorten(v)
                ),
                None => "not a network configuration: there is no `version`".to_owned(),
            };
            let hint = "expected `version: 1` or `version: 2`, OpenStack's `links` and `networks`, or Debian's `iface` stanzas";
            r.error(inner.spot, path, what, hint);
            Parsed {
                findings: r.finish(),
                ..Parsed::default()
            }
        }
    }
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    entries.iter().find_map(|(key, value)| {
        matches!(&key.kind, Kind::Scalar { text, .. } if text == name).then_some(&**value)
    })
}

#[cfg(test)]
mod tests;
