//! cloud-init's network config version 1: a list of things with their subnets
//! (<https://cloudinit.readthedocs.io/en/latest/reference/network-config-format-v1.html>).

mod params;
mod subnet;

use super::model::{Card, Dns, Kind, Link, Master, Network};
use super::value::{domain, flag, get, id, interface, ip, mac, mtu, number, words};
use crate::cloudconfig::node::{Kind as NodeKind, Node};
use crate::cloudconfig::read::{Reader, suggest};

const TYPES: &[&str] = &[
    "physical",
    "bond",
    "bridge",
    "vlan",
    "loopback",
    "infiniband",
    "nameserver",
    "route",
];

/// Reads the mapping that holds `version: 1`.
pub(super) fn read(root: &Node, path: &str, r: &mut Reader) -> Network {
    let mut network = Network::default();
    let Some(top) = r.fields(root, path, &["version", "config", "renderer"], &[]) else {
        return network;
    };
    let path = top.key("config");
    let Some(config) = top.get("config") else {
        r.error(
            top.spot,
            &path,
            "there is no `config`",
            "start it with `config:` and a list",
        );
        return network;
    };
    for (i, item) in r.list(config, &path).iter().enumerate() {
        let path = format!("{path}[{i}]");
        let kind = type_of(item).unwrap_or_default();
        match kind {
            "nameserver" => nameserver(item, &path, &mut network, r),
            "route" => {
                let keys = [
                    "type",
                    "id",
                    "destination",
                    "network",
                    "netmask",
                    "gateway",
                    "metric",
                ];
                if let Some(f) = r.fields(item, &path, &keys, &[])
                    && let Some(route) = subnet::route(&f, r)
                {
                    network.routes.push(route);
                }
            }
            _ if TYPES.contains(&kind) => link(item, &path, kind, &mut network, r),
            _ => {
                let hint = suggest(kind, TYPES).map(|s| format!("did you mean `{s}`?"));
                if kind.is_empty() {
                    r.error(
                        item.spot,
                        &path,
                        "it needs a `type`",
                        "such as `type: physical`",
                    );
                    continue;
                }
                let what = format!("{kind:?} is none of {}", TYPES.join(", "));
                r.error(
                    item.spot,
                    &format!("{path}.type"),
                    what,
                    hint.as_deref().unwrap_or(""),
                );
            }
        }
    }
    network
}

/// What an item is: known before its keys are.
fn type_of(item: &Node) -> Option<&str> {
    let NodeKind::Map(entries) = &item.kind else {
        return None;
    };
    entries
        .iter()
        .find_map(|(key, value)| match (&key.kind, &value.kind) {
            (NodeKind::Scalar { text: key, .. }, NodeKind::Scalar { text, .. })
                if key == "type" =>
            {
                Some(text.as_str())
            }
            _ => None,
        })
}

fn link(item: &Node, path: &str, kind: &str, network: &mut Network, r: &mut Reader) {
    let own: &[&str] = match kind {
        "bond" => &["bond_interfaces", "params"],
        "bridge" => &["bridge_interfaces", "params"],
        "vlan" => &["vlan_link", "vlan_id"],
        _ => &[],
    };
    let all = [
        "type",
        "id",
        "name",
        "mac_address",
        "mtu",
        "subnets",
        "accept_ra",
        "optional",
        "wakeonlan",
    ];
    let known: Vec<&str> = all.iter().chain(own).copied().collect();
    let Some(f) = r.fields(item, path, &known, &["keep_configuration"]) else {
        return;
    };
    let Some(name) = get(&f, r, "name", interface) else {
        if f.get("name").is_none() {
            r.error(f.spot, path, "it needs a `name`", "");
        }
        return;
    };
    let mut link = Link::new(&name, f.spot, Kind::Dummy);
    let own_mac = get(&f, r, "mac_address", mac);
    link.mac = own_mac.clone();
    link.kind = match kind {
        "physical" | "infiniband" => {
            link.mac = None;
            if f.get("mac_address").is_some() && own_mac.is_none() {
                // Which card is meant is not known.
                return;
            }
            Kind::Card(Card {
                rename: own_mac.as_ref().map(|_| name.clone()),
                name: own_mac.is_none().then(|| name.clone()),
                mac: own_mac,
                wake_on_lan: flag(&f, r, "wakeonlan").unwrap_or_default(),
                ..Card::default()
            })
        }
        "bond" => {
            let (settings, primary) = params::bond(&f, &mut link, r);
            for member in words(&f, r, "bond_interfaces", id) {
                let mut master = Master::new("Bond", &name);
                master.primary = primary.as_ref() == Some(&member);
                network.enslave(&member, master, f.spot);
            }
            Kind::Bond(settings)
        }
        "bridge" => {
            let ports = words(&f, r, "bridge_interfaces", id);
            let settings = params::bridge(&f, &ports, &mut link, network, r);
            Kind::Bridge(settings)
        }
        "vlan" => {
            let tag = get(&f, r, "vlan_id", number(0, 4094));
            let parent = get(&f, r, "vlan_link", id);
            let (Some(tag), Some(parent)) = (tag, parent) else {
                let what = "a VLAN needs `vlan_id` (0 to 4094) and `vlan_link`";
                r.error(f.spot, path, what, "");
                return;
            };
            let tag = u16::try_from(tag).unwrap_or_default();
            Kind::Vlan { tag, parent }
        }
        _ => Kind::Loopback,
    };
    link.mtu = get(&f, r, "mtu", mtu);
    link.accept_ra = flag(&f, r, "accept_ra");
    link.optional = flag(&f, r, "optional").unwrap_or_default();
    if let Some(node) = f.get("subnets") {
        let path = f.key("subnets");
        for (i, item) in r.list(node, &path).iter().enumerate() {
            subnet::subnet(item, &format!("{path}[{i}]"), &mut link, r);
        }
    }
    network.links.push(link);
}

fn nameserver(item: &Node, path: &str, network: &mut Network, r: &mut Reader) {
    let keys = ["type", "address", "search", "interface"];
    let Some(f) = r.fields(item, path, &keys, &[]) else {
        return;
    };
    let dns = Dns {
        servers: words(&f, r, "address", ip),
        search: words(&f, r, "search", domain),
    };
    match get(&f, r, "interface", id) {
        None => network.dns.merge(&dns),
        Some(name) => match network.links.iter_mut().find(|l| l.id == name) {
            Some(link) => link.dns.merge(&dns),
            None => {
                let what = format!("there is no `{name}` above");
                r.warn(f.spot, &f.key("interface"), what, "used for every link");
                network.dns.merge(&dns);
            }
        },
    }
}
