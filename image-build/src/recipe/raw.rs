//! A recipe file as written, and how one extends another.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::size::Size;
use super::{Kernel, When};
use crate::archive::lock::Pocket;
use crate::usr::Compression;

/// One file. Every key is optional; see the README for their meaning.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRecipe {
    pub name: Option<String>,
    pub extends: Option<String>,
    pub version: Option<String>,
    pub suite: Option<String>,
    pub pockets: Option<Vec<Pocket>>,
    pub architecture: Option<String>,
    pub kernel: Option<Kernel>,
    pub packages: Vec<String>,
    pub remove_packages: Vec<String>,
    pub exclude: Vec<String>,
    pub files: Vec<RawFile>,
    pub units: Vec<RawUnit>,
    pub users: Vec<RawUser>,
    pub enable: Vec<String>,
    pub disable: Vec<String>,
    pub mask: Vec<String>,
    pub cmdline: Vec<String>,
    pub compression: Option<Compression>,
    pub sizes: RawSizes,
    pub formats: Vec<String>,
    pub hostname: Option<String>,
    pub modules: RawModules,
    pub accept_scripts: Vec<String>,
    pub remove_paths: Vec<String>,
    pub keep_paths: Vec<String>,
    pub update: Option<RawUpdate>,
    pub secure_boot: Option<RawSecureBoot>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFile {
    pub path: String,
    pub content: Option<String>,
    /// A file beside the recipe; replaced by its content when the recipe is read.
    pub source: Option<String>,
    pub mode: Option<String>,
    pub owner: Option<String>,
    pub group: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUnit {
    pub name: String,
    pub content: Option<String>,
    #[serde(default)]
    pub enable: Option<bool>,
    #[serde(default)]
    pub mask: bool,
    #[serde(default)]
    pub drop_ins: Vec<RawDropIn>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDropIn {
    pub name: String,
    pub content: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUser {
    pub name: String,
    pub uid: Option<u32>,
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    pub ssh_authorized_keys: Vec<String>,
    pub shell: Option<String>,
    pub home: Option<String>,
    pub comment: Option<String>,
    pub password_hash: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSizes {
    pub usr: Option<Size>,
    pub verity: Option<Size>,
    pub esp: Option<Size>,
    pub oem: Option<Size>,
    pub disk: Option<Size>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawModules {
    pub keep: Vec<String>,
    pub drop: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUpdate {
    pub channel: Option<String>,
    pub url: Option<String>,
    /// A file beside the recipe; replaced by its content when the recipe is read.
    pub root: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSecureBoot {
    /// A file beside the recipe, read only when something is signed.
    pub key: PathBuf,
    /// A file beside the recipe; replaced by its content when the recipe is read.
    pub certificate: String,
    pub enroll: Option<RawEnroll>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEnroll {
    /// A folder beside the recipe.
    pub keys: PathBuf,
    #[serde(default)]
    pub when: When,
    /// Content of the folder's files, by their names without `.auth`.
    #[serde(skip)]
    pub files: BTreeMap<String, Vec<u8>>,
}

impl RawRecipe {
    /// `self` laid over `base`: single values replace, lists add, and what a list
    /// takes away (`remove_packages`, `disable`, `modules.drop`) is gone from the base.
    pub fn over(self, mut base: RawRecipe) -> RawRecipe {
        fn add(base: &mut Vec<String>, more: Vec<String>) {
            base.extend(more);
        }
        fn replace<T>(base: &mut Vec<T>, more: Vec<T>, name: impl Fn(&T) -> &str) {
            base.retain(|old| more.iter().all(|new| name(new) != name(old)));
            base.extend(more);
        }
        base.packages.retain(|p| !self.remove_packages.contains(p));
        base.enable
            .retain(|u| !self.disable.contains(u) && !self.mask.contains(u));
        base.mask.retain(|u| !self.enable.contains(u));
        base.disable.retain(|u| !self.enable.contains(u));
        base.modules.keep.retain(|m| !self.modules.drop.contains(m));
        add(&mut base.packages, self.packages);
        add(&mut base.exclude, self.exclude);
        add(&mut base.enable, self.enable);
        add(&mut base.disable, self.disable);
        add(&mut base.mask, self.mask);
        add(&mut base.cmdline, self.cmdline);
        add(&mut base.modules.keep, self.modules.keep);
        add(&mut base.accept_scripts, self.accept_scripts);
        add(&mut base.remove_paths, self.remove_paths);
        add(&mut base.keep_paths, self.keep_paths);
        replace(&mut base.files, self.files, |f| &f.path);
        replace(&mut base.units, self.units, |u| &u.name);
        replace(&mut base.users, self.users, |u| &u.name);
        if !self.formats.is_empty() {
            base.formats = self.formats;
        }
        let sizes = &mut base.sizes;
        for (old, new) in [
            (&mut sizes.usr, self.sizes.usr),
            (&mut sizes.verity, self.sizes.verity),
            (&mut sizes.esp, self.sizes.esp),
            (&mut sizes.oem, self.sizes.oem),
            (&mut sizes.disk, self.sizes.disk),
        ] {
            *old = new.or(old.take());
        }
        RawRecipe {
            name: self.name.or(base.name),
            extends: None,
            version: self.version.or(base.version),
            suite: self.suite.or(base.suite),
            pockets: self.pockets.or(base.pockets),
            architecture: self.architecture.or(base.architecture),
            kernel: self.kernel.or(base.kernel),
            compression: self.compression.or(base.compression),
            hostname: self.hostname.or(base.hostname),
            update: self.update.or(base.update),
            secure_boot: self.secure_boot.or(base.secure_boot),
            ..base
        }
    }
}
