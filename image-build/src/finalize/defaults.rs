//! Files of ours (`assets/`) and the small files of /etc that scripts would make.

use super::{Context, link, made};
use crate::error::Result;
use crate::tree::{Kind, Tree};

const STEP: &str = "defaults";

/// Path and content, from the repository. Mode 0644, sudoers 0440.
const ASSETS: &[(&str, &str)] = &[
    (
        "etc/default/locale",
        include_str!("../../assets/etc/default/locale"),
    ),
    (
        "etc/environment",
        include_str!("../../assets/etc/environment"),
    ),
    ("etc/fstab", include_str!("../../assets/etc/fstab")),
    ("etc/hosts", include_str!("../../assets/etc/hosts")),
    ("etc/issue", include_str!("../../assets/etc/issue")),
    ("etc/issue.net", include_str!("../../assets/etc/issue.net")),
    ("etc/networks", include_str!("../../assets/etc/networks")),
    (
        "etc/nsswitch.conf",
        include_str!("../../assets/etc/nsswitch.conf"),
    ),
    (
        "etc/pam.d/common-account",
        include_str!("../../assets/etc/pam.d/common-account"),
    ),
    (
        "etc/pam.d/common-auth",
        include_str!("../../assets/etc/pam.d/common-auth"),
    ),
    (
        "etc/pam.d/common-password",
        include_str!("../../assets/etc/pam.d/common-password"),
    ),
    (
        "etc/pam.d/common-session",
        include_str!("../../assets/etc/pam.d/common-session"),
    ),
    (
        "etc/pam.d/common-session-noninteractive",
        include_str!("../../assets/etc/pam.d/common-session-noninteractive"),
    ),
    ("etc/shells", include_str!("../../assets/etc/shells")),
    (
        "etc/ssh/sshd_config",
        include_str!("../../assets/etc/ssh/sshd_config"),
    ),
    (
        "etc/sudoers.d/holdfast",
        include_str!("../../assets/etc/sudoers.d/holdfast"),
    ),
    (
        "usr/lib/systemd/journald.conf.d/10-holdfast.conf",
        include_str!("../../assets/usr/lib/systemd/journald.conf.d/10-holdfast.conf"),
    ),
    (
        "usr/lib/systemd/network/88-holdfast-containers.network",
        include_str!("../../assets/usr/lib/systemd/network/88-holdfast-containers.network"),
    ),
    (
        "usr/lib/systemd/network/89-holdfast.network",
        include_str!("../../assets/usr/lib/systemd/network/89-holdfast.network"),
    ),
    (
        "usr/lib/systemd/resolved.conf.d/10-holdfast.conf",
        include_str!("../../assets/usr/lib/systemd/resolved.conf.d/10-holdfast.conf"),
    ),
    (
        "usr/lib/systemd/system/ssh.service.d/10-host-key.conf",
        include_str!("../../assets/usr/lib/systemd/system/ssh.service.d/10-host-key.conf"),
    ),
    (
        "usr/lib/systemd/system/ssh.service.d/20-stays.conf",
        include_str!("../../assets/usr/lib/systemd/system/ssh.service.d/20-stays.conf"),
    ),
    (
        "usr/lib/systemd/system/systemd-network-generator.service.d/10-holdfast.conf",
        include_str!(
            "../../assets/usr/lib/systemd/system/systemd-network-generator.service.d/10-holdfast.conf"
        ),
    ),
    (
        "usr/lib/systemd/system/systemd-resolved.service",
        include_str!("../../assets/usr/lib/systemd/system/systemd-resolved.service"),
    ),
    (
        "usr/lib/systemd/system/systemd-timesyncd.service",
        include_str!("../../assets/usr/lib/systemd/system/systemd-timesyncd.service"),
    ),
    (
        "usr/lib/systemd/system/systemd-udev-trigger.service.d/10-holdfast.conf",
        include_str!(
            "../../assets/usr/lib/systemd/system/systemd-udev-trigger.service.d/10-holdfast.conf"
        ),
    ),
    (
        "usr/lib/systemd/system/usr-share-oem.mount",
        include_str!("../../assets/usr/lib/systemd/system/usr-share-oem.mount"),
    ),
    (
        "usr/lib/sysctl.d/50-holdfast.conf",
        include_str!("../../assets/usr/lib/sysctl.d/50-holdfast.conf"),
    ),
    (
        "usr/lib/sysusers.d/holdfast.conf",
        include_str!("../../assets/usr/lib/sysusers.d/holdfast.conf"),
    ),
    (
        "usr/lib/tmpfiles.d/holdfast.conf",
        include_str!("../../assets/usr/lib/tmpfiles.d/holdfast.conf"),
    ),
];

/// Files of base-files that its script copies to /etc.
const COPIES: [(&str, &str); 2] = [
    ("usr/share/base-files/profile", "etc/profile"),
    ("usr/share/base-files/motd", "etc/motd"),
];

/// Links that scripts make.
const LINKS: [(&str, &str); 4] = [
    ("etc/localtime", "/usr/share/zoneinfo/Etc/UTC"),
    ("etc/mtab", "../proc/self/mounts"),
    ("etc/os-release", "../usr/lib/os-release"),
    ("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
];

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    for (path, text) in ASSETS {
        let mode = if path.starts_with("etc/sudoers.d/") {
            0o440
        } else {
            0o644
        };
        tree.insert(path, made(STEP, *text, mode))?;
    }
    for (from, to) in COPIES {
        if let Some(Kind::File(content)) = tree.get(from).map(|n| n.kind.clone()) {
            let mut node = made(STEP, "", 0o644);
            node.kind = Kind::File(content);
            tree.insert(to, node)?;
        }
    }
    tree.remove("usr/share/base-files");
    for (path, target) in LINKS {
        tree.insert(path, link(STEP, target))?;
    }
    tree.insert("etc/security/opasswd", made(STEP, "", 0o600))?;
    tree.insert(
        "usr/share/oem",
        crate::tree::Node::dir("finalizer:defaults"),
    )?;
    if let Some(hostname) = &context.recipe.hostname {
        tree.insert("etc/hostname", made(STEP, format!("{hostname}\n"), 0o644))?;
    } else {
        tree.remove("etc/hostname");
    }
    // Made by systemd on first boot; never shipped.
    tree.remove("etc/machine-id");
    Ok(())
}
