//! Links that update-alternatives or other scripts make.

use super::{Context, link};
use crate::error::Result;
use crate::tree::Tree;

/// Link, target, the file that must exist for it. The first that fits wins.
const LINKS: &[(&str, &str, &str)] = &[
    ("usr/bin/sh", "dash", "usr/bin/dash"),
    ("usr/bin/sh", "bash", "usr/bin/bash"),
    ("usr/bin/awk", "gawk", "usr/bin/gawk"),
    ("usr/bin/awk", "mawk", "usr/bin/mawk"),
    ("usr/bin/nawk", "mawk", "usr/bin/mawk"),
    ("usr/bin/pager", "less", "usr/bin/less"),
    (
        "usr/bin/which",
        "which.debianutils",
        "usr/bin/which.debianutils",
    ),
    ("usr/bin/editor", "vim", "usr/bin/vim"),
    ("usr/bin/editor", "vim.tiny", "usr/bin/vim.tiny"),
    ("usr/bin/vim", "vim.basic", "usr/bin/vim.basic"),
    ("usr/bin/vi", "vim.basic", "usr/bin/vim.basic"),
    ("usr/bin/vi", "vim.tiny", "usr/bin/vim.tiny"),
    ("usr/bin/editor", "nano", "usr/bin/nano"),
    ("usr/sbin/rmt", "rmt-tar", "usr/sbin/rmt-tar"),
    ("usr/sbin/iptables", "iptables-nft", "usr/sbin/iptables-nft"),
    (
        "usr/sbin/iptables-save",
        "iptables-nft-save",
        "usr/sbin/iptables-nft-save",
    ),
    (
        "usr/sbin/iptables-restore",
        "iptables-nft-restore",
        "usr/sbin/iptables-nft-restore",
    ),
    (
        "usr/sbin/ip6tables",
        "ip6tables-nft",
        "usr/sbin/ip6tables-nft",
    ),
    (
        "usr/sbin/ip6tables-save",
        "ip6tables-nft-save",
        "usr/sbin/ip6tables-nft-save",
    ),
    (
        "usr/sbin/ip6tables-restore",
        "ip6tables-nft-restore",
        "usr/sbin/ip6tables-nft-restore",
    ),
    (
        "usr/sbin/arptables",
        "arptables-nft",
        "usr/sbin/arptables-nft",
    ),
    ("usr/sbin/ebtables", "ebtables-nft", "usr/sbin/ebtables-nft"),
    (
        "usr/lib/ssl/certs",
        "/etc/ssl/certs",
        "usr/lib/x86_64-linux-gnu/libssl.so.3",
    ),
    (
        "usr/lib/ssl/cert.pem",
        "/etc/ssl/certs/ca-certificates.crt",
        "usr/lib/x86_64-linux-gnu/libssl.so.3",
    ),
];

pub fn run(tree: &mut Tree, _: &mut Context<'_>) -> Result<()> {
    for (path, target, needs) in LINKS {
        if tree.contains(needs) {
            tree.insert_new(path, link("links", target))?;
        }
    }
    Ok(())
}
