//! Reading and changing a tree.

use std::ops::Bound;

use super::{Content, Kind, Node, Tree, clean, matches, parent};
use crate::error::{Error, Result};

/// Origin of directories that exist because something is in them.
const IMPLIED: &str = "implied";

/// How many links a look-up follows (the kernel's own limit).
const MAX_LINKS: usize = 40;

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True when there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node at exactly this path (links are not followed).
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The node at exactly this path, to change its metadata.
    pub fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// True if there is a node at exactly this path.
    pub fn contains(&self, path: &str) -> bool {
        self.nodes.contains_key(path)
    }

    /// All nodes in the stable order of their paths (parents before children).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Everything below a directory, at any depth, without the directory itself.
    pub fn below<'a>(&'a self, dir: &str) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let (from, to) = (format!("{dir}/"), format!("{dir}0"));
        self.nodes
            .range::<String, _>((Bound::Included(from), Bound::Excluded(to)))
            .map(|(p, n)| (p.as_str(), n))
    }

    /// The names directly in a directory, with their nodes.
    pub fn children<'a>(
        &'a self,
        dir: &str,
    ) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let skip = dir.len() + 1;
        self.below(dir).filter_map(move |(path, node)| {
            let name = path.get(skip..)?;
            (!name.contains('/')).then_some((name, node))
        })
    }

    /// Puts a node, replacing what is there, and creates missing parents. Refuses a
    /// parent that is not a directory and a file in place of a full directory.
    pub fn insert(&mut self, path: &str, node: Node) -> Result<()> {
        let path = clean(path)?;
        self.make_parents(&path)?;
        if !matches!(node.kind, Kind::Dir) && self.below(&path).next().is_some() {
            return Err(Error::input(format!(
                "{} puts a file at /{path}, which is a directory with files in it",
                node.origin
            )));
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    /// Like [`Tree::insert`], but leaves an existing node alone. True if it was put.
    pub fn insert_new(&mut self, path: &str, node: Node) -> Result<bool> {
        if self.nodes.contains_key(&clean(path)?) {
            return Ok(false);
        }
        self.insert(path, node)?;
        Ok(true)
    }

    fn make_parents(&mut self, path: &str) -> Result<()> {
        let mut missing = Vec::new();
        let mut dir = path;
        while let Some(up) = parent(dir) {
            match self.nodes.get(up) {
                Some(Node {
                    kind: Kind::Dir, ..
                }) => break,
                Some(node) => {
                    return Err(Error::input(format!(
                        "/{path} cannot be created: /{up} from {} is not a directory",
                        node.origin
                    )));
                }
                None => missing.push(up),
            }
            dir = up;
        }
        for dir in missing {
            self.nodes.insert(dir.to_owned(), Node::dir(IMPLIED));
        }
        Ok(())
    }

    /// Takes out a node and everything below it. False if there was none.
    pub fn remove(&mut self, path: &str) -> bool {
        let below: Vec<String> = self.below(path).map(|(p, _)| p.to_owned()).collect();
        for p in &below {
            self.nodes.remove(p);
        }
        self.nodes.remove(path).is_some() || !below.is_empty()
    }

    /// Paths that match a pattern ([`matches()`]).
    pub fn find(&self, pattern: &str) -> Vec<String> {
        // Only paths that share the pattern's fixed start can match.
        let fixed = pattern
            .split(['*', '?'])
            .next()
            .unwrap_or_default()
            .to_owned();
        self.nodes
            .range(fixed.clone()..)
            .take_while(|(p, _)| p.starts_with(&fixed))
            .filter(|(p, _)| matches(pattern, p))
            .map(|(p, _)| p.clone())
            .collect()
    }

    /// Takes out what matches `remove`, with everything below it, except what matches
    /// `keep` and the directories that lead there. Returns how many nodes went.
    pub fn remove_matching<'a>(
        &mut self,
        remove: impl IntoIterator<Item = &'a str>,
        keep: impl IntoIterator<Item = &'a str>,
    ) -> usize {
        let mut gone = std::collections::BTreeSet::new();
        for path in remove.into_iter().flat_map(|pattern| self.find(pattern)) {
            gone.extend(self.below(&path).map(|(p, _)| p.to_owned()));
            gone.insert(path);
        }
        for path in keep.into_iter().flat_map(|pattern| self.find(pattern)) {
            let mut at = Some(path.as_str());
            while let Some(p) = at {
                gone.remove(p);
                at = parent(p);
            }
        }
        for path in &gone {
            self.nodes.remove(path);
        }
        gone.len()
    }

    /// Moves a node and everything below it; directories merge into existing ones,
    /// anything else replaces what is there. Nothing happens if `from` is missing. After
    /// an error the tree is sound but may lack nodes: it is of no more use.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let to = clean(to)?;
        if to == from || to.starts_with(&format!("{from}/")) {
            return Err(Error::input(format!(
                "/{from} cannot be moved into itself (/{to})"
            )));
        }
        let paths: Vec<String> = self.below(from).map(|(p, _)| p.to_owned()).collect();
        let mut moving = Vec::with_capacity(paths.len() + 1);
        for path in std::iter::once(from.to_owned()).chain(paths) {
            if let Some(node) = self.nodes.remove(&path) {
                moving.push((
                    format!("{to}{}", path.get(from.len()..).unwrap_or_default()),
                    node,
                ));
            }
        }
        for (target, node) in moving {
            let keep = matches!(node.kind, Kind::Dir)
                && self
                    .nodes
                    .get(&target)
                    .is_some_and(|n| matches!(n.kind, Kind::Dir));
            if !keep {
                self.insert(&target, node)?;
            }
        }
        Ok(())
    }

    /// Drops directories that only exist because something was in them.
    pub fn prune_implied(&mut self) {
        let mut dirs: Vec<String> = self
            .nodes
            .iter()
            .filter(|(_, n)| matches!(n.kind, Kind::Dir))
            .map(|(p, _)| p.clone())
            .collect();
        dirs.sort_by_key(|p| std::cmp::Reverse(p.len()));
        for dir in dirs {
            let implied = self.nodes.get(&dir).is_some_and(|n| &*n.origin == IMPLIED);
            if implied && self.below(&dir).next().is_none() {
                self.nodes.remove(&dir);
            }
        }
    }

    /// Follows links from `path` as the running system would, with the tree as its
    /// root. `None` if it leads nowhere or in circles.
    pub fn resolve(&self, path: &str) -> Option<String> {
        let mut todo: Vec<String> = split(path);
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            done.push(part);
            let here = super::canonical(&done.join("/"));
            match self.nodes.get(&here).map(|n| &n.kind) {
                Some(Kind::Symlink(target)) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.starts_with('/') {
                        done.clear();
                    } else {
                        done = here.split('/').map(str::to_owned).collect();
                        done.pop();
                    }
                    todo.extend(split(target));
                }
                Some(_) => done = here.split('/').map(str::to_owned).collect(),
                None => return None,
            }
        }
        Some(done.join("/"))
    }

    /// The content of a regular file, links followed.
    pub fn content(&self, path: &str) -> Option<&Content> {
        match &self.nodes.get(&self.resolve(path)?)?.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }

    /// A text file's content, links followed; `None` if there is no such file.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        let Some(content) = self.content(path) else {
            return Ok(None);
        };
        let bytes = content.read()?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(e) => Err(Error::input(format!("/{path} is not UTF-8 text")).because(e)),
        }
    }

    /// Sum of the sizes of all regular files.
    pub fn file_bytes(&self) -> u64 {
        self.nodes
            .values()
            .map(|n| {
                if let Kind::File(c) = &n.kind {
                    c.len()
                } else {
                    0
                }
            })
            .sum()
    }
}

/// A path's parts, last first, for use as a stack.
fn split(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|p| !p.is_empty() && *p != ".")
        .rev()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(files: &[&str]) -> Tree {
        let mut t = Tree::new();
        for f in files {
            match f.split_once(" -> ") {
                Some((path, target)) => t.insert(path, Node::symlink(target, "t")).unwrap(),
                None => t.insert(f, Node::file(f.as_bytes(), 0o644, "t")).unwrap(),
            }
        }
        t
    }

    #[test]
    fn parents_come_first_and_files_cannot_be_parents() {
        let mut t = tree(&["usr/lib/x/y", "usr/lib-z"]);
        let paths: Vec<_> = t.iter().map(|(p, _)| p).collect();
        assert_eq!(
            paths,
            ["usr", "usr/lib", "usr/lib-z", "usr/lib/x", "usr/lib/x/y"]
        );
        assert!(t.insert("usr/lib-z/a", Node::dir("t")).is_err());
        assert!(t.insert("usr/lib", Node::file(*b"", 0o644, "t")).is_err());
        assert_eq!(
            t.children("usr").map(|c| c.0).collect::<Vec<_>>(),
            ["lib", "lib-z"]
        );
    }

    #[test]
    fn removes_and_renames_subtrees() {
        let mut t = tree(&["etc/a", "etc/d/b", "etcx"]);
        t.rename("etc", "usr/share/etc").unwrap();
        assert!(t.contains("usr/share/etc/d/b") && !t.contains("etc") && t.contains("etcx"));
        assert!(t.rename("usr", "usr/x").is_err());
        assert_eq!(t.remove_matching(["usr/share/**/b"], []), 1);
        let mut t = tree(&[
            "usr/doc/a/copyright",
            "usr/doc/a/x",
            "usr/doc/b/y",
            "usr/doc2",
        ]);
        assert_eq!(t.remove_matching(["usr/doc"], ["usr/doc/*/copyright"]), 3);
        assert_eq!(
            t.find("usr/**"),
            ["usr/doc", "usr/doc/a", "usr/doc/a/copyright", "usr/doc2"]
        );
        assert!(t.remove("usr"));
        assert!(t.is_empty());
    }

    #[test]
    fn follows_links() {
        let t = tree(&[
            "usr/bin/dash",
            "usr/bin/sh -> dash",
            "usr/x -> /bin/sh",
            "usr/l -> l",
            "usr/up -> ../usr/bin",
        ]);
        assert_eq!(t.resolve("bin/sh").as_deref(), Some("usr/bin/dash"));
        assert_eq!(t.resolve("usr/x").as_deref(), Some("usr/bin/dash"));
        assert_eq!(t.resolve("usr/up/sh").as_deref(), Some("usr/bin/dash"));
        assert_eq!(t.resolve("usr/l"), None);
        assert_eq!(t.text("usr/x").unwrap().as_deref(), Some("usr/bin/dash"));
    }

    proptest! {
        #[test]
        fn every_parent_is_a_directory(ops in proptest::collection::vec(("[abc](/[abc]){0,3}", 0..4u8, "[abc](/[abc]){0,2}"), 0..40)) {
            let mut t = Tree::new();
            for (path, op, other) in ops {
                let _ = match op {
                    0 => t.insert(&path, Node::file(*b"x", 0o644, "t")),
                    1 => t.insert(&path, Node::symlink(other, "t")),
                    2 => { t.remove(&path); Ok(()) }
                    _ => t.rename(&path, &other),
                };
                t.resolve(&path);
            }
            for (path, _) in t.iter() {
                if let Some(up) = parent(path) {
                    prop_assert!(matches!(t.get(up).map(|n| &n.kind), Some(Kind::Dir)), "{path}");
                }
            }
        }
    }
}
