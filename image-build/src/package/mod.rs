//! Debian packages: reading .deb files, once, into the cache; their maintainer
//! scripts, which are never run.

mod ar;
mod compressed;
mod control;
mod extract;
pub mod scripts;
mod store;
#[cfg(test)]
mod test;
mod unpack;

use std::collections::BTreeMap;

use crate::tree::Node;

pub use extract::extract;
#[cfg(fuzzing)]
pub use unpack::try_unpack;
pub use unpack::unpack;

/// An unpacked package. File contents stay in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Binary package name.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// Architecture (`amd64`, `all`).
    pub architecture: String,
    /// All fields of the control file.
    pub control: BTreeMap<String, String>,
    /// Maintainer scripts by name (`preinst`, `postinst`, `prerm`, `postrm`, `config`).
    pub scripts: BTreeMap<String, String>,
    /// Configuration files, as absolute paths.
    pub conffiles: Vec<String>,
    /// Lines of the `triggers` file.
    pub triggers: Vec<String>,
    /// Paths (relative, clean, as shipped) and nodes, in the order of the archive.
    pub nodes: Vec<(String, Node)>,
    /// What was left out on purpose (device nodes, fifos), one line each.
    pub warnings: Vec<String>,
}

impl Package {
    /// Names in a relation field, without versions and alternatives' order.
    fn relation<'a>(&'a self, field: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let text = self.control.get(field).map_or("", String::as_str);
        text.split([',', '|'])
            .map(|r| r.split(['(', '[', ':']).next().unwrap_or_default().trim())
            .filter(|n| !n.is_empty())
    }

    /// True if this package may overwrite files of the package `other`.
    pub fn replaces(&self, other: &str) -> bool {
        self.relation("Replaces").any(|name| name == other)
    }
}
