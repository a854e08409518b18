//! The lock: the resolved package list with hashes. It names paths inside an
//! archive and never a host, so the same lock works with any mirror.

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};

/// Which of the archive's trees a package comes from; each has its own base URL
/// and its own `InRelease`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pocket {
    /// The suite itself.
    Main,
    /// `SUITE-updates`; lives in the same tree as the suite.
    Updates,
    /// `SUITE-security`; its own tree.
    Security,
}

impl Pocket {
    /// Every pocket.
    pub const ALL: [Pocket; 3] = [Pocket::Main, Pocket::Updates, Pocket::Security];
}

/// One package of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Binary package name.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// Package architecture (`amd64`, `all`).
    pub architecture: String,
    /// Source package name (for the SBOM).
    pub source: String,
    /// Pocket it was found in.
    pub pocket: Pocket,
    /// Path below the pocket's base URL (`pool/main/...`).
    pub path: String,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// SHA-256 of the .deb, lower-case hexadecimal.
    pub sha256: String,
}

/// A resolved package list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Format version; 1.
    pub version: u32,
    /// Suite name, for example `trixie`.
    pub suite: String,
    /// Architecture, Debian's name for it.
    pub architecture: String,
    /// Newest `Date` of the `InRelease` files it was resolved from, seconds since
    /// the epoch. Every time stamp in the image comes from here.
    pub epoch: i64,
    /// What was asked for, sorted.
    pub requested: Vec<String>,
    /// What that resolved to, sorted by name.
    pub packages: Vec<LockedPackage>,
    /// The packages of the programs that make the image (`mkfs.erofs` and the like):
    /// another version of them may make other bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<LockedPackage>,
}

/// The format this module reads and writes.
const VERSION: u32 = 1;

impl Lock {
    /// The lock's JSON, one package a line group, so that changes are easy to read.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes =
            serde_json::to_vec_pretty(self).environment(|| "encoding the lock".into())?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a lock. Its paths and hashes are checked where they are used.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let lock: Lock = serde_json::from_slice(bytes).map_err(|e| {
            Error::input("this is not a lock")
                .because(e)
                .hint("make it again with `image-build lock`")
        })?;
        if lock.version != VERSION {
            return Err(
                Error::input(format!("lock format {} is not {VERSION}", lock.version))
                    .hint("make it again with `image-build lock`"),
            );
        }
        Ok(lock)
    }

    /// The pocket of each package of the image.
    pub fn pockets(&self) -> impl Iterator<Item = Pocket> {
        self.packages.iter().map(|package| package.pocket)
    }

    /// A lock of the tools alone.
    pub fn of_tools(&self) -> Lock {
        Lock {
            packages: self.tools.clone(),
            tools: Vec::new(),
            requested: Vec::new(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        Lock {
            version: 1,
            suite: "trixie".into(),
            architecture: "amd64".into(),
            epoch: 0,
            requested: vec!["a".into()],
            packages: vec![LockedPackage {
                name: "a".into(),
                version: "1".into(),
                architecture: "all".into(),
                source: "a".into(),
                pocket: Pocket::Main,
                path: "pool/a.deb".into(),
                size: 1,
                sha256: "a".repeat(64),
            }],
            tools: Vec::new(),
        }
    }

    #[test]
    fn round_trip_and_refusals() -> Result<()> {
        let good = lock();
        assert_eq!(Lock::decode(&good.encode()?)?, good);
        assert!(Lock::decode(&Lock { version: 2, ..good }.encode()?).is_err());
        assert!(Lock::decode(b"{}").is_err());
        Ok(())
    }
}
