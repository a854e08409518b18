//! Sources of user-data and metadata. A source only reads: `fetch` collects
//! raw documents by name, a pure `parse` makes [`Fetched`] of them.

mod cloudstack;
mod configdrive;
mod document;
mod ec2;
pub(crate) mod host;
mod keys;
mod nocloud;
mod openstack;

use crate::detect::Evidence;
use crate::error::Result;
use crate::http::Http;
use crate::metadata::Fetched;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use tokio::time::Instant;

/// Documents as received, by a name relative to the source.
pub type Raw = BTreeMap<String, Vec<u8>>;

/// Largest metadata document worth reading, in bytes. (User-data has
/// [`crate::http::MAX_BODY`].)
const MAX_DOCUMENT: u64 = 1 << 20;

/// What a source found, and what was wrong with parts of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The data.
    pub fetched: Fetched,
    /// Documents or values that were left out, and why. No secrets.
    pub warnings: Vec<String>,
}

/// A way to obtain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// What the hypervisor hands over: QEMU's firmware configuration, systemd
    /// credentials.
    Host,
    /// A disk labelled `cidata`.
    #[serde(rename = "nocloud-disk")]
    NoCloudDisk,
    /// Documents below a URL (`ds=nocloud;s=URL`).
    #[serde(rename = "nocloud-seed")]
    NoCloudSeed,
    /// A disk labelled `config-2`, in OpenStack's or CloudStack's layout.
    ConfigDrive,
    /// EC2's instance metadata service.
    Ec2,
    /// CloudStack's virtual router.
    #[serde(rename = "cloudstack")]
    CloudStack,
    /// OpenStack's metadata service.
    #[serde(rename = "openstack")]
    OpenStack,
}

/// Where services are. Tests point these at a double.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// EC2 and OpenStack, IPv4 and IPv6, without trailing slash.
    pub link_local: Vec<String>,
    /// Port of CloudStack's virtual router.
    pub router_port: u16,
    /// Name of CloudStack's virtual router.
    pub router_name: Option<String>,
}

impl Default for Endpoints {
    fn default() -> Self {
        Endpoints {
            link_local: vec![
                "http://169.254.169.254".into(),
                "http://[fd00:ec2::254]".into(),
            ],
            router_port: 80,
            router_name: Some("data-server".into()),
        }
    }
}

/// What sources look at besides the network.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// `/` on a running machine.
    pub root: PathBuf,
    /// What detection saw.
    pub evidence: Evidence,
    /// Where services are.
    pub endpoints: Endpoints,
}

impl Source {
    /// Whether it needs no network.
    pub fn is_local(self) -> bool {
        matches!(
            self,
            Source::Host | Source::NoCloudDisk | Source::ConfigDrive
        )
    }

    /// Reads a local source; `None` when it is not there (or not local).
    ///
    /// # Errors
    /// The device failed or what it holds makes no sense.
    pub fn read(self, scene: &Scene) -> Result<Option<Found>> {
        match self {
            Source::Host => host::read(scene),
            Source::NoCloudDisk => nocloud::read(scene),
            Source::ConfigDrive => configdrive::read(scene),
            _ => Ok(None),
        }
    }

    /// Asks any source until `deadline`; `None` when what answered says that
    /// there is no such service, or there is nothing to ask.
    ///
    /// # Errors
    /// No answer before the deadline, or one that makes no sense.
    pub async fn fetch(
        self,
        scene: &Scene,
        http: &Http,
        deadline: Instant,
    ) -> Result<Option<Found>> {
        match self {
            Source::Host | Source::NoCloudDisk | Source::ConfigDrive => self.read(scene),
            Source::NoCloudSeed => nocloud::fetch(scene, http, deadline).await,
            Source::Ec2 => ec2::fetch(scene, http, deadline).await,
            Source::CloudStack => cloudstack::fetch(scene, http, deadline).await,
            Source::OpenStack => openstack::fetch(scene, http, deadline).await,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Host => "firmware configuration or credentials",
            Source::NoCloudDisk => "disk labelled cidata",
            Source::NoCloudSeed => "NoCloud seed URL",
            Source::ConfigDrive => "disk labelled config-2",
            Source::Ec2 => "EC2 metadata service",
            Source::CloudStack => "CloudStack virtual router",
            Source::OpenStack => "OpenStack metadata service",
        })
    }
}

/// What each source makes of the same documents, for `fuzz/`.
#[cfg(fuzzing)]
pub fn parse_all(raw: &Raw) -> [Found; 4] {
    [
        nocloud::parse(raw, "", None),
        ec2::parse(raw, ""),
        cloudstack::parse(raw, ""),
        openstack::parse(raw, ""),
    ]
}

#[cfg(test)]
mod tests;
