//! `users`.

use super::diag::At;
use super::node::{Kind, Node};
use super::read::Reader;
use super::ssh_keys;

/// One user to add, or to give a password and keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Full name.
    pub gecos: Option<String>,
    /// Password hash in crypt(5) format.
    pub passwd: Option<String>,
    /// Home directory, `/home/NAME` unless given.
    pub homedir: Option<String>,
    /// Do not make the home directory.
    pub no_create_home: bool,
    /// Name of the primary group.
    pub primary_group: Option<String>,
    /// Further groups.
    pub groups: Vec<String>,
    /// Do not make a group of the same name.
    pub no_user_group: bool,
    /// Public keys.
    pub ssh_authorized_keys: Vec<At<String>>,
    /// System user: low uid, no home.
    pub system: bool,
    /// Login shell.
    pub shell: Option<String>,
    /// Rules for sudoers, each without the user's name.
    pub sudo: Vec<String>,
}

/// Fields of an item.
pub const FIELDS: &[&str] = &[
    "name",
    "gecos",
    "passwd",
    "homedir",
    "no_create_home",
    "primary_group",
    "groups",
    "no_user_group",
    "ssh_authorized_keys",
    "system",
    "shell",
    "sudo",
    "no_log_init",
];
/// Fields of CoreOS and cloud-init that are read but not applied.
const LATER: &[&str] = &[
    "coreos_ssh_import_github",
    "coreos_ssh_import_github_users",
    "coreos_ssh_import_url",
    "doas",
    "expiredate",
    "hashed_passwd",
    "inactive",
    "lock_passwd",
    "plain_text_passwd",
    "selinux_user",
    "snapuser",
    "ssh_import_id",
    "ssh_redirect_user",
    "uid",
];

pub(super) fn read(node: &Node, r: &mut Reader) -> Vec<At<User>> {
    let items = r.list(node, "users");
    items
        .iter()
        .enumerate()
        .filter_map(|(i, n)| item(n, &format!("users[{i}]"), r))
        .collect()
}

fn item(node: &Node, at: &str, r: &mut Reader) -> Option<At<User>> {
    if let Kind::Scalar { text, .. } = &node.kind {
        let hint = "write `- name: NAME`";
        if text == "default" {
            r.warn(
                node.spot,
                at,
                "cloud-init's `default` user is `core` here, which always exists",
                "",
            );
        } else {
            r.error(
                node.spot,
                at,
                "expected a mapping, found a single value",
                hint,
            );
        }
        return None;
    }
    let f = r.fields(node, at, FIELDS, LATER)?;
    let Some(name) = f.get("name") else {
        r.error(f.spot, at, "a user needs a `name`", "");
        return None;
    };
    let name = r.line(name, &f.key("name"))?;
    if !is_name(&name.value) {
        r.error(
            name.spot,
            &f.key("name"),
            "not a user name",
            "lower-case letters, digits, `-` and `_`, not starting with a digit or `-`, at most 32",
        );
        return None;
    }
    let mut user = User {
        name: name.value,
        ..User::default()
    };
    // From here on a wrong field costs the field, not the user.
    let mut field = |name: &str| {
        let n = f.get(name)?;
        let value = r.line(n, &f.key(name))?;
        if value.value.contains(':') {
            r.error(value.spot, &f.key(name), "must not contain `:`", "");
            return None;
        }
        Some(value.value)
    };
    user.gecos = field("gecos");
    user.passwd = field("passwd");
    user.homedir = field("homedir");
    user.primary_group = field("primary_group");
    user.shell = field("shell");
    for (slot, name) in [(&mut user.homedir, "homedir"), (&mut user.shell, "shell")] {
        if slot
            .as_ref()
            .is_some_and(|p| !p.starts_with('/') || p.split('/').any(|c| c == ".."))
        {
            r.error(f.spot, &f.key(name), "must be an absolute path", "");
            *slot = None;
        }
    }
    if user.primary_group.as_ref().is_some_and(|g| !is_name(g)) {
        r.error(f.spot, &f.key("primary_group"), "not a group name", "");
        user.primary_group = None;
    }
    for (slot, name) in [
        (&mut user.no_create_home, "no_create_home"),
        (&mut user.no_user_group, "no_user_group"),
        (&mut user.system, "system"),
    ] {
        *slot = f
            .get(name)
            .and_then(|n| r.boolean(n, &f.key(name)))
            .unwrap_or(false);
    }
    if let Some(n) = f.get("groups") {
        user.groups = groups(n, &f.key("groups"), r);
    }
    if let Some(n) = f.get("ssh_authorized_keys") {
        user.ssh_authorized_keys = ssh_keys::read(n, &f.key("ssh_authorized_keys"), r);
    }
    if let Some(n) = f.get("sudo") {
        user.sudo = sudo(n, &f.key("sudo"), r);
    }
    Some(At {
        spot: f.spot,
        value: user,
    })
}

fn groups(node: &Node, path: &str, r: &mut Reader) -> Vec<String> {
    // cloud-init also takes `groups: a, b`.
    let mut found = if let Kind::Scalar { .. } = node.kind {
        let Some(line) = r.line(node, path) else {
            return Vec::new();
        };
        line.value
            .split(',')
            .map(|g| At {
                spot: line.spot,
                value: g.trim().to_owned(),
            })
            .collect()
    } else {
        r.lines(node, path)
    };
    found.retain(|g| {
        let ok = is_name(&g.value);
        if !ok {
            r.error(g.spot, path, "not a group name", "");
        }
        ok
    });
    found.into_iter().map(|g| g.value).collect()
}

fn sudo(node: &Node, path: &str, r: &mut Reader) -> Vec<String> {
    match &node.kind {
        Kind::Scalar { text, .. } if matches!(text.as_str(), "false" | "False" | "no") => {
            Vec::new()
        }
        Kind::Scalar { .. } => r.line(node, path).map(|l| l.value).into_iter().collect(),
        _ => r.lines(node, path).into_iter().map(|l| l.value).collect(),
    }
}

/// Whether a word can name a user or group (as `useradd` decides).
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    (1..=32).contains(&name.len())
        && bytes
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}
