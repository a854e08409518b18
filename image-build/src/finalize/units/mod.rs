//! Which units start by themselves: presets, and the links `systemctl enable` would
//! make. Nothing is enabled that the recipe or a file of ours does not name.

mod install;
mod preset;

use std::collections::{BTreeMap, BTreeSet};

use self::install::Install;
use self::preset::{Decision, Presets};
use super::{Context, link, made};
use crate::error::{Error, Result};
use crate::recipe::closest;
use crate::tree::{Kind, Tree};

const STEP: &str = "units";
const UNITS: &str = "usr/lib/systemd/system";
const ENABLED: &str = "etc/systemd/system";
const PRESETS: &str = "usr/lib/systemd/system-preset";

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    write_presets(tree, context)?;
    let presets = read_presets(tree)?;
    let mut enabled = BTreeSet::new();
    let files: Vec<String> = tree
        .children(UNITS)
        .filter(|(name, node)| matches!(node.kind, Kind::File(_)) && name.contains('.'))
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in files {
        if let Decision::Enable(instances) = presets.decide(&name) {
            if name.contains("@.") && !instances.is_empty() {
                for instance in instances {
                    enable(
                        tree,
                        &name.replacen("@.", &format!("@{instance}."), 1),
                        &presets,
                        &mut enabled,
                    )?;
                }
            } else {
                enable(tree, &name, &presets, &mut enabled)?;
            }
        }
    }
    for unit in &context.recipe.enable {
        if !enabled.contains(unit) {
            let error = if file_of(tree, unit).is_some() {
                Error::input(format!(
                    "unit {unit} cannot be enabled: it has no [Install] section, or a preset forbids it"
                ))
            } else {
                let known: Vec<String> = tree.children(UNITS).map(|(n, _)| n.to_owned()).collect();
                let error = Error::input(format!(
                    "unit {unit} cannot be enabled: no package ships it"
                ));
                match closest(unit, known.iter().map(String::as_str)) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint("add its package to `packages`"),
                }
            };
            return Err(error);
        }
    }
    for unit in &context.recipe.mask {
        tree.insert(&format!("{ENABLED}/{unit}"), link(STEP, "/dev/null"))?;
    }
    context.enabled = enabled.into_iter().collect();
    Ok(())
}

/// Our policy as preset files, so that `systemctl preset` and a first boot agree.
fn write_presets(tree: &mut Tree, context: &Context<'_>) -> Result<()> {
    // What packages would like is not policy here.
    let foreign: Vec<String> = tree
        .children(PRESETS)
        .filter(|(_, node)| context.packages.contains_key(&*node.origin))
        .map(|(name, _)| format!("{PRESETS}/{name}"))
        .collect();
    for path in foreign {
        tree.remove(&path);
    }
    let mut text = String::from("# From the recipe.\n");
    let mut instances: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for unit in &context.recipe.enable {
        match split_instance(unit) {
            Some((template, instance)) => instances.entry(template).or_default().push(instance),
            None => text.push_str(&format!("enable {unit}\n")),
        }
    }
    for (template, names) in instances {
        text.push_str(&format!("enable {template} {}\n", names.join(" ")));
    }
    for unit in &context.recipe.disable {
        text.push_str(&format!("disable {unit}\n"));
    }
    tree.insert(
        &format!("{PRESETS}/05-holdfast-recipe.preset"),
        made(STEP, text, 0o644),
    )?;
    let rest = "# Everything else stays off until someone asks for it.\ndisable *\n";
    tree.insert(
        &format!("{PRESETS}/99-holdfast.preset"),
        made(STEP, rest, 0o644),
    )
}

/// All preset files in systemd's order: by name, /etc before /usr for equal names.
fn read_presets(tree: &Tree) -> Result<Presets> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for dir in [PRESETS, "etc/systemd/system-preset"] {
        for (name, _) in tree.children(dir).filter(|(n, _)| n.ends_with(".preset")) {
            files.insert(
                name.to_owned(),
                tree.text(&format!("{dir}/{name}"))?.unwrap_or_default(),
            );
        }
    }
    Ok(Presets::parse(files.values().map(String::as_str)))
}

/// `getty@tty1.service` -> (`getty@.service`, `tty1`).
fn split_instance(unit: &str) -> Option<(String, &str)> {
    let (stem, rest) = unit.split_once('@')?;
    let (instance, kind) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| (format!("{stem}@.{kind}"), instance))
}

/// The unit file of a unit (the template's for an instance).
fn file_of(tree: &Tree, unit: &str) -> Option<String> {
    let template = split_instance(unit).map(|(t, _)| t);
    std::iter::once(unit.to_owned())
        .chain(template)
        .map(|name| format!("{UNITS}/{name}"))
        .find(|path| tree.get(path).is_some_and(|n| !matches!(n.kind, Kind::Dir)))
}

/// Makes the links of a unit's [Install] section, and of the units it brings along.
fn enable(
    tree: &mut Tree,
    unit: &str,
    presets: &Presets,
    done: &mut BTreeSet<String>,
) -> Result<()> {
    if done.contains(unit) {
        return Ok(());
    }
    let Some(path) = file_of(tree, unit) else {
        return Ok(());
    };
    let file = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let install = read_install(tree, &path, &file)?;
    let unit = match (&install.default_instance, unit.contains("@.")) {
        (Some(instance), true) => unit.replacen("@.", &format!("@{instance}."), 1),
        _ => unit.to_owned(),
    };
    if install.is_empty() || !done.insert(unit.clone()) {
        return Ok(());
    }
    let target = format!("/{path}");
    for (dir, units) in [
        ("wants", &install.wanted_by),
        ("requires", &install.required_by),
        ("upholds", &install.upheld_by),
    ] {
        for by in units {
            let by = install::expand(by, &unit);
            tree.insert(&format!("{ENABLED}/{by}.{dir}/{unit}"), link(STEP, &target))?;
        }
    }
    for alias in &install.alias {
        let alias = install::expand(alias, &unit);
        if alias != unit {
            tree.insert(&format!("{ENABLED}/{alias}"), link(STEP, &target))?;
        }
    }
    for also in &install.also {
        let also = install::expand(also, &unit);
        if !presets.forbids(&also) {
            enable(tree, &also, presets, done)?;
        }
    }
    Ok(())
}

/// The [Install] section of a unit file and its drop-ins.
fn read_install(tree: &Tree, path: &str, file: &str) -> Result<Install> {
    let mut install = Install::default();
    install.read(&tree.text(path)?.unwrap_or_default());
    for dir in [UNITS, ENABLED] {
        let dir = format!("{dir}/{file}.d");
        for (name, _) in tree.children(&dir).filter(|(n, _)| n.ends_with(".conf")) {
            install.read(&tree.text(&format!("{dir}/{name}"))?.unwrap_or_default());
        }
    }
    Ok(install)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    #[test]
    fn enables_with_links() {
        let mut tree = Tree::new();
        let mut unit = |name: &str, text: &str| {
            tree.insert(
                &format!("{UNITS}/{name}"),
                Node::file(text.as_bytes(), 0o644, "p"),
            )
            .unwrap();
        };
        unit(
            "a.service",
            "[Install]\nWantedBy=multi-user.target\nAlias=b.service\nAlso=a.socket\n",
        );
        unit("a.socket", "[Install]\nRequiredBy=sockets.target\n");
        unit(
            "getty@.service",
            "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n",
        );
        unit("static.service", "[Unit]\nDescription=x\n");
        let mut done = BTreeSet::new();
        for name in ["a.service", "getty@tty1.service", "static.service"] {
            enable(&mut tree, name, &Presets::default(), &mut done).unwrap();
        }
        let links: Vec<String> = tree
            .below("etc")
            .filter_map(|(p, n)| match &n.kind {
                Kind::Symlink(t) => Some(format!("{p} {t}")),
                _ => None,
            })
            .collect();
        assert_eq!(
            links,
            [
                "etc/systemd/system/b.service /usr/lib/systemd/system/a.service",
                "etc/systemd/system/getty.target.wants/getty@tty1.service /usr/lib/systemd/system/getty@.service",
                "etc/systemd/system/multi-user.target.wants/a.service /usr/lib/systemd/system/a.service",
                "etc/systemd/system/sockets.target.requires/a.socket /usr/lib/systemd/system/a.socket",
            ]
        );
        assert_eq!(
            done.into_iter().collect::<Vec<_>>(),
            ["a.service", "a.socket", "getty@tty1.service"]
        );
    }
}
