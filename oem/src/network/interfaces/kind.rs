//! What links are, and who belongs to whom.

use super::super::bond::{self, BondOption};
use super::super::model::{Card, Kind, Link, Master, Network};
use super::super::value::{interface, number};
use super::stanza::Stanza;
use crate::cloudconfig::read::Reader;

/// What a link is, from the options of its first stanza and its name.
pub(super) fn kind(stanza: &Stanza, name: &str, network: &Network, r: &mut Reader) -> Option<Kind> {
    if stanza.method == "loopback" || name == "lo" {
        return Some(Kind::Loopback);
    }
    if stanza.has("bridge-ports") {
        return Some(Kind::Bridge(Vec::new()));
    }
    // Members repeat the options of their bond.
    let options = stanza.has("bond-mode") && !stanza.has("bond-master");
    if stanza.has("bond-slaves") || stanza.has("slaves") || options {
        return Some(Kind::Bond(Vec::new()));
    }
    let dotted = name
        .rsplit_once('.')
        .and_then(|(p, t)| Some((p, t.parse::<u16>().ok()?)));
    let named = name
        .strip_prefix("vlan")
        .and_then(|t| t.parse::<u16>().ok());
    let parent = stanza.read(r, "vlan-raw-device", interface);
    let tag = stanza
        .read(r, "vlan-id", number(0, 4094))
        .and_then(|n| u16::try_from(n).ok())
        .or(dotted.map(|(_, t)| t))
        .or(named)
        .filter(|t| *t <= 4094);
    let parent = parent.or_else(|| dotted.map(|(p, _)| p.to_owned()));
    match (parent, tag) {
        (Some(parent), Some(tag)) => Some(Kind::Vlan { tag, parent }),
        (Some(_), None) => {
            let what = "the number of this VLAN is not known";
            r.error(stanza.spot, &stanza.key("vlan-id"), what, "add `vlan-id`");
            None
        }
        // A bond may be named by its members alone.
        _ if network
            .members
            .iter()
            .any(|m| m.master.id == name && m.master.setting == "Bond") =>
        {
            Some(Kind::Bond(Vec::new()))
        }
        _ => Some(Kind::Card(Card {
            name: Some(name.to_owned()),
            ..Card::default()
        })),
    }
}

/// Bonds and bridges: their options and who belongs to them.
pub(super) fn members(stanza: &Stanza, link: &mut Link, network: &mut Network, r: &mut Reader) {
    let name = link.id.clone();
    for key in ["bond-slaves", "slaves"] {
        for member in stanza.words(r, key, |w| Ok(w.to_owned())) {
            if member != "none" {
                network.enslave(&member, Master::new("Bond", &name), stanza.spot);
            }
        }
    }
    for member in stanza.words(r, "bridge-ports", |w| Ok(w.to_owned())) {
        if member != "none" {
            network.enslave(&member, Master::new("Bridge", &name), stanza.spot);
        }
    }
    if let Some((spot, master)) = stanza.get("bond-master") {
        network.enslave(&name, Master::new("Bond", master), spot);
    }
    let is_bond = matches!(link.kind, Kind::Bond(_));
    for (spot, option, text) in &stanza.options {
        let known = if let Some(option) = option.strip_prefix("bond-") {
            let option = option.replace('-', "_");
            match option.as_str() {
                "slaves" | "master" => continue,
                // Also said in the stanzas of members.
                _ if !is_bond => continue,
                _ => bond::bond(&option, text).map(|v| {
                    v.map(|o| match (o, &mut link.kind) {
                        (BondOption::Setting(s), Kind::Bond(settings)) => settings.push(s),
                        (BondOption::Primary(id), _) => {
                            for m in &mut network.members {
                                m.master.primary |= m.id == id && m.master.id == name;
                            }
                        }
                        _ => {}
                    })
                }),
            }
        } else if let Some(option) = option.strip_prefix("bridge-") {
            match option {
                "ports" | "maxwait" | "waitport" | "gcint" | "hw" => continue,
                _ => bond::bridge(&option.replace('-', "_"), text).map(|v| {
                    v.map(|s| {
                        if let Kind::Bridge(settings) = &mut link.kind {
                            settings.push(s);
                        }
                    })
                }),
            }
        } else {
            continue;
        };
        match known {
            Some(Ok(())) => {}
            Some(Err((what, hint))) => r.error(*spot, &stanza.key(option), what, hint),
            None => r.warn(
                *spot,
                &stanza.key(option),
                "unknown option, not applied",
                "",
            ),
        }
    }
}
