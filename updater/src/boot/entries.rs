//! The UKIs on the ESP: systemd-boot's entries.

use super::esp::Esp;
use crate::bls::{EntryName, FOLDER, Verdict};
use crate::uki;
use crate::version::{PREFIX, Version};

/// A UKI of ours and the names it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The release it boots.
    pub version: Version,
    /// Its files. More than one after a rename that was cut.
    pub files: Vec<Name>,
}

/// A file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// As the ESP has it.
    pub file: String,
    /// What it says.
    pub entry: EntryName,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Name {
    /// Path on the ESP.
    pub fn path(&self) -> String {
        format!("{FOLDER}/{}", self.file)
    }

    fn left(&self) -> Option<u32> {
        self.entry.counters.map(|c| c.left)
    }
}

/// Which of several names counts, the least first. Of two, the one that a cut rename
/// was going to make: no tries left, else no counter, else fewer tries.
pub(super) fn rank(name: &EntryName) -> (u8, u32) {
    match name.counters.map(|c| c.left) {
        Some(0) => (0, 0),
        None => (1, 0),
        Some(left) => (2, left),
    }
}

impl Entry {
    /// The name that counts.
    pub fn name(&self) -> Option<&Name> {
        self.files.iter().min_by_key(|name| rank(&name.entry))
    }

    /// What the name says.
    pub fn verdict(&self) -> Verdict {
        self.name()
            .map_or(Verdict::Bad, |name| name.entry.verdict())
    }

    /// Tries left; none without a counter.
    pub fn left(&self) -> Option<u32> {
        self.name().and_then(Name::left)
    }
}

/// Reads a name as FAT has it: upper and lower case are the same.
pub(super) fn parse(file: &str) -> Option<EntryName> {
    let (start, end) = (file.get(..PREFIX.len())?, file.len().checked_sub(4)?);
    let (stem, suffix) = (file.get(PREFIX.len()..end)?, file.get(end..)?);
    let ours = start.eq_ignore_ascii_case(PREFIX) && suffix.eq_ignore_ascii_case(".efi");
    EntryName::parse(&format!("{PREFIX}{stem}.efi")).filter(|_| ours)
}

/// Whether two releases have the same file names on FAT.
pub fn same(a: &Version, b: &Version) -> bool {
    a.as_str().eq_ignore_ascii_case(b.as_str())
}

/// How the driver begins the short names of our files.
const SHORT: &str = "holdfa~";

/// Whether this may be all that a loss of power left of one of our names:
/// `HOLDFA~1.EFI`. To systemd-boot it is an entry like any other, without counter.
pub(super) fn is_short(file: &str) -> bool {
    file.to_ascii_lowercase().starts_with(SHORT) && has_suffix(file, ".efi")
}

/// Whether this is a file of ours that was being written.
pub(super) fn is_temporary(file: &str) -> bool {
    let lower = file.to_ascii_lowercase();
    (lower.starts_with(PREFIX) || lower.starts_with(SHORT)) && has_suffix(file, ".tmp")
}

/// As FAT compares it.
pub(super) fn has_suffix(file: &str, suffix: &str) -> bool {
    file.to_ascii_lowercase().ends_with(suffix)
}

/// The release of a UKI that has lost its long name.
fn inside(esp: &dyn Esp, file: &str) -> Option<EntryName> {
    let bytes = esp.read(&format!("{FOLDER}/{file}")).ok()?;
    let release = uki::text(&bytes, ".osrel").ok()??;
    let value = |key: &str| {
        let mut lines = release.lines();
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.map(|value| value.trim_matches(['"', '\'']))
    };
    let ours = value("IMAGE_ID")? == PREFIX.trim_end_matches('_');
    Some(EntryName {
        version: value("IMAGE_VERSION")?.parse().ok()?,
        counters: None,
    })
    .filter(|_| ours)
}

/// All UKIs of ours. Files of others are left out, and left alone; so are names that
/// have no bytes.
pub fn list(esp: &dyn Esp) -> std::io::Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    for (file, bytes) in esp.list(FOLDER)?.into_iter().filter(|file| file.1 > 0) {
        let named = parse(&file);
        let Some(entry) = named.or_else(|| is_short(&file).then(|| inside(esp, &file))?) else {
            continue;
        };
        let version = entry.version.clone();
        let name = Name { file, entry, bytes };
        match entries.iter_mut().find(|e| same(&e.version, &version)) {
            Some(known) => known.files.push(name),
            None => entries.push(Entry {
                version,
                files: vec![name],
            }),
        }
    }
    Ok(entries)
}

/// Files that something which was cut left behind, with their sizes: our temporary
/// ones, and what a check of the file system found.
pub fn stale(esp: &dyn Esp) -> std::io::Result<Vec<(String, u64)>> {
    let mut stale = Vec::new();
    for folder in [FOLDER, "grub", ""] {
        for (name, bytes) in esp.list(folder)? {
            let lower = name.to_ascii_lowercase();
            let found = match folder {
                "" => {
                    let number = lower
                        .strip_prefix("fsck")
                        .and_then(|n| n.strip_suffix(".rec"));
                    number.is_some_and(|n| n.len() == 4 && n.bytes().all(|b| b.is_ascii_digit()))
                }
                FOLDER => is_temporary(&name),
                _ => has_suffix(&name, ".tmp"),
            };
            if found {
                let path = if folder.is_empty() {
                    name
                } else {
                    format!("{folder}/{name}")
                };
                stale.push((path, bytes));
            }
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::Folder;
    use proptest::prelude::*;

    #[test]
    fn f5_cut_renames_case_and_litter() {
        let root = tempfile::tempdir().unwrap();
        let esp = Folder::new(root.path());
        for path in [
            "EFI/Linux/holdfast_1.efi",
            "EFI/Linux/holdfast_2+3.efi",
            "EFI/Linux/holdfast_2+2-1.efi",
            "EFI/Linux/HOLDFAST_3+0-3.EFI",
            "EFI/Linux/holdfast_3.efi",
            "EFI/Linux/holdfast_4.efi.tmp",
            "EFI/Linux/debian.efi",
            "EFI/Linux/notes.tmp",
            "FSCK0000.REC",
            "FSCKabcd.REC",
            "grub/b.cfg.tmp",
        ] {
            esp.create(path, b"x").unwrap();
        }
        let entries = list(&esp).unwrap();
        let mut found: Vec<_> = entries
            .iter()
            .map(|e| (e.version.as_str(), e.files.len(), e.verdict(), e.left()))
            .collect();
        found.sort_by_key(|e| e.0);
        assert_eq!(
            found,
            [
                ("1", 1, Verdict::Good, None),
                ("2", 2, Verdict::Trial, Some(2)),
                ("3", 2, Verdict::Bad, Some(0)),
            ]
        );
        let stale: Vec<String> = stale(&esp).unwrap().into_iter().map(|s| s.0).collect();
        assert_eq!(
            stale,
            [
                "EFI/Linux/holdfast_4.efi.tmp",
                "grub/b.cfg.tmp",
                "FSCK0000.REC"
            ]
        );
    }

    proptest! {
        #[test]
        fn never_panics(name in ".{0,40}") {
            let _ = parse(&name);
        }
    }
}
