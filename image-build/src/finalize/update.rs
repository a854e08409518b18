//! Where updates come from, and whom to believe: what the recipe's `update` says.

use super::{Context, made};
use crate::error::Result;
use crate::tree::Tree;

const STEP: &str = "update";
const CONFIG: &str = "usr/lib/holdfast/update.d/10-image.yaml";

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    let Some(update) = &context.recipe.update else {
        return Ok(());
    };
    tree.insert(
        updater::update::ROOT,
        made(STEP, update.root.as_str(), 0o644),
    )?;
    let mut config = format!("channel: {}\n", update.channel);
    if let Some(url) = &update.url {
        config.push_str(&format!("servers: [\"{url}\"]\n"));
    }
    tree.insert(CONFIG, made(STEP, config, 0o644))
}
