//! What a source hands over: metadata in one shape for every provider, and the
//! raw user-data and vendor-data.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Facts about this machine as its provider tells them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Provider name as the OEM table spells it, e.g. `ec2`.
    pub provider: String,
    /// Identity of this instance; a new value means a new machine.
    pub instance_id: Option<String>,
    /// Host name, possibly fully qualified.
    pub hostname: Option<String>,
    /// Public keys in `authorized_keys` format, one a string.
    pub ssh_keys: Vec<String>,
    /// Address reachable from outside.
    pub public_ipv4: Option<Ipv4Addr>,
    /// Address on the provider's inner network.
    pub private_ipv4: Option<Ipv4Addr>,
    /// Address reachable from outside.
    pub public_ipv6: Option<Ipv6Addr>,
    /// Address on the provider's inner network.
    pub private_ipv6: Option<Ipv6Addr>,
    /// Everything else worth keeping (zone, instance type...), by name.
    pub attributes: BTreeMap<String, String>,
}

/// The result of asking one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fetched {
    /// Provider name, e.g. `ec2`.
    pub provider: String,
    /// Where it was read: a URL or a device, for people.
    pub source: String,
    /// User-data as received, undecoded.
    pub user_data: Option<Vec<u8>>,
    /// Vendor-data as received, undecoded.
    pub vendor_data: Option<Vec<u8>>,
    /// Network configuration as received, in any of the formats of
    /// [`crate::network`].
    pub network: Option<Vec<u8>>,
    /// The metadata.
    pub metadata: Metadata,
}
