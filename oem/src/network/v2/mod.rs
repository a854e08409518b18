//! cloud-init's network config version 2, which is netplan's format
//! (<https://netplan.readthedocs.io/en/stable/netplan-yaml/>).

mod common;
mod devices;
mod route;

use super::model::{Card, Kind, Link, Master, Network};
use super::value::{count, entries, flag, get, id, interface, mac, number, pattern, words};
use crate::cloudconfig::node::Node;
use crate::cloudconfig::read::{Fields, Reader};

/// Sections, in the order links are made of them.
const SECTIONS: [&str; 6] = [
    "ethernets",
    "bonds",
    "bridges",
    "vlans",
    "vrfs",
    "dummy_devices",
];
/// What networkd could do and this program does not.
const LATER: &[&str] = &[
    "wifis",
    "modems",
    "tunnels",
    "nm_devices",
    "openvswitch",
    "virtual_ethernets",
];

/// Keys of cards alone.
const CARD: &[&str] = &[
    "match",
    "set_name",
    "wakeonlan",
    "receive_checksum_offload",
    "transmit_checksum_offload",
    "tcp_segmentation_offload",
    "tcp6_segmentation_offload",
    "generic_segmentation_offload",
    "generic_receive_offload",
    "large_receive_offload",
];

/// Reads the mapping that holds `version: 2`.
pub(super) fn read(root: &Node, path: &str, r: &mut Reader) -> Network {
    let mut network = Network::default();
    let mut known = vec!["version", "renderer", "config"];
    known.extend(SECTIONS);
    let Some(top) = r.fields(root, path, &known, LATER) else {
        return network;
    };
    renderer(&top, r);
    for section in SECTIONS {
        let Some(node) = top.get(section) else {
            continue;
        };
        let path = top.key(section);
        for (name, spot, body) in entries(r, node, &path) {
            let mut link = Link::new(&name, spot, Kind::Dummy);
            let path = format!("{path}.{name}");
            if one(&mut link, section, body, &path, &mut network, r).is_some() {
                network.links.push(link);
            }
        }
    }
    network
}

/// Another renderer than ours is not an error: the text may be for all.
fn renderer(fields: &Fields<'_>, r: &mut Reader) {
    const NAMES: &[(&str, &str)] = &[
        ("networkd", "networkd"),
        ("NetworkManager", "NetworkManager"),
        ("sriov", "sriov"),
    ];
    if let Some(node) = fields.get("renderer")
        && get(fields, r, "renderer", super::value::one_of(NAMES)) == Some("NetworkManager")
    {
        let path = fields.key("renderer");
        r.warn(
            node.spot,
            &path,
            "systemd-networkd is used all the same",
            "",
        );
    }
}

/// Reads a link of a section; its members are set down in `network` as wishes
/// of the members.
fn one(
    link: &mut Link,
    section: &str,
    body: &Node,
    path: &str,
    network: &mut Network,
    r: &mut Reader,
) -> Option<()> {
    let own: &[&str] = match section {
        "ethernets" => CARD,
        "bonds" | "bridges" => &["interfaces", "parameters"],
        "vlans" => &["id", "link"],
        "vrfs" => &["table", "interfaces"],
        _ => &[],
    };
    let known: Vec<&str> = own.iter().chain(common::KEYS).copied().collect();
    let later: Vec<&str> = common::LATER.to_vec();
    // An empty entry is a link that is only brought up.
    let empty = body.is_null();
    let fields = if empty {
        None
    } else {
        Some(r.fields(body, path, &known, &later)?)
    };
    // A card that nothing else tells is found by its id, which is then a name.
    let told = |f: &Fields<'_>| f.get("match").is_some();
    if (section != "ethernets" || !fields.as_ref().is_some_and(told))
        && let Err((what, hint)) = interface(&link.id)
    {
        r.error(link.spot, path, what, hint);
        return None;
    }
    let Some(fields) = fields else {
        link.kind = match section {
            "ethernets" => Kind::Card(Card::default()),
            "bonds" => Kind::Bond(Vec::new()),
            "bridges" => Kind::Bridge(Vec::new()),
            "dummy_devices" => Kind::Dummy,
            _ => {
                r.error(link.spot, path, "this link has nothing below it", "");
                return None;
            }
        };
        return Some(());
    };
    renderer(&fields, r);
    let members = |r: &mut Reader| words(&fields, r, "interfaces", id);
    match section {
        "ethernets" => link.kind = Kind::Card(card(&fields, r)?),
        "bonds" => {
            let (settings, primary) = devices::bond(&fields, r);
            link.kind = Kind::Bond(settings);
            for member in members(r) {
                let mut master = Master::new("Bond", &link.id);
                master.primary = primary.as_ref() == Some(&member);
                network.enslave(&member, master, link.spot);
            }
        }
        "bridges" => {
            let bridge = devices::bridge(&fields, r);
            for member in members(r) {
                let mut master = Master::new("Bridge", &link.id);
                master.cost = bridge.costs.get(&member).copied();
                master.priority = bridge.priorities.get(&member).copied();
                network.enslave(&member, master, link.spot);
            }
            link.kind = Kind::Bridge(bridge.settings);
        }
        "vlans" => {
            let tag = get(&fields, r, "id", number(0, 4094));
            let parent = get(&fields, r, "link", id);
            let (Some(tag), Some(parent)) = (tag, parent) else {
                let what = "a VLAN needs `id` (0 to 4094) and `link`";
                r.error(link.spot, path, what, "such as `id: 100` and `link: ens3`");
                return None;
            };
            let tag = u16::try_from(tag).unwrap_or_default();
            link.kind = Kind::Vlan { tag, parent };
        }
        "vrfs" => {
            let Some(table) = get(&fields, r, "table", count) else {
                r.error(
                    link.spot,
                    path,
                    "a VRF needs `table`",
                    "such as `table: 1000`",
                );
                return None;
            };
            link.kind = Kind::Vrf(table);
            for member in members(r) {
                let master = Master::new("VRF", &link.id);
                network.enslave(&member, master, link.spot);
            }
        }
        _ => link.kind = Kind::Dummy,
    }
    common::read(link, &fields, r);
    if let Kind::Vrf(table) = link.kind {
        link.routes
            .iter_mut()
            .for_each(|x| x.table = x.table.or(Some(table)));
        link.rules
            .iter_mut()
            .for_each(|x| x.table = x.table.or(Some(table)));
    }
    Some(())
}

/// What is only for cards; `None` when it cannot be told which one is meant.
fn card(fields: &Fields<'_>, r: &mut Reader) -> Option<Card> {
    let mut card = Card::default();
    if let Some(node) = fields.get("match") {
        let known = ["name", "macaddress", "driver"];
        let by = r.fields(node, &fields.key("match"), &known, &[])?;
        card.name = get(&by, r, "name", pattern);
        card.mac = get(&by, r, "macaddress", mac);
        card.drivers = words(&by, r, "driver", pattern);
        if card == Card::default() {
            if known.iter().any(|key| by.get(key).is_some()) {
                // It was unreadable: less of a condition would catch other cards.
                return None;
            }
            // An empty `match` is every card, says netplan.
            card.name = Some("*".to_owned());
        }
    }
    card.rename = get(fields, r, "set_name", interface);
    if let (Some(node), None) = (fields.get("set_name"), fields.get("match")) {
        let path = fields.key("set_name");
        r.error(
            node.spot,
            &path,
            "a card can only be renamed when `match` says which",
            "add `match: {macaddress: ...}`",
        );
        card.rename = None;
    }
    card.wake_on_lan = flag(fields, r, "wakeonlan").unwrap_or_default();
    const OFFLOADS: [(&str, &str); 7] = [
        ("receive_checksum_offload", "ReceiveChecksumOffload"),
        ("transmit_checksum_offload", "TransmitChecksumOffload"),
        ("tcp_segmentation_offload", "TCPSegmentationOffload"),
        ("tcp6_segmentation_offload", "TCP6SegmentationOffload"),
        ("generic_segmentation_offload", "GenericSegmentationOffload"),
        ("generic_receive_offload", "GenericReceiveOffload"),
        ("large_receive_offload", "LargeReceiveOffload"),
    ];
    for (key, setting) in OFFLOADS {
        if let Some(on) = flag(fields, r, key) {
            let value = if on { "yes" } else { "no" };
            card.offloads.push((setting, value.to_owned()));
        }
    }
    Some(card)
}
