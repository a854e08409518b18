//! cloud-init's network config version 1: a list of things with their subnets
//! (<https://cloudinit.readthedocs.io/en/latest/reference/network-config-format-v1.html>).

use super::bond::{self, BondOption};
use super::model::{
    Address, Card, Dhcp, Dns, Kind, Link, Master, Network, Route, Setting, everything,
};
use super::value::{
    cidr_with, classful, count, domain, flag, get, id, interface, ip, mac, mtu, number, one_of,
    words,
};
use crate::cloudconfig::node::{Kind as NodeKind, Node};
use crate::cloudconfig::read::{Fields, Reader, suggest};
use std::net::IpAddr;

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
                    && let Some(route) = route(&f, r)
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
            let (settings, primary) = bond_params(&f, &mut link, r);
            for member in words(&f, r, "bond_interfaces", id) {
                let mut master = Master::new("Bond", &name);
                master.primary = primary.as_ref() == Some(&member);
                network.enslave(&member, master, f.spot);
            }
            Kind::Bond(settings)
        }
        "bridge" => {
            let ports = words(&f, r, "bridge_interfaces", id);
            let settings = bridge_params(&f, &ports, &mut link, network, r);
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
        for (i, subnet) in r.list(node, &path).iter().enumerate() {
            self::subnet(subnet, &format!("{path}[{i}]"), &mut link, r);
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

const SUBNETS: &[(&str, &str)] = &[
    ("dhcp", "dhcp4"),
    ("dhcp4", "dhcp4"),
    ("dhcp6", "dhcp6"),
    ("ipv6_dhcpv6-stateful", "dhcp6"),
    ("ipv6_dhcpv6-stateless", "slaac"),
    ("ipv6_slaac", "slaac"),
    ("static", "static"),
    ("static4", "static"),
    ("static6", "static"),
    ("manual", "manual"),
    ("loopback", "manual"),
];

fn subnet(item: &Node, path: &str, link: &mut Link, r: &mut Reader) {
    let keys = [
        "type",
        "control",
        "address",
        "netmask",
        "gateway",
        "broadcast",
        "pointopoint",
        "dns_nameservers",
        "dns_search",
        "routes",
        "metric",
        "scope",
        "ipv4",
        "ipv6",
    ];
    let Some(f) = r.fields(item, path, &keys, &["network_id", "services", "id"]) else {
        link.damaged = true;
        return;
    };
    let Some(kind) = get(&f, r, "type", one_of(SUBNETS)) else {
        if f.get("type").is_none() {
            r.error(
                f.spot,
                path,
                "a subnet needs a `type`",
                "such as `type: dhcp4`",
            );
        }
        link.damaged = true;
        return;
    };
    const CONTROL: &[(&str, &str)] = &[("auto", ""), ("hotplug", ""), ("manual", "manual")];
    if get(&f, r, "control", one_of(CONTROL)) == Some("manual") {
        link.activation = Some("manual");
    }
    let metric = get(&f, r, "metric", count);
    match kind {
        "dhcp4" => {
            link.dhcp4.get_or_insert_with(Dhcp::default).route_metric = metric;
        }
        "dhcp6" => {
            link.dhcp6.get_or_insert_with(Dhcp::default).route_metric = metric;
        }
        "slaac" => link.accept_ra = Some(true),
        "static" => match address(&f, r) {
            Some(address) => link.addresses.push(address),
            None => link.damaged = true,
        },
        _ => {}
    }
    if let Some(via) = get(&f, r, "gateway", ip) {
        link.add_gateway(via, metric);
    }
    link.dns.merge(&Dns {
        servers: words(&f, r, "dns_nameservers", ip),
        search: words(&f, r, "dns_search", domain),
    });
    if let Some(node) = f.get("routes") {
        let path = f.key("routes");
        for (i, item) in r.list(node, &path).iter().enumerate() {
            let keys = [
                "destination",
                "network",
                "netmask",
                "prefix",
                "gateway",
                "metric",
                "scope",
                "type",
                "mtu",
            ];
            if let Some(f) = r.fields(item, &format!("{path}[{i}]"), &keys, &[])
                && let Some(route) = route(&f, r)
            {
                link.add_route(route);
            }
        }
    }
}

fn address(f: &Fields<'_>, r: &mut Reader) -> Option<Address> {
    let netmask = get(f, r, "netmask", |t| Ok(t.to_owned()));
    if f.get("address").is_none() {
        let what = "a static subnet needs an `address`";
        r.error(
            f.spot,
            &f.key("address"),
            what,
            "such as `address: 192.0.2.10/24`",
        );
    }
    let mut said = false;
    let mut cidr = get(f, r, "address", |text| {
        said = text.contains('/') || netmask.is_some();
        cidr_with(text, netmask.as_deref())
    })?;
    if let (false, IpAddr::V4(v4)) = (said, cidr.ip) {
        cidr.bits = classful(v4);
        let what = format!("no netmask: {cidr} is assumed");
        r.warn(f.spot, &f.key("netmask"), what, "write it out");
    } else if !said {
        cidr.bits = 64;
    }
    let mut address = Address::from(cidr);
    address.broadcast = get(f, r, "broadcast", ip).filter(|b| b.is_ipv4());
    address.peer = get(f, r, "pointopoint", ip);
    Some(address)
}

/// `destination` or `network`, with or without `netmask`.
fn route(f: &Fields<'_>, r: &mut Reader) -> Option<Route> {
    let via = get(f, r, "gateway", ip);
    if f.get("gateway").is_some() && via.is_none() {
        return None;
    }
    let netmask = get(f, r, "netmask", |t| Ok(t.to_owned()))
        .or_else(|| get(f, r, "prefix", |t| Ok(t.to_owned())));
    let name = if f.get("destination").is_some() {
        "destination"
    } else {
        "network"
    };
    if f.get(name).is_none() {
        r.error(
            f.spot,
            &f.key("destination"),
            "a route needs a `destination`",
            "such as 10.0.0.0/8",
        );
    }
    let to = get(f, r, name, |text| match text {
        "default" => Ok(everything(via.is_none_or(|v| v.is_ipv4()))),
        _ => cidr_with(text, netmask.as_deref()),
    })?;
    if via.is_some_and(|v| v.is_ipv4() != to.ip.is_ipv4()) {
        let what = "destination and gateway are of different families";
        r.error(f.spot, &f.path, what, "");
        return None;
    }
    let mut route = Route::new(to, via);
    route.metric = get(f, r, "metric", count);
    route.mtu = get(f, r, "mtu", mtu);
    Some(route)
}

/// Options of a bond, and its preferred member. Its names are those of the
/// kernel with or without `bond-`, so each is looked up by itself.
fn bond_params(f: &Fields<'_>, link: &mut Link, r: &mut Reader) -> (Vec<Setting>, Option<String>) {
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
fn bridge_params(
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
fn params(
    f: &Fields<'_>,
    r: &mut Reader,
    mut take: impl FnMut(&str, &str) -> Option<super::value::Value<()>>,
) {
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
        let path = format!("{path}.{}", crate::cloudconfig::read::shorten(name));
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
