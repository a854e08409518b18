//! UKI file names on the ESP, with the boot counters of the Boot Loader
//! Specification: `holdfast_<version>[+<left>[-<done>]].efi`.

use std::fmt;

use crate::version::{PREFIX, Version};

/// Folder of UKIs on the ESP.
pub const FOLDER: &str = "EFI/Linux";
/// Times a new release is tried before the last good one is booted again.
pub const TRIES: u32 = 3;

/// Boot counters of an entry on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Tries left; 0 means the entry is bad.
    pub left: u32,
    /// Tries done.
    pub done: u32,
}

/// A UKI's file name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryName {
    /// The release it boots.
    pub version: Version,
    /// None once the release is known good.
    pub counters: Option<Counters>,
}

/// What a name says about its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No counter: it booted well.
    Good,
    /// It has tries left.
    Trial,
    /// Its tries are used up.
    Bad,
}

impl EntryName {
    /// Reads a file name (without directory). None if it is not one of ours.
    pub fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_prefix(PREFIX)?.strip_suffix(".efi")?;
        let (version, counters) = match stem.split_once('+') {
            None => (stem, None),
            Some((version, count)) => {
                let (left, done) = count.split_once('-').unwrap_or((count, "0"));
                (
                    version,
                    Some(Counters {
                        left: digits(left)?,
                        done: digits(done)?,
                    }),
                )
            }
        };
        Some(EntryName {
            version: version.parse().ok()?,
            counters,
        })
    }

    /// What the name says about the release.
    pub fn verdict(&self) -> Verdict {
        match self.counters {
            None => Verdict::Good,
            Some(Counters { left: 0, .. }) => Verdict::Bad,
            Some(_) => Verdict::Trial,
        }
    }
}

/// A decimal number without sign or space.
fn digits(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.version)?;
        if let Some(Counters { left, done }) = self.counters {
            write!(f, "+{left}")?;
            if done > 0 {
                write!(f, "-{done}")?;
            }
        }
        f.write_str(".efi")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_counters() {
        let parse =
            |n| EntryName::parse(n).map(|e| (e.version.to_string(), e.verdict(), e.counters));
        assert_eq!(
            parse("holdfast_1.2.efi"),
            Some(("1.2".into(), Verdict::Good, None))
        );
        assert_eq!(
            parse("holdfast_1.2+3.efi"),
            Some((
                "1.2".into(),
                Verdict::Trial,
                Some(Counters { left: 3, done: 0 })
            ))
        );
        assert_eq!(
            parse("holdfast_1.2+0-3.efi"),
            Some((
                "1.2".into(),
                Verdict::Bad,
                Some(Counters { left: 0, done: 3 })
            ))
        );
        for foreign in [
            "debian_1.efi",
            "holdfast_.efi",
            "holdfast_1+.efi",
            "holdfast_1+x.efi",
            "holdfast_1+-1.efi",
            "holdfast_1",
        ] {
            assert_eq!(parse(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(version in "[0-9A-Za-z.~^-]{1,27}", counters in proptest::option::of((0u32.., 0u32..))) {
            let counters = counters.map(|(left, done)| Counters { left, done });
            let name = version.parse().map(|version| EntryName { version, counters });
            prop_assert_eq!(name.clone().ok(), name.ok().and_then(|n| EntryName::parse(&n.to_string())));
        }

        #[test]
        fn never_panics(name in ".*") {
            let _ = EntryName::parse(&name);
        }
    }
}
