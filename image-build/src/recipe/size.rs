//! Sizes as people write them.

use serde::{Deserialize, Deserializer};

/// A size in bytes, written as `64 MiB`, `1G` or a number. Units are binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    /// Parses a size; the error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            "t" | "tib" => 40,
            _ => return Err(format!("{text:?} is not a size such as `512 MiB` or `1G`")),
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(1 << shift))
            .map(Size)
            .ok_or_else(|| format!("{text:?} is not a size such as `512 MiB` or `1G`"))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Size::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        for (text, want) in [
            ("1", 1),
            ("64 MiB", 64 << 20),
            ("1G", 1 << 30),
            ("2tib", 2 << 40),
            ("4 k", 4096),
        ] {
            assert_eq!(Size::parse(text).map(|s| s.0), Ok(want), "{text}");
        }
        for bad in [
            "",
            "x",
            "1.5G",
            "-1",
            "99999999999999999999",
            "99999999999T",
            "1 MB?",
        ] {
            assert!(Size::parse(bad).is_err(), "{bad}");
        }
    }
}
