//! Files and units of the recipe. Their owners are set by `users`, which knows the ids.

use super::Context;
use crate::error::{Error, Result};
use crate::tree::{Kind, Node, Tree};

const ORIGIN: &str = "recipe";
const UNITS: &str = "usr/lib/systemd/system";

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    for (path, file) in &context.recipe.files {
        tree.insert(path, Node::file(file.content.as_bytes(), file.mode, ORIGIN))?;
    }
    for (name, unit) in &context.recipe.units {
        if let Some(content) = &unit.content {
            tree.insert(
                &format!("{UNITS}/{name}"),
                Node::file(content.as_bytes(), 0o644, ORIGIN),
            )?;
        } else if !unit.drop_ins.is_empty() && !known(tree, name) {
            return Err(Error::input(format!(
                "the recipe changes unit {name}, which no package ships"
            ))
            .hint("give the unit a `content`, or add its package"));
        }
        for (drop_in, content) in &unit.drop_ins {
            let path = format!("{UNITS}/{name}.d/{drop_in}");
            tree.insert(&path, Node::file(content.as_bytes(), 0o644, ORIGIN))?;
        }
    }
    Ok(())
}

/// True if there is such a unit, or a template for it.
fn known(tree: &Tree, name: &str) -> bool {
    let template = name
        .split_once('@')
        .zip(name.rsplit_once('.'))
        .map(|((stem, _), (_, kind))| format!("{stem}@.{kind}"));
    [Some(name.to_owned()), template]
        .into_iter()
        .flatten()
        .any(|n| {
            [UNITS, "etc/systemd/system"].iter().any(|dir| {
                tree.get(&format!("{dir}/{n}"))
                    .is_some_and(|node| !matches!(node.kind, Kind::Dir))
            })
        })
}
