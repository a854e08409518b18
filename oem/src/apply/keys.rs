//! `~/.ssh/authorized_keys.d/oem`: owned wholly by this program. The user's own
//! `authorized_keys` is never touched.

use super::{Outcome, accounts};
use crate::error::{Error, Result};
use crate::plan::accounts::Db;
use crate::plan::{is_private_dir, keys_path, listed_plain};
use crate::root::Root;
use crate::status::State;

pub(super) fn apply(root: &Root, user: &str, keys: &[String]) -> Result<Outcome> {
    let found = Db::read(root)?.user(user).ok_or_else(|| {
        Error::input(format!("there is no user {user}")).hint("add the user under `users`")
    })?;
    accounts::ensure_home(root, &found)?;
    let owner = Some((found.uid, found.gid));
    let ssh = format!("{}/.ssh", found.home.trim_end_matches('/'));
    for dir in [ssh.clone(), format!("{ssh}/authorized_keys.d")] {
        if !is_private_dir(root, &dir, owner)? {
            root.make_dir(&dir, 0o700, owner)?;
        }
    }
    root.write(
        &keys_path(&found.home),
        listed_plain(keys).as_bytes(),
        0o600,
        owner,
    )?;
    Ok(Outcome::with(State::Done, format!("{} keys", keys.len())))
}
