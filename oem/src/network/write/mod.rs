//! Writes systemd-networkd's units: `.network` for every link, `.netdev` for
//! those to be made, `.link` (of udev) for renames and Wake on LAN.
//!
//! All begin with `72-oem-`: what users and operators number lower wins, and
//! so does `ip=` of the kernel command line (70, 71); the image's own DHCP on
//! every card (89) takes the cards the text does not name, which is also what
//! keeps a machine reachable whose cards are not those of the text.
//!
//! `.network` and `.netdev` go to `/run/systemd/network`: they are of this boot
//! and written anew before networkd starts, from a drive; when they come over
//! the network they are for networkd to reload. `.link` files go to
//! `/etc/systemd/network`: udev has named the cards before anything of ours
//! runs, so only those of the boot before are there in time.

mod link;
mod netdev;
mod network;

use super::model::{Link, Network};
use std::collections::HashSet;
use std::fmt::Write as _;

/// What every file made here begins with.
pub const PREFIX: &str = "72-oem-";
/// Where units of this boot are.
pub const RUNTIME: &str = "/run/systemd/network/";
/// Where udev finds its part at the next boot.
pub const LASTING: &str = "/etc/systemd/network/";

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Absolute path.
    pub path: String,
    /// All of it.
    pub content: String,
    /// Line of the text that asked for it.
    pub line: u32,
}

/// The units of a network, in the order of its links. The same network gives
/// the same bytes.
pub fn units(network: &Network) -> Vec<Unit> {
    let mut out = Vec::new();
    let mut names = HashSet::new();
    for link in &network.links {
        let name = file_name(link, &mut names);
        let mut add = |directory: &str, suffix: &str, content: String| {
            out.push(Unit {
                path: format!("{directory}{PREFIX}{name}.{suffix}"),
                content,
                line: link.spot.line,
            });
        };
        if let Some(content) = link::content(link) {
            add(LASTING, "link", content);
        }
        if let Some(content) = netdev::content(link) {
            add(RUNTIME, "netdev", content);
        }
        if let Some(content) = network::content(link, network) {
            add(RUNTIME, "network", content);
        }
    }
    out
}

/// An id as a file name, each once.
fn file_name(link: &Link, names: &mut HashSet<String>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name: String = link
        .id
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    let mut unique = name.clone();
    let mut n = 2;
    while !names.insert(unique.clone()) {
        unique = format!("{name}-{n}");
        n += 1;
    }
    unique
}

/// A unit file being written.
#[derive(Default)]
struct File(String);

impl File {
    fn new() -> File {
        File("# Made by oem from the provider's network configuration.\n".to_owned())
    }
    fn section(&mut self, name: &str) {
        if !self.0.ends_with("]\n") {
            self.0.push('\n');
        }
        let _ = writeln!(self.0, "[{name}]");
    }
    fn set(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{key}={value}");
    }
    fn maybe(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }
    fn flag(&mut self, key: &str, value: bool) {
        self.set(key, if value { "yes" } else { "no" });
    }
    fn maybe_flag(&mut self, key: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.flag(key, value);
        }
    }
}

/// Sections that are left out when they have nothing in them.
struct Section<'a> {
    name: &'static str,
    file: &'a mut File,
    open: bool,
}

impl Section<'_> {
    fn new<'a>(file: &'a mut File, name: &'static str) -> Section<'a> {
        Section {
            name,
            file,
            open: false,
        }
    }
    fn file(&mut self) -> &mut File {
        if !self.open {
            self.file.section(self.name);
            self.open = true;
        }
        self.file
    }
    fn set(&mut self, key: &str, value: impl std::fmt::Display) {
        self.file().set(key, value);
    }
    fn maybe(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if value.is_some() {
            self.file().maybe(key, value);
        }
    }
    fn maybe_flag(&mut self, key: &str, value: Option<bool>) {
        if value.is_some() {
            self.file().maybe_flag(key, value);
        }
    }
}
