//! os-release(5) and the stamps that keep "after an update" jobs from running at boot.

use super::{Context, made};
use crate::error::Result;
use crate::tree::Tree;

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    let (version, recipe) = (context.version, context.recipe);
    let debian = context
        .packages
        .get("base-files")
        .copied()
        .unwrap_or("unknown");
    let text = format!(
        "NAME=\"Holdfast\"\n\
         PRETTY_NAME=\"Holdfast {version} ({name})\"\n\
         ID=holdfast\n\
         ID_LIKE=debian\n\
         VERSION=\"{version}\"\n\
         VERSION_ID=\"{version}\"\n\
         VERSION_CODENAME={suite}\n\
         VARIANT_ID={name}\n\
         IMAGE_ID=holdfast\n\
         IMAGE_VERSION=\"{version}\"\n\
         HOLDFAST_SEQUENCE={epoch}\n\
         DEBIAN_BASE=\"{debian}\"\n\
         ANSI_COLOR=\"1;36\"\n",
        name = recipe.name,
        suite = recipe.suite,
        // Orders releases for updaters, and bounds clocks from below.
        epoch = context.epoch.max(0),
    );
    tree.insert("usr/lib/os-release", made("release", text, 0o644))?;
    // ConditionNeedsUpdate= compares this file's time with that of /usr: the same.
    tree.insert("etc/.updated", made("release", "", 0o644))
}
