//! `passwd`: users and groups.

use super::Reading;
use crate::cloudconfig::{At, Group, Node, User, is_account_name, looks_like_key};

const USER: &[&str] = &[
    "name",
    "password_hash",
    "ssh_authorized_keys",
    "ssh_authorized_keys_local",
    "uid",
    "gecos",
    "home_dir",
    "no_create_home",
    "primary_group",
    "groups",
    "no_user_group",
    "no_log_init",
    "shell",
    "should_exist",
    "system",
];
const GROUP: &[&str] = &["name", "gid", "password_hash", "should_exist", "system"];

/// Reads the table.
pub(super) fn read(node: &Node, c: &mut Reading<'_, '_>) {
    let Some(f) = c.r.fields(node, "passwd", &["users", "groups"], &[]) else {
        return;
    };
    if let Some(n) = f.get("groups") {
        for (at, n) in c.items(n, &f.key("groups")) {
            if let Some(group) = group(n, &at, c) {
                c.config.groups.push(group);
            }
        }
    }
    if let Some(n) = f.get("users") {
        for (at, n) in c.items(n, &f.key("users")) {
            if let Some(user) = user(n, &at, c) {
                c.config.users.push(user);
            }
        }
    }
}

fn user(node: &Node, at: &str, c: &mut Reading<'_, '_>) -> Option<At<User>> {
    let f = c.r.fields(node, at, USER, &[])?;
    let r = &mut c.r;
    let Some(name) = f.line("name", r).filter(|n| is_account_name(&n.value)) else {
        r.error(f.spot, at, "needs a `name` that is a user name", "");
        return None;
    };
    if f.boolean("should_exist", r) == Some(false) {
        let hint = "lock the account: set its shell to /usr/sbin/nologin and its keys to none";
        c.unsupported(f.spot, at, "users are not removed", hint);
        return None;
    }
    let mut user = User {
        name: name.value,
        ..User::default()
    };
    let text = |name: &str, r: &mut crate::cloudconfig::Reader| f.line(name, r).map(|l| l.value);
    user.passwd = text("password_hash", r);
    user.gecos = text("gecos", r);
    user.homedir = text("home_dir", r);
    user.primary_group = text("primary_group", r).filter(|g| is_account_name(g));
    user.shell = text("shell", r);
    user.no_create_home = f.boolean("no_create_home", r).unwrap_or(false);
    user.no_user_group = f.boolean("no_user_group", r).unwrap_or(false);
    user.system = f.boolean("system", r).unwrap_or(false);
    if let Some(n) = f.get("uid") {
        let number = r.number(n, &f.key("uid"));
        user.uid = number.and_then(|n| u32::try_from(n).ok());
    }
    if let Some(n) = f.get("groups") {
        for group in r.lines(n, &f.key("groups")) {
            match is_account_name(&group.value) {
                true => user.groups.push(group.value),
                false => r.error(group.spot, &f.key("groups"), "not a group name", ""),
            }
        }
    }
    if let Some(n) = f.get("ssh_authorized_keys") {
        let path = f.key("ssh_authorized_keys");
        for key in r.lines(n, &path) {
            match looks_like_key(&key.value) {
                true => user.ssh_authorized_keys.push(key),
                false => {
                    let hint = "e.g. `ssh-ed25519 AAAA... comment` on one line";
                    r.error(
                        key.spot,
                        &path,
                        "not a public key in authorized_keys format",
                        hint,
                    );
                }
            }
        }
    }
    if let Some(n) = f.get("ssh_authorized_keys_local") {
        let path = f.key("ssh_authorized_keys_local");
        let hint = "write the keys in `ssh_authorized_keys`";
        c.unsupported(
            n.spot,
            &path,
            "files that only Butane can read, where it runs",
            hint,
        );
    }
    Some(At {
        spot: f.spot,
        value: user,
    })
}

fn group(node: &Node, at: &str, c: &mut Reading<'_, '_>) -> Option<At<Group>> {
    let f = c.r.fields(node, at, GROUP, &[])?;
    let Some(name) = f
        .line("name", &mut c.r)
        .filter(|n| is_account_name(&n.value))
    else {
        c.r.error(f.spot, at, "needs a `name` that is a group name", "");
        return None;
    };
    if f.boolean("should_exist", &mut c.r) == Some(false) {
        c.unsupported(f.spot, at, "groups are not removed", "leave it out");
        return None;
    }
    for (field, why) in [
        ("gid", "a new group gets the next free number"),
        ("password_hash", "groups have no passwords here"),
    ] {
        if let Some(n) = f.get(field) {
            c.r.warn(n.spot, &f.key(field), format!("not applied: {why}"), "");
        }
    }
    Some(At {
        spot: name.spot,
        value: Group {
            name: name.value,
            members: Vec::new(),
        },
    })
}
