//! `users`.

use super::credential::{Reference, reference};
use super::diag::At;
use super::node::{Kind, Node};
use super::passwords::{self, Password, Secret};
use super::read::{Fields, Reader};
use super::refused::Refused;
use super::schema::Type::{As, Either, Flag, List, Number, Table, Text, Word};
use super::schema::{Section, WORDS, key, look, names};
use super::tasks::Frequency;
use super::{CloudConfig, ssh_import, ssh_keys};

/// One user to add, or to give a password and keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Numeric id.
    pub uid: Option<u32>,
    /// Full name.
    pub gecos: Option<String>,
    /// Password hash in crypt(5) format.
    pub passwd: Option<String>,
    /// Name of the credential that is the hash.
    pub passwd_credential: Option<String>,
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
    /// The keys of `core` only tell who to log in as.
    pub ssh_redirect_user: bool,
    /// System user: low uid, no home.
    pub system: bool,
    /// Login shell.
    pub shell: Option<String>,
    /// Rules for sudoers, each without the user's name.
    pub sudo: Vec<String>,
    /// Day the account ends, counted from 1970.
    pub expires: Option<u64>,
    /// Days a password may be used after it expired.
    pub inactive: Option<u32>,
}

pub(super) const SECTION: Section = Section {
    title: "Users",
    keys: &[
        key(
            "users",
            List(&Either(&[Table, Word(&["default"])])),
            "users to add; for one that exists only password, keys and groups change",
        ),
        key("users[].name", Text, "login name").required(),
        key("users[].uid", Number, "numeric id of a new user"),
        key("users[].gecos", Text, "full name"),
        key("users[].passwd", Text, "password hash, crypt(5)").or_credential(),
        key(
            "users[].hashed_passwd",
            Text,
            "the same, for a user who may change it later",
        )
        .or_credential()
        .each(Frequency::Instance),
        key(
            "users[].plain_text_passwd",
            Text,
            "the password itself, for a user who may change it later",
        )
        .or_credential()
        .each(Frequency::Instance),
        key(
            "users[].lock_passwd",
            Flag,
            "no login with the password; default false",
        ),
        key(
            "users[].homedir",
            As("path"),
            "home directory; default /home/NAME",
        ),
        key(
            "users[].no_create_home",
            Flag,
            "do not make the home directory",
        ),
        key(
            "users[].primary_group",
            Text,
            "primary group; default a group named as the user",
        ),
        key(
            "users[].groups",
            WORDS,
            "further groups, which must exist or are made",
        ),
        key("users[].create_groups", Flag, "missing groups are made").accepted(),
        key(
            "users[].no_user_group",
            Flag,
            "no group of the user's name; `users` is the primary one",
        ),
        key("users[].ssh_authorized_keys", List(&Text), "public keys"),
        key(
            "users[].ssh_redirect_user",
            Flag,
            "the keys of core only tell to log in as core",
        ),
        key(
            "users[].ssh_import_id",
            WORDS,
            "`gh:NAME` or `lp:NAME`: that user's keys are fetched",
        )
        .each(Frequency::Boot),
        key(
            "users[].coreos_ssh_import_github",
            Text,
            "keys of that user of GitHub are fetched",
        )
        .each(Frequency::Boot),
        key(
            "users[].coreos_ssh_import_github_users",
            List(&Text),
            "keys of several users of GitHub are fetched",
        )
        .each(Frequency::Boot),
        key(
            "users[].coreos_ssh_import_url",
            As("URL"),
            "keys from there: a JSON list of objects with `key`, or one a line",
        )
        .each(Frequency::Boot),
        key(
            "users[].system",
            Flag,
            "system user: uid below 1000, no home directory",
        ),
        key(
            "users[].shell",
            As("path"),
            "login shell; default /bin/bash",
        ),
        key(
            "users[].sudo",
            Either(&[Text, List(&Text), Flag]),
            "sudoers rules, e.g. `ALL=(ALL) NOPASSWD:ALL`",
        ),
        key(
            "users[].expiredate",
            As("`YYYY-MM-DD`"),
            "the last day of a new user's account",
        ),
        key(
            "users[].inactive",
            As("number"),
            "days until an expired password locks a new user's account",
        ),
        key(
            "users[].no_log_init",
            Flag,
            "there is no login database to leave out",
        )
        .accepted(),
    ],
    example: EXAMPLE,
    read: |f, config, r| {
        let Some(n) = f.get("users") else {
            return;
        };
        for (i, n) in r.list(n, "users").iter().enumerate() {
            item(n, &format!("users[{i}]"), config, r);
        }
    },
};

const EXAMPLE: &str = "\
users:
  - default                            # core, which every machine has
  - name: alice
    gecos: Alice Example
    uid: 1500
    groups: [sudo, docker]
    sudo: ALL=(ALL) NOPASSWD:ALL
    shell: /bin/bash
    ssh_authorized_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample alice@example.com
    ssh_import_id: [gh:octocat]
    coreos_ssh_import_github: octocat
    coreos_ssh_import_github_users: [hubot]
    coreos_ssh_import_url: https://keys.example.com/alice
    hashed_passwd: $6$salt$hash        # made by mkpasswd
    expiredate: 2030-12-31
    inactive: 30
  - name: bob
    passwd: $6$salt$hash
    lock_passwd: true
    primary_group: users
    no_user_group: true
    create_groups: true
    homedir: /srv/bob
    ssh_redirect_user: true
  - name: shopd
    system: true
    no_create_home: true
    no_log_init: true
    plain_text_passwd: correct horse
";

pub(super) const REFUSED: &[Refused] = &[
    Refused {
        name: "doas",
        instead: "use `sudo`",
    },
    Refused {
        name: "selinux_user",
        instead: "this system has no SELinux policy; leave the key out",
    },
    Refused {
        name: "snapuser",
        instead: "this system has no snaps; leave the key out",
    },
];

fn item(node: &Node, at: &str, config: &mut CloudConfig, r: &mut Reader) -> Option<()> {
    if let Kind::Scalar { text, .. } = &node.kind {
        // cloud-init's word for the user that every machine has: `core` here.
        if text != "default" {
            r.error(
                node.spot,
                at,
                "expected a mapping, found a single value",
                "write `- name: NAME`",
            );
        }
        return None;
    }
    let f = r.fields_or_refused(node, at, &names(SECTION.keys, "users[]."), REFUSED)?;
    look(&f, SECTION.keys, "users[].", r);
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
        let value = f.line(name, r)?;
        if value.value.contains(':') {
            r.error(value.spot, &f.key(name), "must not contain `:`", "");
            return None;
        }
        Some(value.value)
    };
    user.gecos = field("gecos");
    user.homedir = field("homedir");
    user.primary_group = field("primary_group");
    user.shell = field("shell");
    if let Some(text) = f.line("passwd", r) {
        match reference(&text, &f.key("passwd"), r) {
            Reference::To(name) => user.passwd_credential = Some(name),
            Reference::Text if text.value.contains(':') => {
                r.error(text.spot, &f.key("passwd"), "must not contain `:`", "");
            }
            Reference::Text => user.passwd = Some(text.value),
            Reference::Wrong => {}
        }
    }
    for (slot, name) in [(&mut user.homedir, "homedir"), (&mut user.shell, "shell")] {
        if slot
            .as_ref()
            .is_some_and(|p| !p.starts_with('/') || p.split('/').any(|c| c == ".."))
        {
            let spot = f.get(name).map_or(f.spot, |n| n.spot);
            r.error(spot, &f.key(name), "must be an absolute path", "");
            *slot = None;
        }
    }
    if user.primary_group.as_ref().is_some_and(|g| !is_name(g)) {
        let spot = f.get("primary_group").map_or(f.spot, |n| n.spot);
        r.error(spot, &f.key("primary_group"), "not a group name", "");
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
    further(&f, &mut user, config, r);
    config.users.push(At {
        spot: f.spot,
        value: user,
    });
    Some(())
}

/// What cloud-init has beside CoreOS's fields.
fn further(f: &Fields<'_>, user: &mut User, config: &mut CloudConfig, r: &mut Reader) {
    if let Some(n) = f.get("uid") {
        let uid = r.number(n, &f.key("uid"));
        user.uid = uid.and_then(|u| u32::try_from(u).ok());
        if uid.is_some_and(|u| !(1..65_534).contains(&u)) {
            r.error(n.spot, &f.key("uid"), "must be between 1 and 65533", "");
            user.uid = None;
        }
    }
    user.ssh_redirect_user = f.boolean("ssh_redirect_user", r).unwrap_or(false);
    if let Some(text) = f.line("expiredate", r) {
        user.expires = day(&text.value);
        if user.expires.is_none() && !text.value.is_empty() {
            r.error(
                text.spot,
                &f.key("expiredate"),
                "not a date",
                "write it as `2030-12-31`",
            );
        }
    }
    if let Some(n) = f.get("inactive") {
        // useradd(8) takes -1 for never, which is the default.
        let never = matches!(&n.kind, Kind::Scalar { text, .. } if text == "-1");
        if !never {
            user.inactive = r
                .number(n, &f.key("inactive"))
                .and_then(|d| u32::try_from(d).ok());
        }
    }
    let lock = f.boolean("lock_passwd", r).unwrap_or(false);
    if lock {
        // What cannot be a hash never matches; `!` is what passwd(1) puts there.
        user.passwd = Some(format!("!{}", user.passwd.as_deref().unwrap_or_default()));
        user.passwd_credential = None;
    }
    for (name, secret) in [
        ("hashed_passwd", Secret::Hash as fn(String) -> Secret),
        ("plain_text_passwd", Secret::Plain),
    ] {
        let Some(text) = f.line(name, r).filter(|_| !lock) else {
            continue;
        };
        let hashed = name == "hashed_passwd";
        let secret = match reference(&text, &f.key(name), r) {
            Reference::Wrong => continue,
            Reference::To(name) => Secret::Credential {
                name,
                hashed: Some(hashed),
            },
            Reference::Text => match passwords::fault(&text.value, hashed) {
                None => secret(text.value),
                Some(why) => {
                    r.error(text.spot, &f.key(name), why, "");
                    continue;
                }
            },
        };
        config.passwords.push(At {
            spot: text.spot,
            value: Password {
                user: user.name.clone(),
                secret,
                expire: false,
            },
        });
    }
    ssh_import::read(f, &user.name, config, r);
}

/// Days from 1970 to a date (proleptic Gregorian calendar).
fn day(text: &str) -> Option<u64> {
    let parts: Vec<i64> = text
        .split('-')
        .map(|p| p.parse().ok())
        .collect::<Option<_>>()?;
    let [year, month, day] = parts[..] else {
        return None;
    };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    u64::try_from(days - 719_468).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        for (text, want) in [
            ("1970-01-01", Some(0)),
            ("2000-03-01", Some(11_017)),
            ("2030-12-31", Some(22_279)),
            ("2030-13-01", None),
            ("never", None),
        ] {
            assert_eq!(day(text), want, "{text}");
        }
    }
}
