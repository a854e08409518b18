//! Owners and modes that scripts set with dpkg-statoverride.

use super::Context;
use crate::error::Result;
use crate::tree::Tree;

/// Path, group, mode.
const MODES: [(&str, &str, u32); 3] = [
    (
        "usr/lib/dbus-1.0/dbus-daemon-launch-helper",
        "messagebus",
        0o4754,
    ),
    ("usr/bin/ssh-agent", "_ssh", 0o2755),
    ("etc/sudoers", "root", 0o440),
];

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    for (path, group, mode) in MODES {
        if let (Some(node), Some(gid)) = (tree.get_mut(path), context.accounts.gid(group)) {
            node.gid = gid;
            node.mode = mode;
        }
    }
    Ok(())
}
