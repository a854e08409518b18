//! What a source hands over: metadata in one shape for every provider, and the
//! raw user-data and vendor-data.

use crate::cloudconfig::Password;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
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

impl Metadata {
    /// Public and private IPv4, public and private IPv6.
    pub fn addresses(&self) -> [Option<String>; 4] {
        let v4 = |a: Option<Ipv4Addr>| a.map(|a| a.to_string());
        let v6 = |a: Option<Ipv6Addr>| a.map(|a| a.to_string());
        [
            v4(self.public_ipv4),
            v4(self.private_ipv4),
            v6(self.public_ipv6),
            v6(self.private_ipv6),
        ]
    }
}

impl Metadata {
    /// Everything that is one value, by name: attributes, and what has a field. A field
    /// goes before an attribute of its name.
    pub fn values(&self) -> BTreeMap<String, String> {
        let [public_ipv4, private_ipv4, public_ipv6, private_ipv6] = self.addresses();
        let fields = [
            (
                "provider",
                Some(self.provider.clone()).filter(|p| !p.is_empty()),
            ),
            ("instance-id", self.instance_id.clone()),
            ("hostname", self.hostname.clone()),
            ("public-ipv4", public_ipv4),
            ("private-ipv4", private_ipv4),
            ("public-ipv6", public_ipv6),
            ("private-ipv6", private_ipv6),
        ];
        let mut values = self.attributes.clone();
        for (name, value) in fields {
            values.extend(value.map(|v| (name.to_owned(), v)));
        }
        values
    }
}

/// What is kept of each instance, in a directory of its [`instance_name`].
pub const INSTANCES: &str = "/var/lib/oem/instances";

/// A file name for an instance's id. Ids are foreign text: whatever is not a plain
/// name is replaced by its hash.
pub fn instance_name(id: &str) -> String {
    if is_plain(id) {
        return id.to_owned();
    }
    let hash = Sha256::digest(id.as_bytes());
    hash.iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whether a text can be a file name as it is.
pub fn is_plain(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
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
    /// Passwords to set. In no copy and no print.
    #[serde(skip)]
    pub passwords: Vec<Password>,
}
