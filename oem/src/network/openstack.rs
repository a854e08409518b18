//! OpenStack's `network_data.json`: links, networks on them, services
//! (<https://docs.openstack.org/nova/latest/user/metadata.html>).

use super::bond::{self, BondOption};
use super::model::{Address, Card, Dhcp, Dns, Kind, Link, Master, Network, Route};
use super::value::{cidr_with, domain, get, id, interface, ip, mac, mtu, number, one_of, words};
use crate::cloudconfig::node::Node;
use crate::cloudconfig::read::{Fields, Reader};

const LINK_KEYS: &[&str] = &[
    "id",
    "name",
    "type",
    "mtu",
    "ethernet_mac_address",
    "bond_links",
    "bond_mode",
    "bond_miimon",
    "bond_xmit_hash_policy",
    "bond_lacp_rate",
    "bond_hash_policy",
    "vlan_link",
    "vlan_id",
    "vlan_mac_address",
];
/// Only for those who run the hypervisor.
const LINK_OTHER: &[&str] = &[
    "vif_id",
    "neutron_port_id",
    "neutron_network_id",
    "physical_network",
    "ports",
];

/// Reads the document.
pub(super) fn read(root: &Node, r: &mut Reader) -> Network {
    let mut network = Network::default();
    let Some(top) = r.fields(root, "", &["links", "networks", "services"], &[]) else {
        return network;
    };
    if let Some(node) = top.get("links") {
        for (i, item) in r.list(node, "links").iter().enumerate() {
            link(item, &format!("links[{i}]"), &mut network, r);
        }
    }
    if let Some(node) = top.get("networks") {
        for (i, item) in r.list(node, "networks").iter().enumerate() {
            on_link(item, &format!("networks[{i}]"), &mut network, r);
        }
    }
    if let Some(node) = top.get("services") {
        network.dns = services(node, "services", r);
    }
    for link in &mut network.links {
        // Neutron's DHCP says the same.
        link.mtu = link.mtu.filter(|_| link.dhcp4.is_none());
    }
    // Most machines: every card by DHCP, as the image does it. Units that say so
    // again would make networkd drop and renew its leases while the machine starts.
    let dns = Dns::default();
    if network.dns == dns && network.members.is_empty() && network.links.iter().all(Link::is_plain)
    {
        network.links.clear();
    }
    network
}

/// Names in this format are ids of ports, which kernels may not take.
fn device_name(id: &str, kind: &str, network: &Network) -> String {
    match interface(id) {
        Ok(name) => name,
        Err(_) => {
            let n = network
                .links
                .iter()
                .filter(|l| !matches!(l.kind, Kind::Card(_)))
                .count();
            format!("{kind}{n}")
        }
    }
}

fn link(item: &Node, path: &str, network: &mut Network, r: &mut Reader) {
    let known: Vec<&str> = LINK_KEYS.iter().chain(LINK_OTHER).copied().collect();
    let Some(f) = r.fields(item, path, &known, &[]) else {
        return;
    };
    let Some(own) = get(&f, r, "id", id) else {
        if f.get("id").is_none() {
            r.error(f.spot, path, "a link needs an `id`", "");
        }
        return;
    };
    let kind = get(&f, r, "type", |t| Ok(t.to_owned())).unwrap_or_default();
    let mut link = Link::new(&own, f.spot, Kind::Dummy);
    link.mtu = get(&f, r, "mtu", mtu);
    let hardware = get(&f, r, "ethernet_mac_address", mac);
    link.kind = match kind.as_str() {
        "bond" => {
            link.mac = hardware;
            let members = words(&f, r, "bond_links", id);
            for member in members {
                network.enslave(&member, Master::new("Bond", &own), f.spot);
            }
            Kind::Bond(bond_settings(&f, r))
        }
        "vlan" => {
            link.mac = get(&f, r, "vlan_mac_address", mac);
            let tag = get(&f, r, "vlan_id", number(0, 4094));
            let parent = get(&f, r, "vlan_link", id);
            let (Some(tag), Some(parent)) = (tag, parent) else {
                r.error(f.spot, path, "a VLAN needs `vlan_id` and `vlan_link`", "");
                return;
            };
            let tag = u16::try_from(tag).unwrap_or_default();
            Kind::Vlan { tag, parent }
        }
        // Everything else is what the hypervisor calls its end of our card.
        _ => {
            if hardware.is_none() {
                let what = "a card needs `ethernet_mac_address`: its id is the hypervisor's";
                r.error(f.spot, path, what, "");
                return;
            }
            Kind::Card(Card {
                mac: hardware,
                ..Card::default()
            })
        }
    };
    if !matches!(link.kind, Kind::Card(_)) {
        link.device = Some(device_name(&own, &kind, network));
    }
    network.links.push(link);
}

fn bond_settings(f: &Fields<'_>, r: &mut Reader) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    for (key, name) in [
        ("bond_mode", "mode"),
        ("bond_miimon", "miimon"),
        ("bond_xmit_hash_policy", "xmit_hash_policy"),
        ("bond_hash_policy", "xmit_hash_policy"),
        ("bond_lacp_rate", "lacp_rate"),
    ] {
        let option = get(f, r, key, |text| {
            bond::bond(name, text).unwrap_or(Ok(BondOption::Moot))
        });
        if let Some(BondOption::Setting(setting)) = option {
            settings.push(setting);
        }
    }
    settings
}

const KINDS: &[(&str, &str)] = &[
    ("ipv4", "static"),
    ("ipv6", "static"),
    ("ipv4_dhcp", "dhcp4"),
    ("ipv6_dhcp", "dhcp6"),
    ("ipv6_dhcpv6-stateful", "dhcp6"),
    ("ipv6_dhcpv6-stateless", "slaac"),
    ("ipv6_slaac", "slaac"),
];

fn on_link(item: &Node, path: &str, network: &mut Network, r: &mut Reader) {
    let known = [
        "id",
        "network_id",
        "link",
        "type",
        "ip_address",
        "netmask",
        "gateway",
        "routes",
        "services",
        "dns_nameservers",
        "dns_search",
    ];
    let Some(f) = r.fields(item, path, &known, &[]) else {
        return;
    };
    let Some(of) = get(&f, r, "link", id) else {
        r.error(f.spot, path, "a network needs a `link`", "");
        return;
    };
    let Some(link) = network.links.iter_mut().find(|l| l.id == of) else {
        let what = format!("there is no link {of:?}");
        r.error(f.spot, &f.key("link"), what, "");
        return;
    };
    match get(&f, r, "type", one_of(KINDS)) {
        Some("dhcp4") => drop(link.dhcp4.get_or_insert_with(Dhcp::default)),
        Some("dhcp6") => drop(link.dhcp6.get_or_insert_with(Dhcp::default)),
        Some("slaac") => link.accept_ra = Some(true),
        Some(_) => {
            let netmask = get(&f, r, "netmask", |t| Ok(t.to_owned()));
            if f.get("ip_address").is_none() {
                r.error(f.spot, path, "a static network needs `ip_address`", "");
            }
            match get(&f, r, "ip_address", |t| cidr_with(t, netmask.as_deref())) {
                Some(cidr) => link.addresses.push(Address::from(cidr)),
                None => link.damaged = true,
            }
        }
        None => link.damaged = true,
    }
    if let Some(node) = f.get("routes") {
        let path = f.key("routes");
        for (i, item) in r.list(node, &path).iter().enumerate() {
            route(item, &format!("{path}[{i}]"), link, r);
        }
    }
    if let Some(via) = get(&f, r, "gateway", ip) {
        link.add_gateway(via, None);
    }
    if let Some(node) = f.get("services") {
        let dns = services(node, &f.key("services"), r);
        link.dns.merge(&dns);
    }
    link.dns.merge(&Dns {
        servers: words(&f, r, "dns_nameservers", ip),
        search: words(&f, r, "dns_search", domain),
    });
}

fn route(item: &Node, path: &str, link: &mut Link, r: &mut Reader) {
    let known = ["network", "netmask", "gateway", "services"];
    let Some(f) = r.fields(item, path, &known, &[]) else {
        return;
    };
    let netmask = get(&f, r, "netmask", |t| Ok(t.to_owned()));
    let via = get(&f, r, "gateway", ip);
    let to = get(&f, r, "network", |t| cidr_with(t, netmask.as_deref()));
    match (to, via) {
        (Some(to), Some(via)) if to.ip.is_ipv4() == via.is_ipv4() => {
            link.add_route(Route::new(to, Some(via)));
        }
        (None, _) | (_, None) if f.get("network").is_some() && f.get("gateway").is_some() => {}
        _ => r.error(
            f.spot,
            path,
            "a route needs `network` and `gateway` of one family",
            "",
        ),
    }
    if let Some(node) = f.get("services") {
        let dns = services(node, &f.key("services"), r);
        link.dns.merge(&dns);
    }
}

/// Name servers; other services are not the network's.
fn services(node: &Node, path: &str, r: &mut Reader) -> Dns {
    let mut dns = Dns::default();
    for (i, item) in r.list(node, path).iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(f) = r.fields(item, &path, &["type", "address"], &[]) else {
            continue;
        };
        if get(&f, r, "type", |t| Ok(t == "dns")) == Some(true) {
            dns.servers.extend(get(&f, r, "address", ip));
        }
    }
    dns
}
