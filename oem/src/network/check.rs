//! What can only be seen of the whole: who belongs to whom, what is missing.

use super::model::{Card, Dhcp, Kind, Link, Network};
use super::value::interface;
use crate::cloudconfig::read::Reader;
use std::collections::{BTreeSet, HashMap};

/// Settles memberships and what is of no link in particular, and sees to it
/// that no link lost its only address to a mistake.
pub(super) fn settle(network: &mut Network, r: &mut Reader) {
    unique(network, r);
    memberships(network, r);
    parents(network, r);
    rescue(network, r);
    spread(network, r);
}

/// Ids name units and each other: one link each.
fn unique(network: &mut Network, r: &mut Reader) {
    let mut seen: HashMap<String, u32> = HashMap::new();
    network.links.retain(|link| match seen.get(&link.id) {
        None => {
            seen.insert(link.id.clone(), link.spot.line);
            true
        }
        Some(line) => {
            let what = format!(
                "there is already a {:?} (line {line}); this one is left out",
                link.id
            );
            r.error(
                link.spot,
                &link.id,
                what,
                "give each link a name of its own",
            );
            false
        }
    });
}

/// Makes the card a text takes for granted; `None` when it cannot be one.
fn implied(
    network: &mut Network,
    id: &str,
    spot: crate::cloudconfig::Spot,
    r: &mut Reader,
) -> Option<usize> {
    if let Err((what, hint)) = interface(id) {
        r.error(spot, id, what, hint);
        return None;
    }
    let what = format!("{id:?} is not described; taken for a card of that name");
    r.warn(spot, id, what, "add an entry for it");
    let card = Card {
        name: Some(id.to_owned()),
        ..Card::default()
    };
    network.links.push(Link::new(id, spot, Kind::Card(card)));
    Some(network.links.len() - 1)
}

fn memberships(network: &mut Network, r: &mut Reader) {
    for member in std::mem::take(&mut network.members) {
        let at = network.links.iter().position(|l| l.id == member.id);
        let there = network.links.iter().any(|l| {
            l.id == member.master.id
                && matches!(
                    (member.master.setting, &l.kind),
                    ("Bond", Kind::Bond(_)) | ("Bridge", Kind::Bridge(_)) | ("VRF", Kind::Vrf(_))
                )
        });
        if !there {
            let what = format!(
                "there is no {} {:?}",
                member.master.setting.to_lowercase(),
                member.master.id
            );
            r.error(member.spot, &member.id, what, "");
            continue;
        }
        let Some(at) = at.or_else(|| implied(network, &member.id, member.spot, r)) else {
            continue;
        };
        let link = &mut network.links[at];
        if link.id == member.master.id {
            r.error(member.spot, &link.id, "it cannot belong to itself", "");
            continue;
        }
        let addressed = link.has_addresses();
        match &mut link.master {
            Some(master) if master.id != member.master.id => {
                let what = format!("it belongs to {:?} already", master.id);
                r.error(member.spot, &link.id, what, "name it in one place only");
            }
            Some(master) => master.primary |= member.master.primary,
            none => {
                let in_vrf = member.master.setting == "VRF";
                if addressed && !in_vrf {
                    let what = format!(
                        "its addresses are left out: it belongs to {:?}",
                        member.master.id
                    );
                    r.warn(link.spot, &link.id, what, "give them to that one");
                }
                *none = Some(member.master);
                if !in_vrf {
                    (link.dhcp4, link.dhcp6, link.accept_ra) = (None, None, None);
                    link.addresses.clear();
                    link.routes.clear();
                    link.damaged = false;
                }
            }
        }
    }
    for link in &network.links {
        let empty = matches!(link.kind, Kind::Bond(_))
            && !network
                .links
                .iter()
                .any(|l| l.master.as_ref().is_some_and(|m| m.id == link.id));
        if empty {
            r.warn(
                link.spot,
                &link.id,
                "a bond without members carries nothing",
                "name its members",
            );
        }
    }
}

fn parents(network: &mut Network, r: &mut Reader) {
    network.links.retain(|link| {
        let itself = matches!(&link.kind, Kind::Vlan { parent, .. } if *parent == link.id);
        if itself {
            r.error(link.spot, &link.id, "a VLAN cannot run on itself", "");
        }
        !itself
    });
    for at in 0..network.links.len() {
        let link = &network.links[at];
        let spot = link.spot;
        let Kind::Vlan { parent, .. } = &link.kind else {
            continue;
        };
        let parent = parent.clone();
        if !network.links.iter().any(|l| l.id == parent) {
            implied(network, &parent, spot, r);
        }
    }
}

/// A mistake must not cut the machine off: a link whose addresses could not be
/// read asks for one.
fn rescue(network: &mut Network, r: &mut Reader) {
    for link in &mut network.links {
        let card = !matches!(link.kind, Kind::Loopback);
        if link.damaged && card && !link.has_addresses() {
            link.dhcp4 = Some(Dhcp::default());
            let what = "no address could be read; it asks DHCP for one instead";
            r.warn(link.spot, &link.id, what, "mend the errors of this link");
        }
    }
}

/// Routes and name servers of no link go where they work.
fn spread(network: &mut Network, r: &mut Reader) {
    let routes = std::mem::take(&mut network.routes);
    for route in routes {
        let near = |l: &&mut Link| {
            route
                .via
                .is_some_and(|via| l.addresses.iter().any(|a| a.cidr.contains(via)))
        };
        match network.links.iter_mut().find(near) {
            Some(link) => link.add_route(route),
            None => r.error(
                crate::cloudconfig::Spot::default(),
                "route",
                format!("the route to {} fits no link", route.to),
                "its gateway must be in the network of some static address; or move it below a link",
            ),
        }
    }
    let dns = std::mem::take(&mut network.dns);
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for link in &mut network.links {
        if link.has_addresses() && link.kind != Kind::Loopback {
            link.dns.merge(&dns);
            used.insert(&link.id);
        }
    }
    if used.is_empty() && (!dns.servers.is_empty() || !dns.search.is_empty()) {
        r.warn(
            crate::cloudconfig::Spot::default(),
            "nameservers",
            "no link has an address: they are left out",
            "",
        );
    }
}
