//! Release versions and the names made from them.

use std::fmt;
use std::str::FromStr;

/// Product prefix of partition names and UKI file names.
pub const PREFIX: &str = "holdfast_";

/// A GPT partition name holds 36 UTF-16 units; the prefix takes nine of them.
const MAX_LEN: usize = 36 - PREFIX.len();

/// A release version: 1 to 27 characters of `0-9 A-Z a-z . ~ ^ -`.
///
/// `_` and `+` are excluded because they separate the parts of a file name in
/// the Boot Loader Specification's counting scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

/// Why a text is not a [`Version`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The text has no characters.
    #[error("a version cannot be empty")]
    Empty,
    /// It would not fit into a GPT partition name.
    #[error("version {0:?} is longer than {MAX_LEN} characters")]
    TooLong(String),
    /// It has a character with another meaning in file names.
    #[error("version {0:?} has the character {1:?}; allowed are 0-9 A-Z a-z . ~ ^ -")]
    Character(String, char),
}

impl Version {
    /// The version's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// GPT name of the release's partitions: `holdfast_<version>`.
    pub fn partition_name(&self) -> String {
        format!("{PREFIX}{self}")
    }
}

impl FromStr for Version {
    type Err = VersionError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s.is_empty() {
            return Err(VersionError::Empty);
        }
        if let Some(c) = s
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !".~^-".contains(*c))
        {
            return Err(VersionError::Character(s.to_owned(), c));
        }
        if s.len() > MAX_LEN {
            return Err(VersionError::TooLong(s.to_owned()));
        }
        Ok(Version(s.to_owned()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses() {
        for good in ["1", "20261122.1412", "4.1.0-rc1", "1~beta^2"] {
            assert_eq!(
                good.parse::<Version>().map(|v| v.to_string()),
                Ok(good.to_owned())
            );
        }
        assert_eq!("".parse::<Version>(), Err(VersionError::Empty));
        assert!(matches!(
            "a_b".parse::<Version>(),
            Err(VersionError::Character(_, '_'))
        ));
        assert!(matches!(
            "a+3".parse::<Version>(),
            Err(VersionError::Character(_, '+'))
        ));
        assert!(matches!(
            "a/b".parse::<Version>(),
            Err(VersionError::Character(_, '/'))
        ));
        assert!("x".repeat(MAX_LEN).parse::<Version>().is_ok());
        assert!(matches!(
            "x".repeat(MAX_LEN + 1).parse::<Version>(),
            Err(VersionError::TooLong(_))
        ));
    }

    #[test]
    fn partition_name_fits_gpt() {
        let name = "x"
            .repeat(MAX_LEN)
            .parse::<Version>()
            .map(|v| v.partition_name().encode_utf16().count());
        assert_eq!(name, Ok(36));
    }
}
