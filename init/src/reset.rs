//! Factory reset: `/` as if the machine had never been booted, but for paths that are kept.
//!
//! What asks for it is the name of the root partition, so that whoever asks writes one sector last, and a power cut leaves
//! either the old state or a reset that goes on at the next boot:
//!
//! | name | at the next boot |
//! |---|---|
//! | [`NAME`] | nothing happens |
//! | [`NEW`] | the partition is formatted, then named [`NAME`] |
//! | [`PRUNE`] | everything is removed but what [`LIST`] names, then it is named [`NAME`] |
//!
//! What is kept stays where it is, so it may be of any size, and no step has it in danger.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Name of a root partition in use.
pub const NAME: &str = "root";
/// Name of one whose content counts for nothing.
pub const NEW: &str = "root.new";
/// Name of one of which only some paths are to stay.
pub const PRUNE: &str = "root.prune";
/// The list of these paths, below the root.
pub const LIST: &str = "var/lib/holdfast/reset-keep";

const HEAD: &str = "holdfast reset 1";
/// No relative path starts like this.
const END: &str = "/end";

/// Paths below the root that stay, as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// Stays with all that is in it.
    whole: bool,
    inside: BTreeMap<OsString, Keep>,
}

/// What cannot be a list of paths that stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadList(String);

impl std::fmt::Display for BadList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadList {}

/// Writes a list. Paths are relative to the root; the list itself needs no mention.
pub fn encode(paths: &[&str]) -> Result<String, BadList> {
    let mut text = format!("{HEAD}\n");
    for path in paths {
        components(path)?;
        let _ = writeln!(text, "{path}");
    }
    Ok(text + END + "\n")
}

impl Keep {
    /// Reads a list. One that was not written to its end is refused.
    pub fn decode(text: &str) -> Result<Self, BadList> {
        let bad = |why: &str| BadList(format!("the list of paths that stay {why}"));
        let body = text
            .strip_prefix(HEAD)
            .ok_or_else(|| bad("has no head that is known"))?
            .strip_suffix("\n/end\n")
            .ok_or_else(|| bad("has no end"))?;
        let mut keep = Keep::default();
        for line in body.split('\n').skip(1).chain([LIST]) {
            let mut at = &mut keep;
            for name in components(line)? {
                at = at.inside.entry(name.to_owned()).or_default();
            }
            at.whole = true;
        }
        Ok(keep)
    }
}

/// The names in a relative path.
fn components(path: &str) -> Result<Vec<&OsStr>, BadList> {
    let bad = || BadList(format!("{path:?} is not a path below the root"));
    if path.is_empty() || path.contains(['\n', '\0']) {
        return Err(bad());
    }
    path.split('/')
        .map(|name| match name {
            "" | "." | ".." => Err(bad()),
            name => Ok(OsStr::new(name)),
        })
        .collect()
}

/// Removes everything below `root` but what is kept. Goes on after a failure; returns what could not be removed.
pub fn prune(root: &Path, keep: &Keep) -> Vec<(PathBuf, io::Error)> {
    let mut failures = Vec::new();
    inside(root, keep, &mut failures);
    failures
}

fn inside(folder: &Path, keep: &Keep, failures: &mut Vec<(PathBuf, io::Error)>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return failures.push((folder.to_owned(), error)),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                failures.push((folder.to_owned(), error));
                continue;
            }
        };
        let path = entry.path();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        match keep.inside.get(&entry.file_name()) {
            Some(kept) if kept.whole => continue,
            // What is kept below a link that was a directory once is not there.
            Some(kept) if is_dir => {
                inside(&path, kept, failures);
                continue;
            }
            _ => {}
        }
        let removed = if is_dir {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => failures.push((path, error)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    fn tree(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
    }

    fn files(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut todo = vec![root.to_owned()];
        while let Some(folder) = todo.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    todo.push(path);
                } else {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                    found.push(name.to_owned());
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn only_what_is_kept_stays() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        tree(outside.path(), &["victim"]);
        let at = root.path();
        tree(
            at,
            &[
                "etc/end",
                "home/core/data/1",
                "home/core/data/deep/2",
                "home/core/.ssh/key",
                "home/other/x",
                LIST,
                "var/lib/docker/big",
            ],
        );
        symlink(outside.path(), at.join("link")).unwrap();
        symlink(outside.path(), at.join("home/core/link")).unwrap();
        symlink("/nowhere", at.join("srv")).unwrap();
        let list = encode(&["home/core/data", "srv/data", "not/there"]).unwrap();
        let keep = Keep::decode(&list).unwrap();
        for _ in 0..2 {
            assert!(prune(at, &keep).is_empty());
            assert_eq!(
                files(at),
                ["home/core/data/1", "home/core/data/deep/2", LIST]
            );
        }
        assert_eq!(files(outside.path()), ["victim"]);
        assert!(!at.join("etc").exists() && !at.join("var/lib/docker").exists());
    }

    #[test]
    fn lists_that_say_nothing_sure_are_refused() {
        let good = encode(&["a/b"]).unwrap();
        for cut in 0..good.len() {
            assert!(Keep::decode(&good[..cut]).is_err(), "{cut}");
        }
        for path in ["", "/a", "a/../b", "a//b", ".", "a\nb", "a/"] {
            assert!(encode(&[path]).is_err(), "{path:?}");
            let text = format!("{HEAD}\n{path}\n{END}\n");
            assert!(
                path.contains('\n') || Keep::decode(&text).is_err(),
                "{path:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(holdfast reset 1\n)?[a./\n]{0,40}(end\n)?") {
            let _ = Keep::decode(&text);
        }
    }
}
