//! `Packages` indexes: one stanza per binary package, borrowed from the text.

use std::io::Read;

use super::lock::Pocket;
use super::release::Index;
use crate::error::{Context, Error, Result};

/// One binary package of an index. Fields that are absent are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Package<'a> {
    pub pocket: Pocket,
    pub name: &'a str,
    pub version: &'a str,
    pub architecture: &'a str,
    /// `Source` without a version; the package's own name if absent.
    pub source: &'a str,
    pub priority: &'a str,
    pub pre_depends: &'a str,
    pub depends: &'a str,
    pub provides: &'a str,
    pub conflicts: &'a str,
    pub breaks: &'a str,
    pub filename: &'a str,
    pub size: &'a str,
    pub sha256: &'a str,
}

/// Fields of [`Package`]; all others are left out of what is kept.
const FIELDS: [&str; 13] = [
    "Package",
    "Version",
    "Architecture",
    "Source",
    "Priority",
    "Pre-Depends",
    "Depends",
    "Provides",
    "Conflicts",
    "Breaks",
    "Filename",
    "Size",
    "SHA256",
];

/// Changes when [`condense`] keeps something else.
pub(crate) const CONDENSED: &str = "1";

/// The lines of an index that are used here: a third of it, quick to read again.
pub(crate) fn condense(text: &str) -> String {
    let mut out = String::with_capacity(text.len() / 2);
    for line in text.lines() {
        let key = line.split(':').next().unwrap_or("");
        if line.is_empty() || FIELDS.contains(&key) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Decompresses an xz file whose size and hash were checked; no more than a GiB.
pub(crate) fn decompress(name: &str, xz: impl Read) -> Result<String> {
    const LIMIT: u64 = 1 << 30;
    let mut text = String::new();
    liblzma::read::XzDecoder::new(xz)
        .take(LIMIT)
        .read_to_string(&mut text)
        .refused(|| format!("decompressing {name}"))?;
    Ok(text)
}

/// Reads all stanzas. A stanza without `Package` or `Version` is refused.
pub(crate) fn parse<'a>(name: &str, text: &'a str, pocket: Pocket) -> Result<Vec<Package<'a>>> {
    let empty = Package {
        pocket,
        name: "",
        version: "",
        architecture: "",
        source: "",
        priority: "",
        pre_depends: "",
        depends: "",
        provides: "",
        conflicts: "",
        breaks: "",
        filename: "",
        size: "",
        sha256: "",
    };
    let mut all = Vec::new();
    let mut current = empty;
    let mut open = false;
    for line in text.lines().chain(std::iter::once("")) {
        if line.is_empty() {
            if open {
                if current.name.is_empty() || current.version.is_empty() {
                    return Err(Error::refused(format!(
                        "stanza {} of {name} names no package",
                        all.len() + 1
                    )));
                }
                if current.source.is_empty() {
                    current.source = current.name;
                }
                all.push(current);
                current = empty;
                open = false;
            }
            continue;
        }
        open = true;
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let field = match key {
            "Package" => &mut current.name,
            "Version" => &mut current.version,
            "Architecture" => &mut current.architecture,
            "Source" => &mut current.source,
            "Priority" => &mut current.priority,
            "Pre-Depends" => &mut current.pre_depends,
            "Depends" => &mut current.depends,
            "Provides" => &mut current.provides,
            "Conflicts" => &mut current.conflicts,
            "Breaks" => &mut current.breaks,
            "Filename" => &mut current.filename,
            "Size" => &mut current.size,
            "SHA256" => &mut current.sha256,
            _ => continue,
        };
        *field = value.trim();
        if key == "Source" {
            current.source = current.source.split(' ').next().unwrap_or("");
        }
    }
    Ok(all)
}

/// Path of an index below the suite's directory.
pub(crate) fn index_path(architecture: &str) -> String {
    format!("main/binary-{architecture}/Packages.xz")
}

/// Same index by its hash, which does not change under a reader's feet.
pub(crate) fn by_hash_path(architecture: &str, index: &Index) -> String {
    format!("main/binary-{architecture}/by-hash/SHA256/{}", index.sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_stanzas() {
        let text = "Package: a\nSource: src (1.0)\nVersion: 1\nDescription: x\n more: y\nDepends: b (>= 2)\n\n\nPackage: b\nVersion: 2\n";
        let all = parse("x", text, Pocket::Main).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].name, all[0].source, all[0].depends),
            ("a", "src", "b (>= 2)")
        );
        assert_eq!((all[1].name, all[1].source), ("b", "b"));
        assert_eq!(parse("x", &condense(text), Pocket::Main).unwrap(), all);
        assert!(!condense(text).contains("Description"));
        assert!(parse("x", "", Pocket::Main).unwrap().is_empty());
        assert!(parse("x", "Version: 1\n", Pocket::Main).is_err());
    }

    #[test]
    fn truncated_xz_is_refused() {
        assert_eq!(
            decompress("x", &b"\xfd7zXZ\0"[..]).unwrap_err().kind(),
            crate::error::Kind::Refused
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "([A-Z][a-z0-9]{0,8}:.{0,20}\n|\n| .{0,9}\n){0,12}") {
            let _ = parse("x", &text, Pocket::Main);
        }
    }
}
