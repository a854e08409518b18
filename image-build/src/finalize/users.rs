//! The recipe's users, and all accounts written to /etc; owners of recipe files.

use std::fmt::Write;

use super::accounts::{Accounts, UserEntry};
use super::{Context, made};
use crate::error::{Error, Result};
use crate::tree::Tree;

const STEP: &str = "users";

/// Files of /etc/skel that a new home gets.
const SKELETON: [&str; 3] = [".bash_logout", ".bashrc", ".profile"];

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    let mut homes =
        String::from("# Homes of the image's users; contents are made once and never changed.\n");
    for (name, user) in &context.recipe.users {
        let accounts = &mut context.accounts;
        if !tree.contains(user.shell.trim_start_matches('/')) && tree.resolve(&user.shell).is_none()
        {
            return Err(Error::input(format!(
                "user {name} has the shell {}, which is not in the image",
                user.shell
            )));
        }
        accounts.add_group(name, user.uid)?;
        accounts.add_user(UserEntry {
            name: name.clone(),
            uid: user.uid,
            gid: user.uid,
            comment: user.comment.clone(),
            home: user.home.clone(),
            shell: user.shell.clone(),
            password: user.password_hash.clone().unwrap_or_else(|| "*".to_owned()),
        })?;
        for group in &user.groups {
            accounts.add_member(name, group)?;
        }
        let _ = writeln!(homes, "d {} 0700 {name} {name} -", user.home);
        for file in SKELETON {
            if tree.contains(&format!("etc/skel/{file}")) {
                let _ = writeln!(
                    homes,
                    "C {}/{file} 0644 {name} {name} - /etc/skel/{file}",
                    user.home
                );
            }
        }
        if !user.ssh_authorized_keys.is_empty() {
            let keys: String = user
                .ssh_authorized_keys
                .iter()
                .map(|k| format!("{}\n", k.trim()))
                .collect();
            tree.insert(
                &format!("etc/ssh/authorized_keys.d/{name}"),
                made(STEP, keys, 0o644),
            )?;
        }
    }
    tree.insert(
        "usr/lib/tmpfiles.d/holdfast-users.conf",
        made(STEP, homes, 0o644),
    )?;
    for (path, file) in &context.recipe.files {
        let unknown = |what: &str, name: &str| {
            Error::input(format!(
                "/{path} belongs to {what} {name}, which is not in the image"
            ))
        };
        let uid = context
            .accounts
            .uid(&file.owner)
            .ok_or_else(|| unknown("user", &file.owner))?;
        let gid = context
            .accounts
            .gid(&file.group)
            .ok_or_else(|| unknown("group", &file.group))?;
        if let Some(node) = tree.get_mut(path) {
            (node.uid, node.gid) = (uid, gid);
        }
    }
    write(tree, &mut context.accounts, context.epoch)
}

fn write(tree: &mut Tree, accounts: &mut Accounts, epoch: i64) -> Result<()> {
    accounts.users.sort_by_key(|u| u.uid);
    accounts.groups.sort_by_key(|g| g.gid);
    let (mut passwd, mut shadow, mut group, mut gshadow) =
        (String::new(), String::new(), String::new(), String::new());
    let day = epoch.max(0) / 86_400;
    for u in &accounts.users {
        let _ = writeln!(
            passwd,
            "{}:x:{}:{}:{}:{}:{}",
            u.name, u.uid, u.gid, u.comment, u.home, u.shell
        );
        let _ = writeln!(shadow, "{}:{}:{day}:0:99999:7:::", u.name, u.password);
    }
    for g in &accounts.groups {
        let members = g.members.join(",");
        let _ = writeln!(group, "{}:x:{}:{members}", g.name, g.gid);
        let _ = writeln!(gshadow, "{}:*::{members}", g.name);
    }
    let gid = accounts.gid("shadow").unwrap_or(0);
    for (path, text, secret) in [
        ("etc/passwd", passwd, false),
        ("etc/group", group, false),
        ("etc/shadow", shadow, true),
        ("etc/gshadow", gshadow, true),
    ] {
        let mut node = made(STEP, text, if secret { 0o640 } else { 0o644 });
        node.gid = if secret { gid } else { 0 };
        tree.insert(path, node)?;
    }
    Ok(())
}
