//! From packages to the tree of an image. What maintainer scripts would have done
//! is done here by declared steps, in the order of [`FINALIZERS`].

mod accounts;
mod certificates;
mod defaults;
mod etc;
mod files;
mod guest;
mod kernel;
mod layout;
mod ldcache;
mod links;
mod modes;
pub mod modules;
mod release;
mod trim;
mod units;
mod update;
mod users;
mod var;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::package::{Package, scripts};
use crate::recipe::Recipe;
use crate::tree::{Content, Node, Tree};

pub use guest::{Guest, GuestFile};

/// What steps read, and what they leave for later steps and for the report.
#[derive(Debug)]
pub struct Context<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Our own programs.
    pub guest: &'a Guest,
    /// Names and versions of packages.
    pub packages: BTreeMap<&'a str, &'a str>,
    /// Every time stamp in the image, seconds since the Unix epoch.
    pub epoch: i64,
    /// Version of the image.
    pub version: &'a str,
    /// Set by `kernel`.
    kernel: Option<(String, Content)>,
    /// Set by `accounts`.
    accounts: accounts::Accounts,
    /// Set by `units`.
    enabled: Vec<String>,
    /// Things the user should know.
    warnings: Vec<String>,
}

/// One step: its name (also the origin of the nodes it makes) and what it does.
type Finalizer = (&'static str, fn(&mut Tree, &mut Context<'_>) -> Result<()>);

/// All steps in order.
const FINALIZERS: [Finalizer; 17] = [
    ("kernel", kernel::run),
    ("trim", trim::run),
    ("defaults", defaults::run),
    ("files", files::run),
    ("guest", guest::run),
    ("links", links::run),
    ("accounts", accounts::run),
    ("users", users::run),
    ("modes", modes::run),
    ("certificates", certificates::run),
    ("modules", modules::run),
    ("units", units::run),
    ("release", release::run),
    ("update", update::run),
    ("ldcache", ldcache::run),
    ("var", var::run),
    ("etc", etc::run),
];

/// A finished tree and what is worth telling about it.
#[derive(Debug)]
pub struct Composition {
    /// Only `usr/...`.
    pub tree: Tree,
    /// Kernel release (`uname -r`).
    pub kernel_version: String,
    /// The kernel (bzImage). It is not in the tree: it goes into the UKI.
    pub kernel_image: Content,
    /// os-release(5), also for the UKI's section.
    pub os_release: String,
    /// Units that start by themselves because they are enabled, sorted.
    pub enabled_units: Vec<String>,
    /// Hand-written maintainer scripts that no one accepted.
    pub skipped_scripts: Vec<scripts::Skipped>,
    /// Things the user should know.
    pub warnings: Vec<String>,
}

/// Composes the tree of an image.
pub fn compose(
    recipe: &Recipe,
    packages: &[Package],
    guest: &Guest,
    epoch: i64,
    version: &str,
) -> Result<Composition> {
    crate::recipe::check_version(version)?;
    let mut tree = merge(packages)?;
    let mut context = Context {
        recipe,
        guest,
        packages: packages
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str()))
            .collect(),
        epoch,
        version,
        kernel: None,
        accounts: accounts::Accounts::default(),
        enabled: Vec::new(),
        warnings: packages
            .iter()
            .flat_map(|p| {
                p.warnings
                    .iter()
                    .map(|w| format!("package {}: {w}", p.name))
            })
            .collect(),
    };
    for (name, run) in FINALIZERS {
        run(&mut tree, &mut context).map_err(|e| {
            let error = match e.kind() {
                crate::error::Kind::Environment => Error::environment(format!("finalizer {name}")),
                _ => Error::input(format!("finalizer {name}")),
            };
            match e.hint_text().map(str::to_owned) {
                Some(hint) => error.because(e).hint(hint),
                None => error.because(e),
            }
        })?;
    }
    layout::run(&mut tree, &mut context)?;
    let (kernel_version, kernel_image) = context
        .kernel
        .take()
        .ok_or_else(|| Error::input("no package of the recipe has a kernel"))?;
    let accepted: BTreeSet<&str> = recipe.accept_scripts.iter().map(String::as_str).collect();
    Ok(Composition {
        os_release: tree.text("usr/lib/os-release")?.unwrap_or_default(),
        tree,
        kernel_version,
        kernel_image,
        enabled_units: context.enabled,
        skipped_scripts: packages
            .iter()
            .filter_map(|p| scripts::audit(p, &accepted))
            .collect(),
        warnings: context.warnings,
    })
}

/// All packages in one tree, in the order of their names.
fn merge(packages: &[Package]) -> Result<Tree> {
    let mut order: Vec<&Package> = packages.iter().collect();
    order.sort_by(|a, b| a.name.cmp(&b.name));
    let by_name: BTreeMap<&str, &Package> = order.iter().map(|p| (p.name.as_str(), *p)).collect();
    let mut tree = Tree::new();
    for package in order {
        for (path, node) in &package.nodes {
            tree.merge(path, node.clone(), |old| {
                let other = by_name.get(old)?;
                if package.replaces(old) {
                    Some(true)
                } else {
                    other.replaces(&package.name).then_some(false)
                }
            })?;
        }
    }
    Ok(tree)
}

/// A regular file made by the step `step`.
fn made(step: &str, text: impl Into<String>, mode: u32) -> Node {
    Node::file(text.into().into_bytes(), mode, &format!("finalizer:{step}"))
}

/// A link made by the step `step`.
fn link(step: &str, target: &str) -> Node {
    Node::symlink(target, &format!("finalizer:{step}"))
}
