//! The last check: everything is in /usr.

use super::Context;
use crate::error::Result;
use crate::tree::{Kind, Tree};

/// Directories that `init` or tmpfiles make on the root partition.
const MADE_AT_BOOT: [&str; 16] = [
    "bin", "boot", "dev", "efi", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root",
    "run", "sbin", "srv", "sys",
];

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    let outside: Vec<(String, bool)> = tree
        .iter()
        .filter(|(path, _)| *path != "usr" && !path.starts_with("usr/"))
        .map(|(path, node)| {
            let top = path.split('/').next().unwrap_or(path);
            let expected = matches!(node.kind, Kind::Dir)
                && (MADE_AT_BOOT.contains(&top) || top == "tmp")
                || matches!(node.kind, Kind::Symlink(_)) && MADE_AT_BOOT.contains(&path);
            (path.to_owned(), expected)
        })
        .collect();
    for (path, expected) in outside {
        if !expected && let Some(node) = tree.get(&path) {
            context.warnings.push(format!(
                "/{path} from {} is not in the image: it is outside /usr and /etc",
                node.origin
            ));
        }
        tree.remove(&path);
    }
    Ok(())
}
