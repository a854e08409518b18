//! Users and groups: the files are read, changed and replaced under the lock
//! every account tool takes.

use super::{Outcome, lock, now};
use crate::error::{Error, Result};
use crate::plan::Account;
use crate::plan::accounts::{Db, FILES, User};
use crate::root::{Found, Owner, Root, SystemView as _};
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
    let mut changes = db.ensure(want, now() / 86_400)?;
    for ((path, old), new) in FILES.iter().zip(before).zip(db.render()) {
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

/// Makes a missing home directory and fills it from skel. Whether it was
/// missing.
pub(super) fn ensure_home(root: &Root, user: &User) -> Result<bool> {
    if root.look(&user.home)? != Found::Missing {
        return Ok(false);
    }
    let owner = (user.uid, user.gid);
    root.make_dir(&user.home, 0o700, Some(owner))?;
    copy(root, SKEL, &user.home, owner, 0)?;
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
