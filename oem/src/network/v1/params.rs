//! `params` of bonds and bridges.

use super::super::bond::{self, BondOption};
use super::super::model::{Link, Master, Network, Setting};
use super::super::value::{Value, mac, number};
use crate::cloudconfig::node::Kind as NodeKind;
use crate::cloudconfig::read::{Fields, Reader, shorten, suggest};

/// Options of a bond, and its preferred member. Its names are those of the
/// kernel with or without `bond-`, so each is looked up by itself.
pub(super) fn bond(
    f: &Fields<'_>,
    link: &mut Link,
    r: &mut Reader,
) -> (Vec<Setting>, Option<String>) {
    let (mut settings, mut primary) = (Vec::new(), None);
    params(f, r, |name, text| {
        let name = name.strip_prefix("bond_").unwrap_or(name);
        if matches!(name, "mac_address" | "hwaddress") {
            return Some(mac(text).map(|m| link.mac = Some(m)));
        }
        Some(bond::bond(name, text)?.map(|option| match option {
            BondOption::Setting(s) => settings.push(s),
            BondOption::Primary(id) => primary = Some(id),
            BondOption::Moot => {}
        }))
    });
    (settings, primary)
}

/// Options of a bridge; what is said of its ports goes to them.
pub(super) fn bridge(
    f: &Fields<'_>,
    ports: &[String],
    link: &mut Link,
    network: &mut Network,
    r: &mut Reader,
) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut masters: Vec<(String, Master)> = ports
        .iter()
        .map(|p| (p.clone(), Master::new("Bridge", &link.id)))
        .collect();
    params(f, r, |name, text| {
        let name = name.strip_prefix("bridge_").unwrap_or(name);
        match name {
            "hw" => return Some(mac(text).map(|m| link.mac = Some(m))),
            // Those of ifupdown's scripts.
            "gcint" | "maxwait" | "waitport" | "ports" => return Some(Ok(())),
            "pathcost" | "path_cost" | "portprio" | "port_priority" => {
                let (port, value) = text.split_once(' ').unwrap_or((text, ""));
                let set = |n: u32| {
                    for (_, m) in masters.iter_mut().filter(|(id, _)| id == port) {
                        if name.starts_with("path") {
                            m.cost = Some(n);
                        } else {
                            m.priority = Some(n);
                        }
                    }
                };
                return Some(number(0, 65_535)(value.trim()).map(set));
            }
            _ => {}
        }
        Some(bond::bridge(name, text)?.map(|s| settings.push(s)))
    });
    for (id, master) in masters {
        network.enslave(&id, master, f.spot);
    }
    settings
}

/// Gives each parameter, lists item by item where they are of ports, to
/// `take`; what it does not know is a warning.
fn params(f: &Fields<'_>, r: &mut Reader, mut take: impl FnMut(&str, &str) -> Option<Value<()>>) {
    let Some(node) = f.get("params") else { return };
    let path = f.key("params");
    let NodeKind::Map(entries) = &node.kind else {
        r.error(
            node.spot,
            &path,
            format!("expected a mapping, found {}", node.describe()),
            "",
        );
        return;
    };
    for (key, value) in entries {
        let NodeKind::Scalar { text: name, .. } = &key.kind else {
            continue;
        };
        let path = format!("{path}.{}", shorten(name));
        let name = name.replace('-', "_");
        let per_port = name.contains("cost") || name.contains("prio") && name.contains("port");
        let texts: Vec<String> = match &value.kind {
            NodeKind::Seq(items) => {
                let lines = items
                    .iter()
                    .filter_map(|n| Some(r.line(n, &path)?.value))
                    .collect::<Vec<_>>();
                if per_port {
                    lines
                } else {
                    vec![lines.join(" ")]
                }
            }
            NodeKind::Map(ports) => ports
                .iter()
                .filter_map(|(k, v)| {
                    Some(format!(
                        "{} {}",
                        r.line(k, &path)?.value,
                        r.line(v, &path)?.value
                    ))
                })
                .collect(),
            NodeKind::Scalar { .. } => r.line(value, &path).map(|l| l.value).into_iter().collect(),
        };
        for text in texts {
            match take(&name, &text) {
                Some(Ok(())) => {}
                Some(Err((what, hint))) => r.error(value.spot, &path, what, hint),
                None => {
                    let bare = name
                        .trim_start_matches("bond_")
                        .trim_start_matches("bridge_");
                    let known: Vec<&str> = bond::BOND_NAMES
                        .iter()
                        .chain(bond::KERNEL_NAMES)
                        .chain(bond::BRIDGE_NAMES)
                        .copied()
                        .collect();
                    let hint = suggest(bare, &known).map(|s| format!("did you mean `{s}`?"));
                    r.warn(
                        key.spot,
                        &path,
                        "unknown key, not applied",
                        hint.as_deref().unwrap_or(""),
                    );
                }
            }
        }
    }
}
