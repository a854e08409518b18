//! A tree of values as EC2-shaped services show it: a file is its value, a
//! directory is the list of its entries, `/` after the names of directories.

use std::collections::BTreeMap;

/// Values by path; paths have no slash at either end.
#[derive(Debug, Default)]
pub(super) struct Tree {
    files: BTreeMap<String, Vec<u8>>,
    /// Listings that differ from the names of the entries.
    listings: BTreeMap<String, String>,
}

impl Tree {
    pub(super) fn file(&mut self, path: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), value.into());
    }

    pub(super) fn listing(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.listings.insert(path.into(), text.into());
    }

    /// Value or listing of `path`; slashes at its ends do not matter.
    pub(super) fn get(&self, path: &str) -> Option<Vec<u8>> {
        let path = path.trim_matches('/');
        if let Some(value) = self.files.get(path) {
            return Some(value.clone());
        }
        if let Some(text) = self.listings.get(path) {
            return Some(text.clone().into_bytes());
        }
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let mut names: Vec<String> = self
            .files
            .keys()
            .filter_map(|k| k.strip_prefix(&prefix))
            .map(|rest| match rest.split_once('/') {
                Some((dir, _)) => format!("{dir}/"),
                None => rest.to_owned(),
            })
            .collect();
        names.dedup();
        (!names.is_empty()).then(|| names.join("\n").into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_reads() {
        let mut tree = Tree::default();
        tree.file("meta-data/a", "1");
        tree.file("meta-data/b/c", "2");
        tree.file("meta-data/b/d", "3");
        assert_eq!(tree.get("/meta-data/").unwrap(), b"a\nb/");
        assert_eq!(tree.get("meta-data/b").unwrap(), b"c\nd");
        assert_eq!(tree.get("meta-data/b/c").unwrap(), b"2");
        assert_eq!(tree.get("meta-data/x"), None);
        assert_eq!(tree.get("meta"), None);
    }
}
