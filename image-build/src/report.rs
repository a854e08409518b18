//! The build report: where the bytes went, how much room updates have left, what
//! was not run. `NAME.report.json` beside the outputs, and a short text.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::package::scripts::Skipped;
use crate::tree::{Kind, Tree};

/// One name with its share of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Package, finalizer or directory.
    pub name: String,
    /// Bytes of its regular files.
    pub bytes: u64,
    /// Number of its regular files.
    pub files: u64,
}

/// How full a fixed-size partition is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Room {
    /// Bytes used.
    pub used: u64,
    /// Bytes the partition holds.
    pub size: u64,
}

impl Room {
    /// Part in use, in percent.
    pub fn percent(&self) -> u64 {
        self.used * 100 / self.size.max(1)
    }
}

/// What a build made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Recipe name.
    pub name: String,
    /// Image version.
    pub version: String,
    /// Kernel release.
    pub kernel: String,
    /// Verity root hash of /usr.
    pub root_hash: String,
    /// Sizes in bytes: initrd, UKI, usr image, verity tree, each output file.
    pub sizes: BTreeMap<String, u64>,
    /// Room in the usr slot.
    pub usr_slot: Room,
    /// Room in the verity slot.
    pub verity_slot: Room,
    /// Room on the ESP if three UKIs of this size lie on it (both slots and one being written).
    pub esp: Room,
    /// Packages by size, largest first.
    pub packages: Vec<Share>,
    /// Directories (two levels below /usr) by size, largest first.
    pub directories: Vec<Share>,
    /// Units that start by themselves.
    pub enabled_units: Vec<String>,
    /// Hand-written maintainer scripts that were not run, with the first lines.
    pub skipped_scripts: Vec<Skipped>,
    /// Warnings of the build.
    pub warnings: Vec<String>,
}

/// Sums the tree's regular files by who put them there and by directory.
pub fn shares(tree: &Tree) -> (Vec<Share>, Vec<Share>) {
    let mut by_origin: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut by_dir: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (path, node) in tree.iter() {
        let Kind::File(content) = &node.kind else {
            continue;
        };
        let dir = path
            .split('/')
            .take(3.min(path.split('/').count() - 1))
            .collect::<Vec<_>>()
            .join("/");
        for slot in [
            by_origin.entry(&node.origin).or_default(),
            by_dir.entry(dir).or_default(),
        ] {
            slot.0 += content.len();
            slot.1 += 1;
        }
    }
    let sorted = |list: Vec<(String, (u64, u64))>| {
        let mut list: Vec<Share> = list
            .into_iter()
            .map(|(name, (bytes, files))| Share { name, bytes, files })
            .collect();
        list.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        list
    };
    (
        sorted(
            by_origin
                .into_iter()
                .map(|(n, s)| (n.to_owned(), s))
                .collect(),
        ),
        sorted(by_dir.into_iter().collect()),
    )
}

impl Report {
    /// The report's JSON.
    pub fn json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// A summary of a few lines.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{} {}  kernel {}  usrhash {}",
            self.name, self.version, self.kernel, self.root_hash
        );
        for (name, bytes) in &self.sizes {
            let _ = writeln!(out, "  {name:<28} {:>9}", size(*bytes));
        }
        for (name, room) in [
            ("usr slot", &self.usr_slot),
            ("verity slot", &self.verity_slot),
            ("ESP (3 UKIs)", &self.esp),
        ] {
            let _ = writeln!(
                out,
                "  {name:<28} {:>3} % of {}",
                room.percent(),
                size(room.size)
            );
        }
        out
    }
}

/// Decimal megabytes with one digit, as file sizes are usually given; kilobytes where
/// that would say nothing.
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..100_000 => (100, "kB"),
        _ => (100_000, "MB"),
    };
    let tenths = (bytes + unit / 2) / unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds() {
        assert_eq!(size(0), "0.0 kB");
        assert_eq!(size(1_449), "1.4 kB");
        assert_eq!(size(100_000), "0.1 MB");
        assert_eq!(size(1_949_999), "1.9 MB");
        assert_eq!(size(1_950_000), "2.0 MB");
    }
}
