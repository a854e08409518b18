//! `ssh_authorized_keys`: lines in the format of sshd's AUTHORIZED_KEYS FILE.

use super::diag::At;
use super::node::Node;
use super::read::Reader;
use super::schema::Type::{List, Text};
use super::schema::{Section, key};

pub(super) const SECTION: Section = Section {
    title: "SSH keys",
    keys: &[key(
        "ssh_authorized_keys",
        List(&Text),
        "public keys for user core, beside the provider's",
    )],
    example: EXAMPLE,
    read: |f, config, r| {
        if let Some(n) = f.get("ssh_authorized_keys") {
            config.ssh_authorized_keys = read(n, "ssh_authorized_keys", r);
        }
    },
};

const EXAMPLE: &str = "\
ssh_authorized_keys:
  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample alice@example.com
";

/// Most keys of one user: sshd reads them all at each login.
const MAX_KEYS: usize = 4096;

pub(super) fn read(node: &Node, path: &str, r: &mut Reader) -> Vec<At<String>> {
    let mut keys = r.lines(node, path);
    keys.retain(|k| {
        let looks_right = k.value.contains('$') || looks_like_key(&k.value);
        if !looks_right {
            r.error(
                k.spot,
                path,
                "not a public key in authorized_keys format",
                "expected e.g. `ssh-ed25519 AAAA... comment` on one line",
            );
        }
        looks_right
    });
    if let Some(more) = keys.get(MAX_KEYS) {
        let what = format!("more than {MAX_KEYS} keys; those from here on are left out");
        let hint = "let sshd ask a directory (`AuthorizedKeysCommand`), or use certificates";
        r.error(more.spot, path, what, hint);
        keys.truncate(MAX_KEYS);
    }
    keys
}

/// Whether a line has a key type followed by base64, with or without options
/// in front.
pub fn looks_like_key(line: &str) -> bool {
    let is_type = |w: &str| {
        ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"]
            .iter()
            .any(|p| w.starts_with(p))
    };
    let words: Vec<&str> = line.split_whitespace().take(64).collect();
    words.windows(2).any(|w| {
        is_type(w[0])
            && w[1].len() >= 16
            && w[1]
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
    })
}
