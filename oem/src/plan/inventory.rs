//! What this agent made on the machine, and as what it left it: so that what is no
//! longer asked for can go, and that what somebody changed is seen. Digests only,
//! never contents.
//!
//! `apply` writes it twice around a run that changes something. Before the first
//! change it tells all that will stand somewhere, beside what stood there last; after
//! the last change it tells what does. Whatever the power cuts short, then, is in it
//! as it was or as it was to be, and a file that is neither is somebody else's.

use super::accounts::Db;
use super::{Action, Plan, hex, keys_path, listed_plain};
use crate::error::{Context as _, Result};
use crate::plan::Layer;
use crate::root::{Found, Owner, SystemView};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Where it is. Only for root.
pub const PATH: &str = "/var/lib/oem/inventory.json";
/// What the image has in /etc.
const IMAGE_ETC: &str = "/usr/share/holdfast/etc";

/// Everything made so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// A run began and did not end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// By absolute path.
    pub items: BTreeMap<String, Item>,
    /// Users and groups asked for, by the name of their resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<String, AskedBy>,
    /// Mounts and swap that were started: their units are made from /etc/fstab.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mounts: BTreeMap<String, AskedBy>,
}

/// One path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Name of the resource, e.g. `file /etc/motd`.
    pub resource: String,
    /// Who asked for it, e.g. `user-data:12`.
    pub origin: String,
    /// Whose wish it was: only when their wishes are known again may it go.
    pub layer: Layer,
    /// As what it was left.
    pub left: Left,
    /// As what it was left before that, while a change is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Left>,
    /// What stood there before all that.
    pub stood: Stood,
    /// Why it is in here.
    #[serde(default, skip_serializing_if = "Role::is_asked")]
    pub role: Role,
    /// Services to tell when it goes: unit and how.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refresh: Vec<(String, String)>,
}

/// Something that is not at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedBy {
    /// Who asked for it.
    pub origin: String,
    /// Whose wish it was.
    pub layer: Layer,
    /// It was not there before.
    pub made: bool,
}

/// What is at a path, without contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Left {
    /// A regular file.
    File {
        /// Of its bytes, in hexadecimal.
        sha256: String,
        /// Permission bits.
        mode: u32,
        /// Owner and group, where they could be set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
    },
    /// A symbolic link.
    Link {
        /// Target as stored.
        target: String,
    },
    /// A directory.
    Directory {
        /// Permission bits.
        mode: u32,
        /// Owner and group, where they could be set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
    },
    /// Nothing: what the image has there was removed.
    Absent,
}

/// What stood at a path when it was first asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stood {
    /// Nothing: what is there is ours.
    Nothing,
    /// The very same: nothing was changed.
    Same,
    /// Something else, which is gone.
    Other,
}

/// Why a path is in the inventory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It is asked for.
    #[default]
    Asked,
    /// A directory on the way to something that is.
    Implied,
    /// The image's own is there again; it follows the image from release to release.
    Restored,
    /// No longer asked for, and left in place all the same.
    Kept,
}

impl Role {
    fn is_asked(&self) -> bool {
        *self == Role::Asked
    }
}

impl Inventory {
    /// Reads it; empty when there is none.
    pub fn read(view: &dyn SystemView) -> Result<Inventory> {
        let Some(bytes) = view.read(PATH)? else {
            return Ok(Inventory::default());
        };
        serde_json::from_slice(&bytes)
            .environment(|| format!("{PATH} is damaged"))
            .map_err(|e| {
                e.hint(format!(
                    "remove {PATH}: the next run makes it anew, and what earlier runs made stays"
                ))
            })
    }
}

impl Left {
    /// What an action leaves, when it leaves something at a path.
    pub fn by(action: &Action) -> Option<Left> {
        let file = |content: &[u8], mode: u32| {
            Some(Left::File {
                sha256: hex(&Sha256::digest(content)),
                mode,
                owner: None,
            })
        };
        match action {
            Action::Hostname(name) => file(format!("{name}\n").as_bytes(), 0o644),
            Action::File { content, mode, .. } => file(content, *mode),
            Action::Keys { keys, .. } => file(listed_plain(keys).as_bytes(), 0o600),
            Action::Link { target, .. } => Some(Left::Link {
                target: target.clone(),
            }),
            Action::Directory { mode, .. } => Some(Left::Directory {
                mode: *mode,
                owner: None,
            }),
            _ => None,
        }
    }

    /// What is there.
    pub fn of(found: &Found) -> Option<Left> {
        match found {
            Found::File {
                content,
                mode,
                uid,
                gid,
            } => Some(Left::File {
                sha256: hex(&Sha256::digest(content)),
                mode: *mode,
                owner: Some((*uid, *gid)),
            }),
            Found::Link(target) => Some(Left::Link {
                target: target.clone(),
            }),
            Found::Dir { mode, uid, gid } => Some(Left::Directory {
                mode: *mode,
                owner: Some((*uid, *gid)),
            }),
            Found::Missing => Some(Left::Absent),
            Found::Special => None,
        }
    }

    /// In what `found` differs, for people; `None` when it is as it was left.
    pub fn difference(&self, found: &Found, owners: bool) -> Option<String> {
        let facts = |was: u32, is: u32, owner: Option<Owner>, now: Owner| {
            if was != is {
                return Some(format!("mode {was:04o} became {is:04o}"));
            }
            owner.filter(|o| owners && *o != now).map(|(u, g)| {
                let (uid, gid) = now;
                format!("owner {u}:{g} became {uid}:{gid}")
            })
        };
        match (self, found) {
            (
                Left::File {
                    sha256,
                    mode,
                    owner,
                },
                Found::File {
                    content,
                    mode: is,
                    uid,
                    gid,
                },
            ) => {
                if *sha256 != hex(&Sha256::digest(content)) {
                    return Some("its content is another".to_owned());
                }
                facts(*mode, *is, *owner, (*uid, *gid))
            }
            (Left::Link { target }, Found::Link(is)) => {
                (target != is).then(|| format!("it points to {is}"))
            }
            (
                Left::Directory { mode, owner },
                Found::Dir {
                    mode: is, uid, gid, ..
                },
            ) => facts(*mode, *is, *owner, (*uid, *gid)),
            (Left::Absent, Found::Missing) => None,
            (_, Found::Missing) => Some("it is gone".to_owned()),
            (_, Found::File { .. }) => Some("a file is there".to_owned()),
            (_, Found::Link(_)) => Some("a link is there".to_owned()),
            (_, Found::Dir { .. }) => Some("a directory is there".to_owned()),
            (_, Found::Special) => Some("something else is there".to_owned()),
        }
    }

    /// Whether two are one but for owners, which are known only afterwards.
    pub fn is_alike(&self, other: &Left) -> bool {
        let plain = |l: &Left| {
            let mut l = l.clone();
            if let Left::File { owner, .. } | Left::Directory { owner, .. } = &mut l {
                *owner = None;
            }
            l
        };
        plain(self) == plain(other)
    }
}

impl Item {
    /// Whether we left a directory, or did before a change that is under way.
    pub fn was_directory(&self) -> bool {
        let is = |l: &Left| matches!(l, Left::Directory { .. });
        is(&self.left) || self.before.as_ref().is_some_and(is)
    }

    /// In what `found` differs from what was left, for people. While a change is
    /// under way the old and the new are both right.
    pub fn difference(&self, found: &Found, owners: bool) -> Option<String> {
        let why = self.left.difference(found, owners)?;
        match &self.before {
            Some(before) if before.difference(found, owners).is_none() => None,
            _ => Some(why),
        }
    }
}

/// Where the image keeps its own version of a file, if it may have one. /etc is an
/// overlay: to remove a file there hides the image's own, so that has to be brought
/// back by hand.
pub fn images_own(path: &str) -> Option<String> {
    path.strip_prefix("/etc/")
        .map(|inside| format!("{IMAGE_ETC}/{inside}"))
}

/// Where actions put things.
pub struct Places {
    db: Db,
    /// Of users that are yet to be added.
    homes: BTreeMap<String, String>,
}

impl Places {
    /// For the actions of a plan.
    pub fn new(plan: &Plan, view: &dyn SystemView) -> Result<Places> {
        let mut homes = BTreeMap::new();
        for step in &plan.steps {
            if let Some(Action::Account(want)) = step.work.action() {
                let home = want.home.clone();
                let home = home.unwrap_or_else(|| format!("/home/{}", want.name));
                homes.insert(want.name.clone(), home);
            }
        }
        Ok(Places {
            db: Db::read(view)?,
            homes,
        })
    }

    /// The path an action leaves something at, or nothing.
    pub fn of(&self, action: &Action) -> Option<String> {
        match action {
            Action::Hostname(_) => Some("/etc/hostname".to_owned()),
            Action::File { path, .. }
            | Action::Directory { path, .. }
            | Action::Link { path, .. }
            | Action::Remove { path }
            | Action::Restore { path, .. } => Some(path.clone()),
            Action::Keys { user, .. } => self.home(user).map(|home| keys_path(&home)),
            _ => None,
        }
    }

    /// Whether there is such a user or group, by the name of its resource.
    pub fn has_account(&self, resource: &str) -> bool {
        match resource.split_once(' ') {
            Some(("user", name)) => self.db.user(name).is_some(),
            Some(("group", name)) => self.db.group(name).is_some(),
            _ => false,
        }
    }

    /// Whether a directory is some user's home, or of those every machine has: these
    /// stay even when they are empty.
    pub fn stays(&self, directory: &str) -> bool {
        const ALWAYS: [&str; 14] = [
            "",
            "/etc",
            "/etc/systemd",
            "/etc/systemd/system",
            "/home",
            "/opt",
            "/root",
            "/run",
            "/srv",
            "/tmp",
            "/usr",
            "/var",
            "/var/lib",
            "/var/lib/oem",
        ];
        ALWAYS.contains(&directory)
            || directory.starts_with("/run/oem")
            || self.homes.values().any(|h| h == directory)
            || self.db.is_home(directory)
    }

    fn home(&self, user: &str) -> Option<String> {
        let home = self.db.user(user).map(|u| u.home);
        home.or_else(|| self.homes.get(user).cloned())
    }
}

/// Marks of what ran on an instance: they stay as long as the instance's directory.
pub fn is_mark(path: &str) -> bool {
    path == "/var/lib/oem/done"
        || path.starts_with("/var/lib/oem/done/")
        || path.starts_with(crate::metadata::INSTANCES)
}

/// Whose wishes are known in full in this run. What those made whose are not stays.
#[derive(Debug, Clone, Default)]
pub struct Obtained {
    /// Whose.
    pub layers: BTreeSet<Layer>,
    /// Why nothing may go though it is time to, for people.
    pub held: Option<String>,
}

impl Obtained {
    /// Nothing may go in this run.
    pub fn nothing() -> Obtained {
        Obtained::default()
    }

    /// Whether what a layer asked for may go. The network has a document of its own;
    /// for all else user-data must be known, whoever asked: it can overrule anyone.
    pub fn covers(&self, layer: Layer, resource: &str) -> bool {
        let has = |l: Layer| self.layers.contains(&l);
        match layer {
            Layer::Network => has(Layer::Network),
            _ if !has(Layer::UserData) => false,
            // Keys of several layers are in one file.
            _ if resource.starts_with("ssh keys of ") => has(layer) && has(Layer::Metadata),
            _ => has(layer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32, uid: u32) -> Found {
        Found::File {
            content: text.as_bytes().to_vec(),
            mode,
            uid,
            gid: 0,
        }
    }

    #[test]
    fn differences_are_told_without_contents() {
        let left = Left::of(&file("secret", 0o600, 0)).unwrap();
        let told = |found: &Found| left.difference(found, true);
        assert_eq!(told(&file("secret", 0o600, 0)), None);
        let other = told(&file("changed", 0o600, 0)).unwrap();
        assert_eq!(other, "its content is another");
        let mode = told(&file("secret", 0o644, 0)).unwrap();
        assert_eq!(mode, "mode 0600 became 0644");
        let owner = told(&file("secret", 0o600, 7)).unwrap();
        assert_eq!(owner, "owner 0:0 became 7:0");
        // Who may not set owners cannot have set them.
        assert_eq!(left.difference(&file("secret", 0o600, 7), false), None);
        assert_eq!(told(&Found::Missing).unwrap(), "it is gone");
        assert!(!serde_json::to_string(&left).unwrap().contains("secret"));
    }

    #[test]
    fn keys_need_metadata_and_all_needs_user_data() {
        let obtained = |layers: &[Layer]| Obtained {
            layers: layers.iter().copied().collect(),
            held: None,
        };
        let user = obtained(&[Layer::UserData]);
        assert!(user.covers(Layer::UserData, "file /a"));
        assert!(!user.covers(Layer::UserData, "ssh keys of core"));
        assert!(!user.covers(Layer::VendorData, "file /a"));
        assert!(!obtained(&[Layer::Metadata, Layer::Oem]).covers(Layer::Oem, "file /a"));
        let both = obtained(&[Layer::UserData, Layer::Metadata]);
        assert!(both.covers(Layer::UserData, "ssh keys of core"));
        assert!(both.covers(Layer::Metadata, "ssh keys of core"));
        assert!(obtained(&[Layer::Network]).covers(Layer::Network, "network unit /x"));
    }
}
