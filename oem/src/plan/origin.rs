//! Whose wish something is: the layer, the part of what it sent, the line.

use crate::cloudconfig::Spot;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who asked for something, in rising order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// An earlier run, for what is no longer asked for.
    Earlier,
    /// The OEM partition.
    Oem,
    /// Vendor-data of the provider.
    VendorData,
    /// Metadata of the provider.
    Metadata,
    /// Network configuration of the provider.
    Network,
    /// The user.
    UserData,
    /// The command line of `oem`.
    CommandLine,
}

impl Layer {
    const ALL: [Layer; 7] = [
        Layer::Earlier,
        Layer::Oem,
        Layer::VendorData,
        Layer::Metadata,
        Layer::Network,
        Layer::UserData,
        Layer::CommandLine,
    ];

    /// The layer that is shown so.
    pub fn named(name: &str) -> Option<Layer> {
        let is = |l: &Layer| Sender::from(*l).to_string() == name;
        Layer::ALL.into_iter().find(is)
    }
}

/// Whose text: the layer and, where it sent several, which of its parts. Later
/// parts have precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender {
    /// Who.
    pub layer: Layer,
    part: Option<Part>,
}

/// Number and name of a part. The name is cut, so that an origin is a plain
/// value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    number: u16,
    length: u8,
    name: [u8; NAME],
}

/// Bytes kept of a part's name.
const NAME: usize = 61;

impl Sender {
    /// The part of `layer` with this number, from 0, and name.
    pub fn part(layer: Layer, number: usize, name: &str) -> Self {
        let mut part = Part {
            number: u16::try_from(number).unwrap_or(u16::MAX),
            length: 0,
            name: [0; NAME],
        };
        for c in name.chars() {
            let c = if c.is_control() || c.is_whitespace() {
                '_'
            } else {
                c
            };
            let from = usize::from(part.length);
            let Some(room) = part.name.get_mut(from..from + c.len_utf8()) else {
                break;
            };
            c.encode_utf8(room);
            part.length += u8::try_from(c.len_utf8()).unwrap_or_default();
        }
        Sender {
            layer,
            part: Some(part),
        }
    }

    /// Number of the part, from 0; 0 when all that was sent is one part.
    pub fn number(&self) -> usize {
        self.part.map_or(0, |p| usize::from(p.number))
    }

    /// Name of the part, if it has one.
    pub fn name(&self) -> Option<&str> {
        let part = self.part.as_ref()?;
        let bytes = part.name.get(..usize::from(part.length))?;
        std::str::from_utf8(bytes).ok().filter(|n| !n.is_empty())
    }
}

impl From<Layer> for Sender {
    fn from(layer: Layer) -> Self {
        Sender { layer, part: None }
    }
}

impl PartialEq<Layer> for Sender {
    fn eq(&self, other: &Layer) -> bool {
        self.layer == *other
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.layer {
            Layer::Earlier => "earlier",
            Layer::Oem => "oem",
            Layer::VendorData => "vendor-data",
            Layer::Metadata => "metadata",
            Layer::Network => "network-config",
            Layer::UserData => "user-data",
            Layer::CommandLine => "command-line",
        })?;
        self.name().map_or(Ok(()), |n| write!(f, "/{n}"))
    }
}

/// Who asked for something, and on which line. Shown as `user-data:12` or
/// `user-data/docker.yaml:12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Who.
    pub sender: Sender,
    /// Line in their text, if there is one.
    pub line: Option<u32>,
}

impl Origin {
    /// An origin with its line.
    pub fn at(sender: impl Into<Sender>, spot: Spot) -> Self {
        Origin {
            sender: sender.into(),
            line: Some(spot.line),
        }
    }
}

impl From<Sender> for Origin {
    fn from(sender: Sender) -> Self {
        Origin { sender, line: None }
    }
}

impl From<Layer> for Origin {
    fn from(layer: Layer) -> Self {
        Sender::from(layer).into()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sender.fmt(f)?;
        self.line.map_or(Ok(()), |l| write!(f, ":{l}"))
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_cut_and_ordered() {
        let spot = Spot { line: 3, column: 1 };
        assert_eq!(Origin::at(Layer::Oem, spot).to_string(), "oem:3");
        let first = Sender::part(Layer::UserData, 0, "zz top\n.yaml");
        let second = Sender::part(Layer::UserData, 1, &"é".repeat(50));
        assert_eq!(
            Origin::at(first, spot).to_string(),
            "user-data/zz_top_.yaml:3"
        );
        assert_eq!(second.name().unwrap(), "é".repeat(NAME / 2));
        assert!(first < second && Sender::from(Layer::VendorData) < first);
        assert_eq!((first.number(), second.number()), (0, 1));
        assert_eq!(Sender::part(Layer::Oem, 70_000, "").to_string(), "oem");
    }
}
