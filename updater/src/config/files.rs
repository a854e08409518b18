//! Which files make up the configuration.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::Problem;

/// Folders of drop-ins; a later one's file replaces an earlier one's of that name.
const FOLDERS: [&str; 3] = [
    "usr/lib/holdfast/update.d",
    "etc/holdfast/update.d",
    "run/holdfast/update.d",
];
/// What other systems wrote, and the names they are sorted by.
const LEGACY: [(&str, &str); 2] = [
    ("etc/coreos/update.conf", "50-update.conf"),
    ("etc/flatcar/update.conf", "50-update.conf~flatcar"),
];
/// Longest file that is read.
const MAX_FILE: u64 = 64 << 10;

/// Which language a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Yaml,
    Legacy,
}

/// A file and what is in it.
#[derive(Debug)]
pub(super) struct File {
    /// Absolute below the root.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// The files that count, in the order in which they are merged, and those that
/// could not be read.
pub(super) fn collect(root: &Path) -> (Vec<File>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut found: BTreeMap<String, (PathBuf, Kind)> = BTreeMap::new();
    for folder in FOLDERS {
        let shown = Path::new("/").join(folder);
        let entries = match std::fs::read_dir(root.join(folder)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => {
                problems.push(Problem::new(shown, None, format!("cannot be read: {e}")));
                continue;
            }
        };
        for entry in entries {
            match entry.map(|e| e.file_name().into_string()) {
                Ok(Ok(name)) if name.ends_with(".yaml") && !name.starts_with('.') => {
                    found.insert(name.clone(), (shown.join(name), Kind::Yaml));
                }
                Ok(Ok(name)) if is_mistaken(&name) => problems.push(
                    Problem::new(shown.join(&name), None, "only files named *.yaml are read")
                        .hint("rename it, or move it away"),
                ),
                // Editors' and package managers' leftovers.
                Ok(_) => {}
                Err(e) => {
                    problems.push(Problem::new(&shown, None, format!("cannot be read: {e}")));
                }
            }
        }
    }
    for (path, name) in LEGACY {
        if root.join(path).symlink_metadata().is_ok() {
            found.insert(name.to_owned(), (Path::new("/").join(path), Kind::Legacy));
        }
    }
    let mut files = Vec::new();
    for (path, kind) in found.into_values() {
        let here = root.join(path.strip_prefix("/").unwrap_or(&path));
        match read(&here) {
            Ok(text) if text.trim().is_empty() => {} // a mask
            Ok(text) => files.push(File { path, kind, text }),
            Err(message) => problems.push(Problem::new(path, None, message)),
        }
    }
    (files, problems)
}

/// Names that look as if they were meant to be read.
fn is_mistaken(name: &str) -> bool {
    [".yml", ".conf", ".toml", ".json"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

fn read(path: &Path) -> Result<String, String> {
    if std::fs::read_link(path).is_ok_and(|to| to == Path::new("/dev/null")) {
        return Ok(String::new());
    }
    let meta = std::fs::metadata(path).map_err(|e| format!("cannot be read: {e}"))?;
    // A FIFO here would hold up the daemon.
    if !meta.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|e| format!("cannot be read: {e}"))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("is longer than {} KiB", MAX_FILE >> 10));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}
