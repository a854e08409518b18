//! Recipes: the YAML files that describe images.
//!
//! Three steps, three types: [`raw::RawRecipe`] (one file as written), the merge of
//! a chain of `extends`, and [`Recipe`] (checked; nothing later has to doubt it).

mod builtin;
mod check;
mod load;
mod raw;
mod secure_boot;
mod size;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::archive::lock::Pocket;
use crate::disk::layout::Sizes;
use crate::usr::Compression;

pub(crate) use check::check_version;
pub use secure_boot::{Enroll, SecureBoot, When};
pub use size::Size;
pub use updater::suggest::closest;

/// A checked recipe. Its serialisation identifies what is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// Name; part of output file names.
    pub name: String,
    /// Version of the image, if the recipe fixes one.
    pub version: Option<String>,
    /// Debian suite.
    pub suite: String,
    /// Which parts of the suite packages may come from; sorted, [`Pocket::Main`] first.
    pub pockets: Vec<Pocket>,
    /// Debian architecture.
    pub architecture: String,
    /// Which kernel package.
    pub kernel: Kernel,
    /// Packages asked for, the kernel included.
    pub packages: BTreeSet<String>,
    /// Dependencies that count as satisfied without being there.
    pub exclude: BTreeSet<String>,
    /// Files to add, by path without the leading slash.
    pub files: BTreeMap<String, File>,
    /// Systemd units to add or change, by name.
    pub units: BTreeMap<String, Unit>,
    /// Users, by name.
    pub users: BTreeMap<String, User>,
    /// Units to enable.
    pub enable: BTreeSet<String>,
    /// Units that stay off although another unit's `Also=` would bring them along.
    pub disable: BTreeSet<String>,
    /// Units to mask.
    pub mask: BTreeSet<String>,
    /// Words of the kernel command line.
    pub cmdline: Vec<String>,
    /// Compression of the /usr image.
    pub compression: Compression,
    /// Sizes of partitions and of the disk.
    pub sizes: Sizes,
    /// Output formats.
    pub formats: BTreeSet<String>,
    /// Fixed host name, if any.
    pub hostname: Option<String>,
    /// Kernel modules to keep: paths below `kernel/`, without `.ko`; a folder keeps
    /// all that is in it, but for entries below it that begin with `!`. Dependencies
    /// are kept too.
    pub modules: BTreeSet<String>,
    /// Packages whose hand-written maintainer scripts were looked at and are covered.
    pub accept_scripts: BTreeSet<String>,
    /// Patterns of paths that are left out of the image.
    pub remove_paths: BTreeSet<String>,
    /// Patterns of paths that stay although `remove_paths` has them.
    pub keep_paths: BTreeSet<String>,
    /// Where updates come from.
    pub update: Option<Update>,
    /// Keys that sign what firmware starts.
    pub secure_boot: Option<SecureBoot>,
}

/// A kernel flavour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// Every driver: virtual machines of all kinds and bare metal.
    Generic,
    /// Smaller; lacks drivers of older and desktop hypervisors and of bare metal.
    Cloud,
}

/// A file to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// Content.
    pub content: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
}

/// A unit to add or change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// The unit file; `None` changes a unit that a package ships.
    pub content: Option<String>,
    /// Drop-in files by name (`10-x.conf`).
    pub drop_ins: BTreeMap<String, String>,
}

/// A user of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// User and group number.
    pub uid: u32,
    /// Further groups.
    pub groups: BTreeSet<String>,
    /// Public keys, in the format of `authorized_keys`.
    pub ssh_authorized_keys: Vec<String>,
    /// Login shell.
    pub shell: String,
    /// Home directory.
    pub home: String,
    /// Full name.
    pub comment: String,
    /// Password hash in the format of shadow(5); `None` locks the password.
    pub password_hash: Option<String>,
}

/// Where updates come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Update {
    /// Channel name.
    pub channel: String,
    /// URL of the repository; without one, updates are asked for by hand.
    pub url: Option<String>,
    /// The repository's root of trust: a TUF root document, `N.root.json`.
    pub root: String,
}

impl Recipe {
    /// What the solver is asked for.
    pub fn requested(&self) -> Vec<String> {
        self.packages.iter().cloned().collect()
    }

    /// Names the solver treats as satisfied. What is asked for is never excluded.
    pub fn excluded(&self) -> Vec<String> {
        self.exclude.difference(&self.packages).cloned().collect()
    }
}
