//! What an action would change. `plan` prints it and `apply` obeys it, so the
//! two cannot disagree.

use super::Action;
use super::accounts::Db;
use super::diff::unified;
use super::inventory::Left;
use crate::error::{Error, Result};
use crate::root::{Found, Owner, SystemView};
use serde::Serialize;

/// What an action would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change", content = "diff")]
pub enum Change {
    /// Nothing: it is already so.
    Unchanged,
    /// Something new; the text is for people.
    Create(String),
    /// Something different; a diff for people.
    Update(String),
    /// Depends on the running system.
    Run,
}

impl Change {
    /// Whether nothing is to be done.
    pub fn is_unchanged(&self) -> bool {
        *self == Change::Unchanged
    }
}

/// Compares an action with the machine.
pub fn change(action: &Action, view: &dyn SystemView) -> Result<Change> {
    match action {
        Action::Hostname(name) => file(
            view,
            "/etc/hostname",
            format!("{name}\n").as_bytes(),
            0o644,
            Some((0, 0)),
        ),
        Action::File {
            path,
            content,
            mode,
            owner,
        } => {
            let owner = match owner {
                None => Some((0, 0)),
                Some(text) => Db::read(view)?.owner(text),
            };
            file(view, path, content, *mode, owner)
        }
        Action::Link { path, target } => Ok(match view.look(path)? {
            Found::Link(t) if t == *target => Change::Unchanged,
            Found::Missing => Change::Create(format!("-> {target}\n")),
            Found::Link(t) => Change::Update(format!("- -> {t}\n+ -> {target}\n")),
            Found::Dir { .. } => return Err(in_the_way(path)),
            _ => Change::Update(format!("+ -> {target}\n")),
        }),
        Action::Withdraw { path, left } => {
            let found = view.look(path);
            let directory = matches!(left, Left::Directory { .. });
            match found {
                // Also where a file has taken the place of its directory.
                Ok(Found::Missing) | Err(_) => Ok(Change::Unchanged),
                Ok(found) => match left.difference(&found, view.owners()) {
                    Some(why) if !directory => Err(Error::environment(format!(
                        "{path} was changed just now: {why}"
                    ))),
                    _ => Ok(Change::Update("- removed\n".to_owned())),
                },
            }
        }
        Action::Restore { path, own } => Ok(match view.look(own)? {
            Found::File {
                content,
                mode,
                uid,
                gid,
            } => return file(view, path, &content, mode, Some((uid, gid))),
            Found::Link(target) => match view.look(path)? {
                Found::Link(t) if t == target => Change::Unchanged,
                Found::Dir { .. } => return Err(in_the_way(path)),
                _ => Change::Update(format!("+ -> {target}\n")),
            },
            _ => Change::Unchanged,
        }),
        Action::Remove { path } => Ok(match view.look(path)? {
            Found::Missing => Change::Unchanged,
            Found::Dir { .. } => return Err(in_the_way(path)),
            _ => Change::Update("- removed\n".to_owned()),
        }),
        Action::Account(want) => {
            let mut db = Db::read(view)?;
            let mut changes = db.ensure(want, 0)?;
            if let Some(user) = db.user(&want.name)
                && want.create_home
                && view.look(&user.home)? == Found::Missing
            {
                changes.push(format!("home {} made", user.home));
            }
            Ok(listed_changes(changes))
        }
        Action::Group(want) => Ok(match Db::read(view)?.ensure_group(want) {
            Ok(changes) => listed_changes(changes),
            // Users who are yet to be added.
            Err(_) => {
                let members = want.members.join(", ");
                Change::Update(format!("+ {members} joined group {}\n", want.name))
            }
        }),
        Action::Password { user, mark, .. } => {
            if view.read(&mark.0)?.as_deref() == Some(mark.1.as_bytes()) {
                return Ok(Change::Unchanged);
            }
            Ok(Change::Update(format!("+ password of {user} set\n")))
        }
        Action::Directory { path, mode, owner } => {
            let owner = match owner {
                None => Some((0, 0)),
                Some(text) => Db::read(view)?.owner(text),
            };
            Ok(match view.look(path)? {
                Found::Missing => Change::Create(format!("+ directory, mode {mode:04o}\n")),
                Found::Dir {
                    mode: is, uid, gid, ..
                } => {
                    let owned = !view.owners() || owner.is_none_or(|o| o == (uid, gid));
                    if is == *mode && owned {
                        Change::Unchanged
                    } else {
                        Change::Update(format!("- mode {is:04o}\n+ mode {mode:04o}\n"))
                    }
                }
                _ => {
                    return Err(Error::environment(format!("{path} is not a directory"))
                        .hint("choose another path, or move what is there away"));
                }
            })
        }
        Action::Keys { user, keys } => match Db::read(view)?.user(user) {
            None => Ok(Change::Create(listed(keys))),
            Some(u) => {
                let owner = Some((u.uid, u.gid));
                let ssh = format!("{}/.ssh", u.home);
                for dir in [ssh.clone(), format!("{ssh}/authorized_keys.d")] {
                    if !is_private_dir(view, &dir, owner)? {
                        return Ok(Change::Create(listed(keys)));
                    }
                }
                file(
                    view,
                    &keys_path(&u.home),
                    listed_plain(keys).as_bytes(),
                    0o600,
                    owner,
                )
            }
        },
        Action::LinkName { .. }
        | Action::Reload
        | Action::NetworkReload
        | Action::Refresh { .. }
        | Action::Stop { .. }
        | Action::Job { .. } => Ok(Change::Run),
    }
}

fn listed_changes(changes: Vec<String>) -> Change {
    if changes.is_empty() {
        return Change::Unchanged;
    }
    Change::Update(changes.iter().map(|c| format!("+ {c}\n")).collect())
}

/// The file `oem` owns in a home.
pub fn keys_path(home: &str) -> String {
    format!("{}/.ssh/authorized_keys.d/oem", home.trim_end_matches('/'))
}

/// Content of that file.
pub fn listed_plain(keys: &[String]) -> String {
    keys.iter().map(|k| format!("{k}\n")).collect()
}

/// Whether a directory is there with mode 0700 and the right owner.
pub fn is_private_dir(view: &dyn SystemView, path: &str, owner: Option<Owner>) -> Result<bool> {
    Ok(match view.look(path)? {
        Found::Dir { mode, uid, gid } => {
            mode == 0o700 && (!view.owners() || owner.is_none_or(|o| o == (uid, gid)))
        }
        _ => false,
    })
}

fn listed(keys: &[String]) -> String {
    keys.iter().map(|k| format!("+{k}\n")).collect()
}

fn file(
    view: &dyn SystemView,
    path: &str,
    content: &[u8],
    mode: u32,
    owner: Option<Owner>,
) -> Result<Change> {
    let (old, facts) = match view.look(path)? {
        Found::Missing => return Ok(Change::Create(shown("", content, mode))),
        Found::Dir { .. } => return Err(in_the_way(path)),
        Found::Link(target) => {
            return Ok(Change::Update(format!(
                "- -> {target}\n{}",
                shown("", content, mode)
            )));
        }
        Found::Special => return Ok(Change::Update(shown("", content, mode))),
        Found::File {
            content: old,
            mode: old_mode,
            uid,
            gid,
        } => {
            let mut facts = String::new();
            if old_mode != mode {
                facts += &format!("- mode {old_mode:04o}\n+ mode {mode:04o}\n");
            }
            if let Some((u, g)) = owner
                && view.owners()
                && (u, g) != (uid, gid)
            {
                facts += &format!("- owner {uid}:{gid}\n+ owner {u}:{g}\n");
            }
            if old == content && facts.is_empty() {
                return Ok(Change::Unchanged);
            }
            (old, facts)
        }
    };
    let text = if old == content {
        String::new()
    } else {
        match std::str::from_utf8(&old) {
            Ok(old) => shown(old, content, mode),
            Err(_) => shown("", content, mode),
        }
    };
    Ok(Change::Update(facts + &text))
}

/// A diff, unless the file is private or not text.
fn shown(old: &str, new: &[u8], mode: u32) -> String {
    if mode & 0o004 == 0 {
        return format!("+ {} bytes, not shown: mode {mode:04o}\n", new.len());
    }
    match std::str::from_utf8(new) {
        Ok(new) if !new.contains('\0') => unified(old, new),
        _ => format!("+ {} bytes, not text\n", new.len()),
    }
}

fn in_the_way(path: &str) -> Error {
    Error::environment(format!("{path} is a directory"))
        .hint("choose another path, or move the directory away")
}
