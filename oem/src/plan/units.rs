//! Units: files, drop-ins, masks and links, then one reload, then the jobs in the
//! order listed.

use super::{Action, Builder, Input, Origin, enable};
use crate::cloudconfig::{Link, Unit, network_unit};
use crate::error::Result;
use crate::root::Found;
use sha2::{Digest as _, Sha256};

const MASKED: &str = "/dev/null";

/// Plans links, units and what systemd must read anew; returns the jobs.
pub(super) fn add(b: &mut Builder<'_>, inputs: &[&Input]) -> Result<Vec<(Origin, Action)>> {
    let mut jobs = Vec::new();
    let mut network = None;
    for input in inputs {
        for link in &input.config.links {
            place_link(b, Origin::at(input.sender, link.spot), &link.value)?;
        }
        for unit in &input.config.units {
            let origin = Origin::at(input.sender, unit.spot);
            let Some(placed) = one(b, origin, &unit.value)? else {
                continue;
            };
            if network_unit(&placed.name) {
                network = Some(origin);
            } else if let Some(verb) = unit.value.command {
                let job = Action::Job {
                    unit: placed.name,
                    verb,
                    hash: placed.hash,
                };
                jobs.push((origin, job));
            }
        }
    }
    let owner = |of: fn(&str) -> bool| {
        b.steps
            .iter()
            .find(|s| s.work.action().and_then(Action::path).is_some_and(of))
            .map(|s| s.origin)
    };
    let (units, files) = (owner(unit_dir), owner(network_dir));
    if let Some(origin) = units {
        b.push("systemd reload", origin, Action::Reload);
    }
    if let Some(origin) = network.or(files) {
        b.push("network reload", origin, Action::NetworkReload);
    }
    Ok(jobs)
}

fn place_link(b: &mut Builder<'_>, origin: Origin, link: &Link) -> Result<()> {
    let resource = format!("link {}", link.path);
    if let Some(need) = &link.need
        && !b.is_met(need)?
    {
        b.skip(resource, origin, &need.why, Some(need.hint.to_owned()));
        return Ok(());
    }
    let action = Action::Link {
        path: link.path.clone(),
        target: link.target.clone(),
    };
    b.push(resource, origin, action);
    Ok(())
}

/// Whether systemd must be told when something at `path` changes.
pub fn unit_dir(path: &str) -> bool {
    path.starts_with("/etc/systemd/system/")
        || path.starts_with("/run/systemd/system/")
        || path == "/etc/fstab"
}

/// The unit that a file is, or is a drop-in of.
pub fn unit_of(path: &str) -> Option<&str> {
    let (_, inside) = path.split_once("/systemd/system/")?;
    match inside.split_once('/') {
        None => Some(inside),
        Some((directory, _)) => directory.strip_suffix(".d"),
    }
}

/// Whether networkd must be told when something at `path` changes.
pub fn network_dir(path: &str) -> bool {
    path.starts_with("/etc/systemd/network/") || path.starts_with("/run/systemd/network/")
}

struct Placed {
    name: String,
    hash: String,
}

/// Plans one unit; `None` when it is skipped whole.
fn one(b: &mut Builder<'_>, origin: Origin, unit: &Unit) -> Result<Option<Placed>> {
    let Some(name) = b.expand(
        &format!("unit {}", unit.name.value),
        origin,
        &unit.name.value,
    ) else {
        return Ok(None);
    };
    let resource = format!("unit {name}");
    let top = if unit.runtime {
        "/run/systemd"
    } else {
        "/etc/systemd"
    };
    let dir = format!(
        "{top}/{}",
        if network_unit(&name) {
            "network"
        } else {
            "system"
        }
    );
    let path = format!("{dir}/{name}");
    // All texts are expanded before anything is planned: a unit comes whole or not at all.
    let mut files = Vec::new();
    if let Some(content) = unit.content.as_ref().filter(|_| !unit.mask) {
        let Some(text) = b.expand(&resource, origin, content) else {
            return Ok(None);
        };
        files.push((resource.clone(), origin, path.clone(), text));
    }
    for d in &unit.drop_ins {
        let origin = Origin::at(origin.sender, d.spot);
        let resource = format!("drop-in {name}.d/{}", d.value.name);
        let Some(text) = b.expand(&resource, origin, &d.value.content) else {
            return Ok(None);
        };
        files.push((
            resource,
            origin,
            format!("{dir}/{name}.d/{}", d.value.name),
            text,
        ));
    }
    let mut hash = Sha256::new();
    for (resource, origin, path, text) in files {
        hash.update(path.as_bytes());
        hash.update([0]);
        hash.update(text.as_bytes());
        b.push(
            resource,
            origin,
            Action::File {
                path,
                content: text.into_bytes(),
                mode: 0o644,
                owner: None,
            },
        );
    }
    if unit.mask {
        b.push(
            format!("mask {name}"),
            origin,
            Action::Link {
                path,
                target: MASKED.to_owned(),
            },
        );
    } else {
        if unit.runtime && unit.content.is_none() {
            let masked = match b.look(&path)? {
                Found::Link(target) => target == MASKED,
                Found::File { content, .. } => content.is_empty(),
                _ => false,
            };
            if masked {
                b.push(format!("unmask {name}"), origin, Action::Remove { path });
            }
        }
        if unit.disable {
            enable::remove(b, origin, &name)?;
        }
        if unit.enable && !network_unit(&name) {
            enable::add(b, origin, &name, unit.runtime)?;
        }
    }
    Ok(Some(Placed {
        name,
        hash: hex(&hash.finalize()),
    }))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// `web@.service` of `web@1.service`.
pub(super) fn template_of(unit: &str) -> Option<String> {
    let (stem, rest) = unit.split_once('@')?;
    let (instance, kind) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{stem}@.{kind}"))
}
