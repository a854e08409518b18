//! Which programs are checks.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

const FOLDERS: [&str; 2] = ["usr/lib/holdfast/health.d", "etc/holdfast/health.d"];

/// What a program's result means.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It must pass.
    Required,
    /// It is told about.
    Wanted,
    /// It runs when a required one failed.
    OnFailure,
}

impl Kind {
    const ALL: [(Kind, &'static str); 3] = [
        (Kind::Required, "required.d"),
        (Kind::Wanted, "wanted.d"),
        (Kind::OnFailure, "on-failure.d"),
    ];
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// File name.
    pub name: String,
    /// What its result means.
    pub kind: Kind,
    /// Where it is.
    pub path: PathBuf,
}

/// All programs below `root`, in the order in which they run.
pub(super) fn find(root: &Path) -> Vec<Check> {
    let mut found: BTreeMap<(Kind, String), PathBuf> = BTreeMap::new();
    for folder in FOLDERS {
        for (kind, name) in Kind::ALL {
            // A folder that is not there has no checks.
            let entries = std::fs::read_dir(root.join(folder).join(name));
            for entry in entries.into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let leftover = name.starts_with('.') || name.ends_with('~');
                if !leftover {
                    found.insert((kind, name), entry.path());
                }
            }
        }
    }
    found
        .into_iter()
        .filter(|(_, path)| !is_mask(path))
        .map(|((kind, name), path)| Check { name, kind, path })
        .collect()
}

fn is_mask(path: &Path) -> bool {
    std::fs::read_link(path).is_ok_and(|to| to == Path::new("/dev/null"))
        || path.metadata().is_ok_and(|m| m.is_file() && m.len() == 0)
}

impl Check {
    /// Why it must not be run. Whoever may write it would run as this process.
    pub(super) fn refusal(&self) -> Option<String> {
        let meta = match self.path.metadata() {
            Ok(meta) => meta,
            Err(e) => return Some(e.to_string()),
        };
        let ours = meta.uid() == 0 || meta.uid() == nix::unistd::geteuid().as_raw();
        if !meta.is_file() {
            Some("is not a regular file".to_owned())
        } else if !ours || meta.mode() & 0o022 != 0 {
            Some("others than root may write it".to_owned())
        } else if meta.mode() & 0o100 == 0 {
            Some("is not executable".to_owned())
        } else {
            None
        }
    }
}
