//! `subnets`, and routes wherever they are.

use super::super::model::{Address, Dhcp, Dns, Link, Route, everything};
use super::super::value::{cidr_with, classful, count, domain, get, ip, mtu, one_of, words};
use crate::cloudconfig::node::Node;
use crate::cloudconfig::read::{Fields, Reader};
use std::net::IpAddr;

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

pub(super) fn subnet(item: &Node, path: &str, link: &mut Link, r: &mut Reader) {
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
pub(super) fn route(f: &Fields<'_>, r: &mut Reader) -> Option<Route> {
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
