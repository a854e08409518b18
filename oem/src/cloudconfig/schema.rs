//! The keys of the language as a table: what [`super::parse`] accepts and what
//! `oem schema` prints.

use super::{retired, units, updates, users, write_files};

/// One key.
pub struct Key {
    /// Full name, e.g. `coreos.units[].name`.
    pub name: &'static str,
    /// Type in words.
    pub kind: &'static str,
    /// Meaning.
    pub about: &'static str,
}

const fn key(name: &'static str, kind: &'static str, about: &'static str) -> Key {
    Key { name, kind, about }
}

/// Every key that is applied. `-` may be written for `_`.
pub const KEYS: &[Key] = &[
    key(
        "hostname",
        "text",
        "host name of the machine; wins over the provider's",
    ),
    key(
        "ssh_authorized_keys",
        "list of text",
        "public keys for user core, beside the provider's",
    ),
    key(
        "users",
        "list",
        "users to add; for one that exists only password, keys and groups change",
    ),
    key("users[].name", "text, required", "login name"),
    key("users[].gecos", "text", "full name"),
    key("users[].passwd", "text", "password hash, crypt(5)"),
    key(
        "users[].homedir",
        "path",
        "home directory; default /home/NAME",
    ),
    key(
        "users[].no_create_home",
        "true|false",
        "do not make the home directory",
    ),
    key(
        "users[].primary_group",
        "text",
        "primary group; default a group named as the user",
    ),
    key(
        "users[].groups",
        "list of text",
        "further groups, which must exist or are made",
    ),
    key(
        "users[].no_user_group",
        "true|false",
        "no group of the user's name; `users` is the primary one",
    ),
    key("users[].ssh_authorized_keys", "list of text", "public keys"),
    key(
        "users[].system",
        "true|false",
        "system user: uid below 1000, no home directory",
    ),
    key("users[].shell", "path", "login shell; default /bin/bash"),
    key(
        "users[].sudo",
        "text or list",
        "sudoers rules, e.g. `ALL=(ALL) NOPASSWD:ALL`",
    ),
    key(
        "users[].no_log_init",
        "true|false",
        "accepted; there is no login database to leave out",
    ),
    key("write_files", "list", "files to write"),
    key(
        "write_files[].path",
        "path, required",
        "absolute path, not below /usr",
    ),
    key("write_files[].content", "text", "content"),
    key("write_files[].permissions", "octal", "mode; default 0644"),
    key(
        "write_files[].owner",
        "text",
        "user or user:group; default root:root",
    ),
    key(
        "write_files[].encoding",
        "b64|gz|gz+b64...",
        "how content is encoded; placeholders only work in plain content",
    ),
    key(
        "manage_etc_hosts",
        "localhost",
        "writes /etc/hosts with this machine's name",
    ),
    key("coreos.units", "list", "systemd and networkd units"),
    key(
        "coreos.units[].name",
        "text, required",
        "file name of the unit",
    ),
    key(
        "coreos.units[].runtime",
        "true|false",
        "write below /run instead of /etc",
    ),
    key(
        "coreos.units[].enable",
        "true|false",
        "enable as its [Install] section says",
    ),
    key("coreos.units[].mask", "true|false", "mask the unit"),
    key(
        "coreos.units[].content",
        "text",
        "the unit file; without it the unit must exist",
    ),
    key(
        "coreos.units[].command",
        "start|stop|restart|...",
        "what to do once all is in place",
    ),
    key("coreos.units[].drop_ins", "list", "drop-in files"),
    key(
        "coreos.units[].drop_ins[].name",
        "text, required",
        "file name, ending in .conf",
    ),
    key(
        "coreos.units[].drop_ins[].content",
        "text, required",
        "content",
    ),
    key(
        "coreos.update.reboot_strategy",
        "reboot|best-effort|etcd-lock|off",
        "who decides about a reboot into an update",
    ),
    key(
        "coreos.update.group",
        "text",
        "the channel whose releases are taken",
    ),
    key(
        "coreos.update.server",
        "URL or disabled",
        "the repository of releases",
    ),
    key(
        "coreos.locksmith.window_start",
        "[Day ]HH:MM",
        "when a reboot may happen; UTC",
    ),
    key(
        "coreos.locksmith.window_length",
        "duration",
        "for how long, e.g. `1h30m`",
    ),
    key(
        "coreos.locksmith.group",
        "text",
        "machines that share a rollout and a reboot lock",
    ),
];

/// Names at the top level.
pub fn top_level() -> impl Iterator<Item = &'static str> {
    [
        "hostname",
        "ssh_authorized_keys",
        "users",
        "write_files",
        "manage_etc_hosts",
        "coreos",
    ]
    .into_iter()
}

/// Names in the table `coreos`.
pub fn coreos() -> impl Iterator<Item = &'static str> {
    ["units", "update", "locksmith"]
        .into_iter()
        .chain(retired::TABLES.iter().map(|(name, _)| *name))
}

/// Names of every item's fields, by prefix, for checking the table.
pub fn item_fields() -> [(&'static str, &'static [&'static str]); 6] {
    [
        ("users[].", users::FIELDS),
        ("write_files[].", write_files::FIELDS),
        ("coreos.units[].", units::FIELDS),
        ("coreos.units[].drop_ins[].", units::DROP_IN_FIELDS),
        ("coreos.update.", updates::UPDATE_FIELDS),
        ("coreos.locksmith.", updates::LOCKSMITH_FIELDS),
    ]
}

/// Tables that are recognised but not applied.
pub fn not_applied() -> impl Iterator<Item = &'static str> {
    retired::TABLES.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_lists_every_field() {
        for (prefix, fields) in item_fields() {
            for f in fields {
                assert!(
                    KEYS.iter().any(|k| k.name == format!("{prefix}{f}")),
                    "{prefix}{f}"
                );
            }
        }
    }
}
