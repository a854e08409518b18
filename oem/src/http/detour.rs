//! Connections that go elsewhere: tests and simulators stand in for the services at
//! their literal addresses.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// From `host:port` as in a URL (`169.254.169.254:80`, `[fd00:ec2::254]:80`) to where
/// to connect. Whatever is not in it is refused.
#[derive(Debug, Clone, Default)]
pub struct Detour(BTreeMap<String, SocketAddr>);

impl Detour {
    /// Adds a way.
    #[must_use]
    pub fn with(mut self, authority: impl Into<String>, to: SocketAddr) -> Self {
        self.0.insert(authority.into(), to);
        self
    }

    pub(super) fn get(&self, authority: &str) -> Option<SocketAddr> {
        self.0.get(authority).copied()
    }
}
