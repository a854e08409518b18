//! Putting packages together: who wins when two ship the same path.

use super::{Kind, Node, Tree, canonical};
use crate::error::{Error, Result};

impl Tree {
    /// Adds a package's node under its merged-/usr path. Directories are shared;
    /// equal files and links are fine; otherwise `wins(old origin)` says whether
    /// the new one may replace the old one (dpkg's `Replaces`), or it is an error.
    pub fn merge(
        &mut self,
        path: &str,
        node: Node,
        wins: impl Fn(&str) -> Option<bool>,
    ) -> Result<()> {
        let path = canonical(path);
        let Some(old) = self.get(&path) else {
            return self.insert(&path, node);
        };
        match (&old.kind, &node.kind) {
            // A directory that is only implied has no metadata of its own yet.
            (Kind::Dir, Kind::Dir) if &*old.origin == "implied" => self.insert(&path, node),
            (Kind::Dir, Kind::Dir) => Ok(()),
            // `lib64 -> usr/lib64` and the like, at the merged place itself.
            (Kind::Dir, Kind::Symlink(target)) | (Kind::Symlink(target), Kind::Dir)
                if canonical(target.trim_start_matches('/')) == path =>
            {
                Ok(())
            }
            (a, b) if a == b && old.mode == node.mode => Ok(()),
            _ => match wins(&old.origin) {
                Some(true) => self.insert(&path, node),
                Some(false) => Ok(()),
                None => Err(Error::input(format!(
                    "packages {} and {} both ship /{path}",
                    old.origin, node.origin
                ))
                .hint("remove one of the two with `remove_packages` in the recipe")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts() {
        let mut t = Tree::new();
        let no = |_: &str| None;
        t.merge("bin/x", Node::file(*b"1", 0o755, "a"), no).unwrap();
        t.merge("usr/bin", Node::dir("b"), no).unwrap();
        t.merge("usr/bin/x", Node::file(*b"1", 0o755, "b"), no)
            .unwrap();
        let e = t
            .merge("usr/bin/x", Node::file(*b"2", 0o755, "b"), no)
            .unwrap_err();
        assert_eq!(e.to_string(), "packages a and b both ship /usr/bin/x");
        t.merge("usr/bin/x", Node::file(*b"2", 0o755, "b"), |old| {
            (old == "a").then_some(true)
        })
        .unwrap();
        assert_eq!(&*t.get("usr/bin/x").unwrap().origin, "b");
    }
}
