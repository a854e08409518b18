//! /etc becomes the defaults below the overlay.

use super::Context;
use crate::error::Result;
use crate::tree::Tree;

/// Lower layer of /etc in the running system.
pub const DEFAULTS: &str = "usr/share/holdfast/etc";

pub fn run(tree: &mut Tree, _: &mut Context<'_>) -> Result<()> {
    tree.rename("etc", DEFAULTS)
}
