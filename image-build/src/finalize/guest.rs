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
    /// Path below `/usr/lib` (`systemd/system/oem.service`); absolute ones as they are.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub bytes: Arc<[u8]>,
}

const ORIGIN: &str = "holdfast";
const PRESET: &str = "usr/lib/systemd/system-preset/10-holdfast.preset";

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    let guest = context.guest;
    for (path, bytes) in [
        ("usr/lib/holdfast/init", &guest.init),
        ("usr/bin/oem", &guest.oem),
        ("usr/bin/updater", &guest.updater),
    ] {
        if !bytes.is_empty() {
            tree.insert(path, Node::file(bytes.clone(), 0o755, ORIGIN))?;
        }
    }
    for file in &guest.files {
        let path = if file.path.starts_with('/') {
            file.path.clone()
        } else {
            format!("usr/lib/{}", file.path)
        };
        tree.insert(&path, Node::file(file.bytes.clone(), file.mode, ORIGIN))?;
    }
    let shipped = oem::dist::enabled()
        .iter()
        .chain(updater::dist::enabled())
        .filter(|u| tree.contains(&format!("usr/lib/systemd/system/{u}")));
    let preset: String = shipped.map(|u| format!("enable {u}\n")).collect();
    if !preset.is_empty() {
        let text = format!("# Units of our own programs.\n{preset}");
        tree.insert(PRESET, Node::file(text.into_bytes(), 0o644, ORIGIN))?;
    }
    // What programs of cloud-init's users call.
    tree.insert("usr/bin/cloud-init-per", Node::symlink("oem", ORIGIN))?;
    // `docker run --init` looks for this name.
    tree.insert(
        "usr/bin/docker-init",
        Node::symlink("../lib/holdfast/init", ORIGIN),
    )
}
