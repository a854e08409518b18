//! What this machine runs, as the image itself says: os-release and command line,
//! both of which the running root hash covers.

use std::path::{Path, PathBuf};

use init::cmdline::RootHash;
use serde::Serialize;

use crate::status;
use crate::tuf::Time;

/// The running release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Image's name: `VARIANT_ID`.
    pub image: String,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// `IMAGE_VERSION`.
    pub version: String,
    /// Root hash of the running /usr.
    #[serde(serialize_with = "as_text")]
    pub root_hash: RootHash,
    /// `HOLDFAST_SEQUENCE`, see [`crate::release::Release::sequence`]; 0 if the image
    /// does not say it.
    pub sequence: u64,
}

fn as_text<S: serde::Serializer>(hash: &RootHash, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(hash)
}

/// Why a machine cannot be told which release to take.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    /// A file cannot be read.
    #[error("reading {}", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// No `usrhash=` that makes sense.
    #[error("this system was not booted from a verified /usr")]
    NotVerified,
    /// os-release lacks a key.
    #[error("os-release has no {0}=")]
    Key(&'static str),
}

impl Identity {
    /// Reads it below `root` (`/` on a running machine).
    pub fn read(root: &Path) -> Result<Self, Unknown> {
        let read = |path: &str| {
            let path = root.join(path);
            std::fs::read_to_string(&path).map_err(|e| Unknown::File(path, e))
        };
        Self::parse(&read("proc/cmdline")?, &read("usr/lib/os-release")?)
    }

    fn parse(cmdline: &str, os_release: &str) -> Result<Self, Unknown> {
        let hash = status::usr_hash(cmdline).and_then(|hash| RootHash::parse(&hash));
        let key = |name: &'static str| {
            let mut lines = os_release.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value
                .map(|value| value.trim_matches(['"', '\'']).to_owned())
                .filter(|value| !value.is_empty())
                .ok_or(Unknown::Key(name))
        };
        Ok(Identity {
            image: key("VARIANT_ID")?,
            architecture: architecture().to_owned(),
            version: key("IMAGE_VERSION")?,
            root_hash: hash.ok_or(Unknown::NotVerified)?,
            sequence: key("HOLDFAST_SEQUENCE").map_or(0, |text| text.parse().unwrap_or(0)),
        })
    }

    /// No clock is right that says it is earlier.
    pub fn built(&self) -> Time {
        Time(i64::try_from(self.sequence).unwrap_or(0))
    }
}

/// Debian's name of what this program was made for.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_and_command_line_tell() {
        let hash = "ab".repeat(32);
        let cmdline = format!("quiet usrhash={hash} x");
        let release = "ID=holdfast\nVARIANT_ID=docker\nIMAGE_VERSION=\"7\"\n";
        let told = Identity::parse(&cmdline, release).unwrap();
        assert_eq!(
            (told.image.as_str(), told.version.as_str()),
            ("docker", "7")
        );
        assert_eq!(told.root_hash.to_string(), hash);
        assert_eq!((told.sequence, told.built()), (0, Time(0)));
        let more = format!("{release}HOLDFAST_SEQUENCE=1763820720\n");
        let told = Identity::parse(&cmdline, &more).unwrap();
        assert_eq!(told.built(), Time(1_763_820_720));
        for (cmdline, release) in [
            ("quiet", release),
            (&cmdline, "VARIANT_ID=\nIMAGE_VERSION=1"),
        ] {
            assert!(Identity::parse(cmdline, release).is_err());
        }
    }
}
