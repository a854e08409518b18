//! Kernel modules: keeps those that the recipe lists and what they need, and writes
//! kmod's indexes (what depmod makes). libkmod reads the binary ones only.

mod index;
pub mod modinfo;

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use self::index::Index;
use self::modinfo::ModInfo;
use super::{Context, made};
use crate::error::{Error, Result};
use crate::tree::{Content, Kind, Tree};

const STEP: &str = "modules";

/// A module file that was not read yet: path below the version's directory, content.
type Unread<'a> = BTreeMap<String, (&'a str, &'a Content)>;

/// A module file.
struct Module {
    /// Path below the version's directory (`kernel/fs/ext4/ext4.ko`).
    path: String,
    info: ModInfo,
    /// Place in the kernel's own order, which decides between modules for one device.
    order: u32,
}

/// Reads a module's names, for `fuzz/`.
#[cfg(fuzzing)]
pub fn try_modinfo(elf: &[u8]) {
    modinfo::read(elf);
}

pub(super) fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    let Some((version, _)) = &context.kernel else {
        return Ok(());
    };
    let dir = format!("usr/lib/modules/{version}");
    let files = find(tree, &dir);
    let kept = load(&files, &order(tree, &dir)?, &context.recipe.modules)?;
    let dropped: Vec<String> = files
        .iter()
        .filter(|(n, _)| !kept.contains_key(*n))
        .map(|(_, (p, _))| format!("{dir}/{p}"))
        .collect();
    for path in dropped {
        tree.remove(&path);
    }
    remove_empty(tree, &format!("{dir}/kernel"));
    let modules: BTreeMap<&str, &Module> = kept.iter().map(|(n, m)| (n.as_str(), m)).collect();

    let mut put = |name: &str, bytes: Vec<u8>| {
        let mut node = made(STEP, "", 0o644);
        node.kind = Kind::File(Content::Bytes(bytes.into()));
        tree.insert(&format!("{dir}/{name}"), node)
    };
    let (dep, dep_bin) = dependencies(&modules);
    put("modules.dep", dep.into_bytes())?;
    put("modules.dep.bin", dep_bin.encode())?;
    put("modules.alias.bin", aliases(&modules).encode())?;
    // Only `modprobe symbol:NAME` reads it, which nothing does; libkmod wants the file.
    put("modules.symbols.bin", Index::default().encode())?;
    put("modules.softdep", softdeps(&modules).into_bytes())?;
    put("modules.devname", devnames(&modules).into_bytes())?;
    let builtin = tree
        .text(&format!("{dir}/modules.builtin"))?
        .unwrap_or_default();
    let info = tree
        .content(&format!("{dir}/modules.builtin.modinfo"))
        .map(Content::read)
        .transpose()?;
    let (builtin, builtin_alias) = builtins(&builtin, info.as_deref().unwrap_or_default());
    let mut put = |name: &str, index: Index| {
        let mut node = made(STEP, "", 0o644);
        node.kind = Kind::File(Content::Bytes(index.encode().into()));
        tree.insert(&format!("{dir}/{name}"), node)
    };
    put("modules.builtin.bin", builtin)?;
    put("modules.builtin.alias.bin", builtin_alias)
}

/// Place of each module in the kernel's own order.
fn order(tree: &Tree, dir: &str) -> Result<BTreeMap<String, u32>> {
    let text = tree
        .text(&format!("{dir}/modules.order"))?
        .unwrap_or_default();
    Ok(text
        .lines()
        .zip(0..)
        .map(|(line, i)| (name_of(line), i))
        .collect())
}

/// All module files by module name.
fn find<'a>(tree: &'a Tree, dir: &str) -> Unread<'a> {
    let start = dir.len() + 1;
    let files = tree
        .below(&format!("{dir}/kernel"))
        .filter_map(|(path, node)| match &node.kind {
            Kind::File(content) if path.ends_with(".ko") => {
                Some((name_of(path), (path.get(start..).unwrap_or(path), content)))
            }
            _ => None,
        });
    files.collect()
}

/// Reads the modules that the recipe lists, then those they need, and so on.
fn load(
    files: &Unread<'_>,
    order: &BTreeMap<String, u32>,
    listed: &BTreeSet<String>,
) -> Result<BTreeMap<String, Module>> {
    let mut loaded: BTreeMap<String, Module> = BTreeMap::new();
    let mut wanted: BTreeSet<&str> = files
        .iter()
        .filter(|(_, (path, _))| is_listed(path, listed))
        .map(|(n, _)| n.as_str())
        .collect();
    while !wanted.is_empty() {
        let round: Vec<(String, Module)> = wanted
            .par_iter()
            .filter_map(|name| files.get_key_value(*name))
            .map(|(name, (path, content))| {
                let info = modinfo::read(&content.read()?)
                    .ok_or_else(|| Error::input(format!("{path} is not a kernel module")))?;
                let order = order.get(name).copied().unwrap_or(u32::MAX);
                Ok((
                    name.clone(),
                    Module {
                        path: (*path).to_owned(),
                        info,
                        order,
                    },
                ))
            })
            .collect::<Result<_>>()?;
        loaded.extend(round);
        let needed = loaded
            .values()
            .flat_map(|m| &m.info.depends)
            .map(|d| d.replace('-', "_"));
        wanted = needed
            .filter(|d| !loaded.contains_key(d))
            .filter_map(|d| files.get_key_value(&d).map(|(n, _)| n.as_str()))
            .collect();
    }
    Ok(loaded)
}

/// True if the recipe lists the module itself or a folder above it, and nothing nearer with a `!`.
fn is_listed(path: &str, listed: &BTreeSet<String>) -> bool {
    let path = path.trim_start_matches("kernel/").trim_end_matches(".ko");
    let mut at = Some(path);
    while let Some(p) = at {
        if listed.contains(&format!("!{p}")) {
            return false;
        }
        if listed.contains(p) {
            return true;
        }
        at = crate::tree::parent(p);
    }
    listed.contains("**")
}

/// Module name of a path: the kernel treats `-` and `_` alike.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

fn remove_empty(tree: &mut Tree, dir: &str) {
    let mut dirs: Vec<String> = tree
        .below(dir)
        .filter(|(_, n)| matches!(n.kind, Kind::Dir))
        .map(|(p, _)| p.to_owned())
        .collect();
    // Children sort after their parents.
    while let Some(dir) = dirs.pop() {
        if tree.below(&dir).next().is_none() {
            tree.remove(&dir);
        }
    }
}

/// `modules.dep`: each module with everything it needs, the most basic one last.
fn dependencies(modules: &BTreeMap<&str, &Module>) -> (String, Index) {
    let (mut text, mut index) = (String::new(), Index::default());
    for (name, module) in modules {
        let mut needed = Vec::new();
        visit(name, modules, &mut BTreeSet::new(), &mut needed);
        needed.pop();
        let paths: Vec<&str> = needed.iter().rev().map(|m| m.path.as_str()).collect();
        let line = if paths.is_empty() {
            format!("{}:", module.path)
        } else {
            format!("{}: {}", module.path, paths.join(" "))
        };
        text.push_str(&line);
        text.push('\n');
        index.insert(name, module.order, &line);
    }
    (text, index)
}

/// Depth first: dependencies before the module itself.
fn visit<'a>(
    name: &str,
    modules: &BTreeMap<&str, &'a Module>,
    seen: &mut BTreeSet<String>,
    out: &mut Vec<&'a Module>,
) {
    let Some(module) = modules.get(name) else {
        return;
    };
    if !seen.insert(name.to_owned()) {
        return;
    }
    for dependency in &module.info.depends {
        visit(&dependency.replace('-', "_"), modules, seen, out);
    }
    out.push(module);
}

fn aliases(modules: &BTreeMap<&str, &Module>) -> Index {
    let mut index = Index::default();
    for (name, module) in modules {
        for alias in &module.info.aliases {
            index.insert(&normal(alias), module.order, name);
        }
    }
    index
}

/// Aliases are matched with `_` for `-`, except inside brackets.
fn normal(alias: &str) -> String {
    let mut inside = false;
    alias
        .chars()
        .map(|c| {
            match c {
                '[' => inside = true,
                ']' => inside = false,
                '-' if !inside => return '_',
                _ => {}
            }
            c
        })
        .collect()
}

fn softdeps(modules: &BTreeMap<&str, &Module>) -> String {
    let lines = modules.iter().flat_map(|(n, m)| {
        m.info
            .softdeps
            .iter()
            .map(move |s| format!("softdep {n} {s}\n"))
    });
    lines.collect()
}

/// `modules.devname`: device nodes that exist before their module is loaded.
fn devnames(modules: &BTreeMap<&str, &Module>) -> String {
    let mut text = String::from("# Device nodes to trigger on-demand module loading.\n");
    for (name, module) in modules {
        let aliases = &module.info.aliases;
        let node = aliases.iter().find_map(|a| a.strip_prefix("devname:"));
        let device = aliases.iter().find_map(|a| {
            let (kind, rest) = match a.strip_prefix("char-major-") {
                Some(rest) => ('c', rest),
                None => ('b', a.strip_prefix("block-major-")?),
            };
            let (major, minor) = rest.split_once('-')?;
            Some(format!(
                "{kind}{}:{}",
                major.parse::<u32>().ok()?,
                minor.parse::<u32>().ok()?
            ))
        });
        if let (Some(node), Some(device)) = (node, device) {
            text.push_str(&format!("{name} {node} {device}\n"));
        }
    }
    text
}

/// Indexes of what is built into the kernel, so that nobody looks for modules.
fn builtins(list: &str, modinfo: &[u8]) -> (Index, Index) {
    let (mut names, mut aliases) = (Index::default(), Index::default());
    for line in list.lines() {
        names.insert(&name_of(line), 0, "");
    }
    for field in modinfo.split(|b| *b == 0) {
        let field = std::str::from_utf8(field).unwrap_or_default();
        if let Some((name, alias)) = field.split_once(".alias=") {
            aliases.insert(&normal(alias), 0, &name.replace('-', "_"));
        }
    }
    (names, aliases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    fn tree(modules: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, info) in modules {
            let info: String = info.split_whitespace().map(|f| format!("{f}\0")).collect();
            tree.insert(
                &format!("m/kernel/{path}"),
                Node::file(modinfo::test::elf(info.as_bytes()), 0o644, "t"),
            )
            .unwrap();
        }
        tree
    }

    fn loaded(modules: &[(&str, &str)], listed: &[&str]) -> BTreeMap<String, Module> {
        let listed = listed.iter().map(|l| (*l).to_owned()).collect();
        load(&find(&tree(modules), "m"), &BTreeMap::new(), &listed).unwrap()
    }

    #[test]
    fn keeps_what_is_listed_and_needed() {
        let kept = loaded(
            &[
                ("drivers/net/virtio_net.ko", "depends=net-failover"),
                ("drivers/net/net_failover.ko", "depends=failover"),
                ("net/core/failover.ko", ""),
                ("sound/snd-pcm.ko", ""),
                (
                    "fs/fuse/fuse.ko",
                    "alias=devname:fuse alias=char-major-10-229",
                ),
            ],
            &["drivers/net/virtio_net", "fs"],
        );
        let modules: BTreeMap<&str, &Module> = kept.iter().map(|(n, m)| (n.as_str(), m)).collect();
        assert_eq!(
            modules.keys().copied().collect::<Vec<_>>(),
            ["failover", "fuse", "net_failover", "virtio_net"]
        );
        let (dep, _) = dependencies(&modules);
        assert!(
            dep.contains(
                "kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko\n"
            ),
            "{dep}"
        );
        assert!(devnames(&modules).ends_with("fuse fuse c10:229\n"));
        assert_eq!(normal("a-b[0-9]c-d"), "a_b[0-9]c_d");
    }

    #[test]
    fn the_nearest_entry_decides() {
        let modules = [
            ("drivers/md/dm-mod.ko", ""),
            ("drivers/md/dm-vdo/dm-vdo.ko", "depends=dm-mod"),
            ("drivers/md/dm-vdo/tool.ko", ""),
            ("fs/smb/server/ksmbd.ko", "depends=md4"),
            ("crypto/md4.ko", ""),
        ];
        let listed = [
            "drivers/md",
            "!drivers/md/dm-vdo",
            "drivers/md/dm-vdo/tool",
            "!fs/smb/server",
            "**",
        ];
        let names = |listed| loaded(&modules, listed).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&listed), ["dm_mod", "md4", "tool"]);
        // What is needed comes whatever the recipe leaves out.
        let all = ["!crypto/md4", "**"];
        assert!(names(&all).contains(&"md4".to_owned()));
    }

    #[test]
    fn circles_end() {
        let all = loaded(&[("a.ko", "depends=b"), ("b.ko", "depends=a")], &["**"]);
        let modules: BTreeMap<&str, &Module> = all.iter().map(|(n, m)| (n.as_str(), m)).collect();
        assert!(
            dependencies(&modules)
                .0
                .starts_with("kernel/a.ko: kernel/b.ko\n")
        );
    }
}
