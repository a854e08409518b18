//! Users and groups: the files are read, changed and replaced under the lock
//! every account tool takes.

use super::{Outcome, lock, now};
use crate::cloudconfig::Group;
use crate::error::{Error, Result};
use crate::plan::Account;
use crate::plan::accounts::{Db, FILES, User};
use crate::root::{Found, Owner, Root, SystemView as _, temp_name};
use crate::status::State;

/// Lock of lckpwdf(3).
const LOCK: &str = "/etc/.pwd.lock";
const SKEL: &str = "/etc/skel";
/// Deepest folder of skel that is copied.
const SKEL_DEPTH: usize = 8;

pub(super) fn apply(root: &Root, want: &Account) -> Result<Outcome> {
    let _lock = lock::hold(root, LOCK)?;
    let mut db = Db::read(root)?;
    let before = db.render();
    let mut changes = db.ensure(want, today())?;
    store(root, &db, before)?;
    if want.create_home {
        let user = db
            .user(&want.name)
            .ok_or_else(|| Error::environment(format!("user {} was not added", want.name)))?;
        if ensure_home(root, &user)? {
            changes.push(format!("home {} made", user.home));
        }
    }
    Ok(Outcome::with(State::Done, changes.join(", ")))
}

pub(super) fn group(root: &Root, want: &Group) -> Result<Outcome> {
    let _lock = lock::hold(root, LOCK)?;
    let mut db = Db::read(root)?;
    let before = db.render();
    let changes = db.ensure_group(want)?;
    store(root, &db, before)?;
    Ok(Outcome::with(State::Done, changes.join(", ")))
}

pub(super) fn password(
    root: &Root,
    user: &str,
    hash: &str,
    expire: bool,
    mark: &(String, String),
) -> Result<Outcome> {
    let _lock = lock::hold(root, LOCK)?;
    let mut db = Db::read(root)?;
    if db.user(user).is_none() {
        return Err(
            Error::input(format!("there is no user {user}")).hint("add the user under `users`")
        );
    }
    let before = db.render();
    let day = if expire { 0 } else { today() };
    let change = db.set_password(user, hash, day);
    store(root, &db, before)?;
    // Last: without it, it is set once more.
    root.write(&mark.0, mark.1.as_bytes(), 0o600, Some((0, 0)))?;
    Ok(Outcome::with(State::Done, change.unwrap_or_default()))
}

fn today() -> u64 {
    now() / 86_400
}

/// Writes the files that differ from what they were.
fn store(root: &Root, db: &Db, before: [Option<String>; 4]) -> Result<()> {
    // The private halves first: a power failure between two of them leaves lines that
    // the next run replaces, not a user or group without its other half.
    let mut files: Vec<_> = FILES.iter().zip(before).zip(db.render()).collect();
    files.sort_by_key(|((path, _), _)| match **path {
        "/etc/gshadow" => 0,
        "/etc/group" => 1,
        "/etc/shadow" => 2,
        _ => 3,
    });
    for ((path, old), new) in files {
        let Some(text) = new.filter(|new| old.as_ref() != Some(new)) else {
            continue;
        };
        let (mode, owner) = match root.look(path)? {
            Found::File { mode, uid, gid, .. } => (mode, (uid, gid)),
            _ if path.ends_with("shadow") => (0o640, (0, db.group("shadow").unwrap_or(0))),
            _ => (0o644, (0, 0)),
        };
        root.write(path, text.as_bytes(), mode, Some(owner))?;
    }
    Ok(())
}

/// Makes a missing home directory and fills it from skel: under another name until it
/// is whole. Whether it was missing.
pub(super) fn ensure_home(root: &Root, user: &User) -> Result<bool> {
    if root.look(&user.home)? != Found::Missing {
        return Ok(false);
    }
    let owner = (user.uid, user.gid);
    let home = user.home.trim_end_matches('/');
    let (parent, name) = home.rsplit_once('/').unwrap_or(("", home));
    let unfinished = format!("{parent}/{}", temp_name(name));
    root.make_dir(&unfinished, 0o700, Some(owner))?;
    copy(root, SKEL, &unfinished, owner, 0)?;
    root.rename(&unfinished, home)?;
    Ok(true)
}

fn copy(root: &Root, from: &str, to: &str, owner: Owner, depth: usize) -> Result<()> {
    if depth > SKEL_DEPTH {
        return Ok(());
    }
    for name in root.list(from)? {
        let (from, to) = (format!("{from}/{name}"), format!("{to}/{name}"));
        match root.look(&from)? {
            Found::File { content, mode, .. } => root.write(&to, &content, mode, Some(owner))?,
            Found::Link(target) => root.link(&to, &target)?,
            Found::Dir { mode, .. } => {
                root.make_dir(&to, mode, Some(owner))?;
                copy(root, &from, &to, owner, depth + 1)?;
            }
            Found::Missing | Found::Special => {}
        }
    }
    Ok(())
}
