//! Our own programs and the files that belong to them (units, configuration).

use std::sync::Arc;

use super::Context;
use crate::error::Result;
use crate::tree::{Node, Tree};

/// Programs built from this workspace, static.
#[derive(Debug, Clone, Default)]
pub struct Guest {
    /// `init`.
    pub init: Arc<[u8]>,
    /// `oem`.
    pub oem: Arc<[u8]>,
    /// `updater`.
    pub updater: Arc<[u8]>,
    /// Files those crates ship.
    pub files: Vec<GuestFile>,
}

/// A file that belongs to one of our programs.
#[derive(Debug, Clone)]
pub struct GuestFile {
    /// Absolute path in /usr or /etc.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub bytes: Arc<[u8]>,
}

const ORIGIN: &str = "holdfast";

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    let guest = context.guest;
    for (path, bytes) in
        [("usr/lib/holdfast/init", &guest.init), ("usr/bin/oem", &guest.oem), ("usr/bin/updater", &guest.updater)]
    {
        if !bytes.is_empty() {
            tree.insert(path, Node::file(bytes.clone(), 0o755, ORIGIN))?;
        }
    }
    for file in &guest.files {
        tree.insert(&file.path, Node::file(file.bytes.clone(), file.mode, ORIGIN))?;
    }
    // `docker run --init` looks for this name.
    tree.insert("usr/bin/docker-init", Node::symlink("../lib/holdfast/init", ORIGIN))
}
