//! `users`: accounts, their keys and sudo rules.

use super::{Account, Action, Builder, Holds, Input, Origin, Sealed, keys};
use crate::cloudconfig::{Group, User};

pub(super) fn add(b: &mut Builder<'_>, inputs: &[&Input]) {
    for input in inputs {
        for group in &input.config.groups {
            let origin = Origin::at(input.sender, group.spot);
            // Members may be users who are yet to be added.
            let alone = Group {
                name: group.value.name.clone(),
                members: Vec::new(),
            };
            b.push(
                format!("group {}", alone.name),
                origin,
                Action::Group(alone),
            );
        }
    }
    let mut key_sets: Vec<(String, Vec<String>, Origin)> = Vec::new();
    for input in inputs {
        for user in &input.config.users {
            let origin = Origin::at(input.sender, user.spot);
            let u = &user.value;
            let Some(account) = account(b, origin, u) else {
                continue;
            };
            let (resource, action) = (format!("user {}", u.name), Action::Account(account));
            match &u.passwd_credential {
                None => b.push(resource, origin, action),
                Some(name) => {
                    let sealed = Sealed {
                        credential: name.clone(),
                        holds: Holds::Hash,
                        action,
                    };
                    b.seal(resource, origin, sealed);
                }
            }
            sudo(b, origin, u);
            if u.name != keys::CORE {
                let mut lines: Vec<String> = u
                    .ssh_authorized_keys
                    .iter()
                    .filter_map(|k| keys::key_of(b, input.sender, k))
                    .collect();
                if u.ssh_redirect_user {
                    lines.extend(keys::redirected(b, &u.name));
                }
                if lines.is_empty() {
                    continue;
                }
                match key_sets.iter_mut().find(|(name, ..)| *name == u.name) {
                    Some((_, all, _)) => all.extend(lines),
                    None => key_sets.push((u.name.clone(), lines, origin)),
                }
            }
        }
    }
    for (name, lines, origin) in key_sets {
        keys::push(b, &name, lines, origin);
    }
    for input in inputs {
        for group in input
            .config
            .groups
            .iter()
            .filter(|g| !g.value.members.is_empty())
        {
            let origin = Origin::at(input.sender, group.spot);
            let resource = format!("members of group {}", group.value.name);
            b.push(resource, origin, Action::Group(group.value.clone()));
        }
    }
}

fn account(b: &mut Builder<'_>, origin: Origin, u: &User) -> Option<Account> {
    let resource = format!("user {}", u.name);
    let mut text = |t: &Option<String>| match t {
        Some(t) => b.expand(&resource, origin, t).map(Some),
        None => Some(None),
    };
    Some(Account {
        name: u.name.clone(),
        uid: u.uid,
        expires: u.expires,
        inactive: u.inactive,
        gecos: text(&u.gecos)?,
        // Hashes start with `$`, and are not text anyone puts an address in.
        password: u.passwd.clone(),
        home: text(&u.homedir)?,
        create_home: !u.no_create_home && !u.system,
        primary_group: u.primary_group.clone(),
        groups: u.groups.clone(),
        user_group: !u.no_user_group,
        system: u.system,
        shell: text(&u.shell)?,
    })
}

fn sudo(b: &mut Builder<'_>, origin: Origin, u: &User) {
    if u.sudo.is_empty() {
        return;
    }
    let lines: String = u
        .sudo
        .iter()
        .map(|rule| format!("{} {rule}\n", u.name))
        .collect();
    // sudo skips names with a dot or a tilde; user names have neither.
    let path = format!("/etc/sudoers.d/90-oem-{}", u.name);
    b.push(
        format!("file {path}"),
        origin,
        Action::File {
            path,
            content: lines.into_bytes(),
            mode: 0o440,
            owner: None,
        },
    );
}
