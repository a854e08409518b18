//! The lock: the resolved package list with hashes. It names paths inside an
//! archive and never a host, so the same lock works with any mirror.

use serde::{Deserialize, Serialize};

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
}
