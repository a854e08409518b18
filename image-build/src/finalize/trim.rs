//! What the recipe leaves out (`remove_paths`, `keep_paths`).

use super::Context;
use crate::error::Result;
use crate::tree::Tree;

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    let patterns =
        |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    let (remove, keep) = (
        patterns(&context.recipe.remove_paths),
        patterns(&context.recipe.keep_paths),
    );
    tree.remove_matching(
        remove.iter().map(String::as_str),
        keep.iter().map(String::as_str),
    );
    Ok(())
}
