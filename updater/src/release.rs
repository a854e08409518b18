//! What a repository says of releases: two small JSON documents, both TUF targets.
//!
//! | target | document |
//! |---|---|
//! | `<image>/<architecture>/<channel>.json` | [`Channel`]: the release a channel offers now |
//! | `<image>/<architecture>/<version>/release.json` | [`Release`]: every artefact by length and SHA-256 |
//!
//! TUF binds the documents, a [`Release`] binds its artefacts, and its root hash
//! binds each block of /usr. Unknown keys are ignored, so that an older updater can
//! read what a newer publisher adds; a higher `format` is refused.

use serde::{Deserialize, Serialize};

/// The `format` this code writes and the highest it reads.
pub const FORMAT: u32 = 1;
/// Largest document of either kind that is fetched, in bytes.
pub const MAX_DOCUMENT: u64 = 1 << 20;

/// Name of the target that says what a channel offers.
pub fn channel_name(image: &str, architecture: &str, channel: &str) -> String {
    format!("{image}/{architecture}/{channel}.json")
}

/// What the names of all targets of a release start with, without a slash at the end.
pub fn folder(image: &str, architecture: &str, version: &str) -> String {
    format!("{image}/{architecture}/{version}")
}

/// Name of the target that describes a release.
pub fn release_name(image: &str, architecture: &str, version: &str) -> String {
    format!("{}/release.json", folder(image, architecture, version))
}

/// A SHA-256 digest; 64 lower-case hexadecimal digits in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// What a channel offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// [`FORMAT`].
    pub format: u32,
    /// Channel's name: `stable`.
    pub channel: String,
    /// Version of the release to run.
    pub version: String,
    /// Oldest version that may still be run; older machines must update, and no
    /// machine goes below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<String>,
    /// Machines may go back to the release from newer ones: the publisher's permit for a
    /// downgrade.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub downgrade: bool,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// [`FORMAT`].
    pub format: u32,
    /// Image's name: the recipe's (`docker`). A machine takes only its own.
    pub image: String,
    /// Version, as [`crate::version::Version`] reads it.
    pub version: String,
    /// Debian's name of the architecture: `amd64`.
    pub architecture: String,
    /// A number that grows with each release of an image: seconds since 1970 of the
    /// newest package. Orders releases; version texts do not.
    pub sequence: u64,
    /// The verified /usr.
    pub usr: Usr,
    /// The unified kernel image, which holds the same root hash.
    pub uki: Artefact,
}

/// The /usr of a release and the ways to get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usr {
    /// Bytes of the file system; a multiple of 4096.
    pub size: u64,
    /// Root hash of its dm-verity tree.
    pub root_hash: Digest,
    /// Salt of the tree, hexadecimal.
    pub salt: String,
    /// UUID in the tree's superblock.
    pub verity_uuid: String,
    /// The whole file system, in windows.
    pub full: Stream,
    /// Patches against older releases.
    #[serde(default)]
    pub patches: Vec<Patch>,
    /// Hashes of all 4 KiB blocks in order, 32 bytes each: tells a machine with any
    /// other release which of its own blocks it can use again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<Artefact>,
}

/// Windows of a file system, and the index that says where each lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// See [`crate::delta::index`].
    pub index: Artefact,
    /// The frames, one after the other; fetched in ranges.
    pub data: Artefact,
}

/// A [`Stream`] whose windows need an older release's /usr.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Version of the older release.
    pub from_version: String,
    /// Its root hash: decides whether a machine can use the patch.
    pub from_root_hash: Digest,
    /// The windows.
    #[serde(flatten)]
    pub stream: Stream,
}

/// A file of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// Path below the repository's `targets/`: plain names separated by `/`.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// Digest of the whole file.
    pub sha256: Digest,
}

impl Artefact {
    /// Path below the repository's root, as a [`crate::fetch::Source`] takes it: with
    /// the digest before the file's name, as in TUF's consistent snapshots.
    pub fn path(&self) -> String {
        match self.name.rsplit_once('/') {
            Some((folder, file)) => format!("targets/{folder}/{}.{file}", self.sha256),
            None => format!("targets/{}.{}", self.sha256, self.name),
        }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 digest has 64 lower-case hexadecimal digits")]
pub struct BadDigest;

impl std::str::FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let text = text.as_bytes();
        let digit = |at: usize| match text[at] {
            d @ b'0'..=b'9' => Ok(d - b'0'),
            d @ b'a'..=b'f' => Ok(d - b'a' + 10),
            _ => Err(BadDigest),
        };
        if text.len() != 64 {
            return Err(BadDigest);
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = digit(2 * at)? << 4 | digit(2 * at + 1)?;
        }
        Ok(Digest(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_the_digest() {
        let path = |name: &str| {
            let name = name.to_owned();
            let sha256 = Digest([0xab; 32]);
            Artefact {
                name,
                length: 1,
                sha256,
            }
            .path()
        };
        let hex = "ab".repeat(32);
        assert_eq!(path("a/b/c.efi"), format!("targets/a/b/{hex}.c.efi"));
        assert_eq!(path("c.efi"), format!("targets/{hex}.c.efi"));
    }

    #[test]
    fn digests_are_strict() {
        let text = "00ff".repeat(16);
        assert_eq!(
            text.parse::<Digest>().map(|d| d.to_string()),
            Ok(text.clone())
        );
        for bad in [
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}0"),
            &"é".repeat(32),
        ] {
            assert_eq!(bad.parse::<Digest>(), Err(BadDigest), "{bad}");
        }
    }
}
