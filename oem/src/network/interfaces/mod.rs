//! Debian's interfaces(5) as config drives carry it: `iface` stanzas, with the
//! options of ifupdown, ifenslave, bridge-utils and vlan.
//!
//! Every stanza is configured, listed under `auto` or not. Commands (`up`,
//! `post-up`...) are not run; those that add a route are read for it.

mod command;
mod kind;
mod stanza;

use super::model::{Address, Dhcp, Kind, Link, Network};
use super::value::{cidr_with, classful, count, domain, interface, ip, mac, mtu};
use crate::cloudconfig::read::{Reader, shorten, suggest};
use stanza::{Stanza, stanzas};
use std::net::IpAddr;

/// Whether a text is of this format: by its first word.
pub(super) fn is_it(text: &str) -> bool {
    let line = text
        .lines()
        .map(str::trim)
        .find(|l| !l.is_empty() && !l.starts_with('#'));
    let mut words = line.unwrap_or_default().split_whitespace();
    let first = words.next().unwrap_or_default();
    let known =
        matches!(first, "auto" | "iface" | "source" | "mapping") || first.starts_with("allow-");
    known && words.next().is_some()
}

/// Reads a text.
pub(super) fn read(text: &str, r: &mut Reader) -> Network {
    let mut network = Network::default();
    for stanza in stanzas(text, r) {
        apply(&stanza, &mut network, r);
    }
    network
}

/// Options read here; those of bonds and bridges come by their prefix.
const OPTIONS: &[&str] = &[
    "address",
    "netmask",
    "gateway",
    "broadcast",
    "network",
    "pointopoint",
    "metric",
    "mtu",
    "hwaddress",
    "hostname",
    "dns-nameservers",
    "dns-nameserver",
    "dns-search",
    "dns-domain",
    "vlan-raw-device",
    "vlan-id",
    "accept-ra",
    "autoconf",
    "privext",
    "up",
    "post-up",
    "pre-up",
    "down",
    "pre-down",
    "post-down",
    "scope",
    "preferred-lifetime",
    "dad-attempts",
    "request-prefix",
];
/// Those that mean nothing to networkd, or only what it does anyway.
const MOOT: &[&str] = &[
    "network",
    "scope",
    "preferred-lifetime",
    "dad-attempts",
    "request-prefix",
    "down",
    "pre-down",
    "post-down",
];

fn apply(stanza: &Stanza, network: &mut Network, r: &mut Reader) {
    // `eth0:1` is another address of `eth0`.
    let base = stanza.name.split(':').next().unwrap_or_default();
    let name = match interface(base) {
        Ok(name) => name,
        Err((what, hint)) => return r.error(stanza.spot, "iface", what, hint),
    };
    let at = match network.links.iter().position(|l| l.id == name) {
        Some(at) => at,
        None => {
            let Some(kind) = kind::kind(stanza, &name, network, r) else {
                return;
            };
            network.links.push(Link::new(&name, stanza.spot, kind));
            network.links.len() - 1
        }
    };
    // Later stanzas of the same link add to it.
    let mut link = network.links[at].clone();
    kind::members(stanza, &mut link, network, r);
    addresses(stanza, &mut link, r);
    if let Some(mac) = stanza.read(r, "hwaddress", mac) {
        match &mut link.kind {
            // As CoreOS took it: config drives name the card by it.
            Kind::Card(card) => {
                card.rename = Some(name.clone());
                card.name = None;
                card.mac = Some(mac);
            }
            _ => link.mac = Some(mac),
        }
    }
    link.mtu = stanza.read(r, "mtu", mtu).or(link.mtu);
    for key in ["dns-nameservers", "dns-nameserver"] {
        for server in stanza.words(r, key, ip) {
            if !link.dns.servers.contains(&server) {
                link.dns.servers.push(server);
            }
        }
    }
    for key in ["dns-search", "dns-domain"] {
        for name in stanza.words(r, key, domain) {
            if !link.dns.search.contains(&name) {
                link.dns.search.push(name);
            }
        }
    }
    for (spot, option, text) in &stanza.options {
        if matches!(option.as_str(), "up" | "post-up" | "pre-up") {
            command::command(*spot, &stanza.key(option), text, &mut link, r);
        } else if MOOT.contains(&option.as_str()) {
            if option.ends_with("down") {
                r.warn(*spot, &stanza.key(option), "commands are not run", "");
            }
        } else if !OPTIONS.contains(&option.as_str())
            && !["bond-", "bridge-"].iter().any(|p| option.starts_with(p))
        {
            let hint = suggest(option, OPTIONS).map(|s| format!("did you mean `{s}`?"));
            let key = stanza.key(&shorten(option));
            r.warn(
                *spot,
                &key,
                "unknown option, not applied",
                hint.as_deref().unwrap_or(""),
            );
        }
    }
    network.links[at] = link;
}

fn addresses(stanza: &Stanza, link: &mut Link, r: &mut Reader) {
    let metric = stanza.read(r, "metric", count);
    match (stanza.method.as_str(), stanza.ipv6) {
        ("dhcp", false) => {
            let dhcp = link.dhcp4.get_or_insert_with(Dhcp::default);
            dhcp.route_metric = metric;
            dhcp.hostname = stanza.read(r, "hostname", domain);
        }
        ("dhcp", true) => {
            link.dhcp6.get_or_insert_with(Dhcp::default).route_metric = metric;
        }
        ("auto", true) => link.accept_ra = Some(true),
        ("static", ipv6) => {
            let netmask = stanza.get("netmask").map(|(_, t)| t.to_owned());
            if !stanza.has("address") {
                let what = "a static stanza needs an `address`";
                r.error(stanza.spot, &stanza.key("address"), what, "");
            }
            let address = stanza.read(r, "address", |text| {
                let mut cidr = cidr_with(text, netmask.as_deref())?;
                if cidr.ip.is_ipv4() == ipv6 {
                    return Err((format!("{cidr} is of the other family"), ""));
                }
                if netmask.is_none() && !text.contains('/') {
                    cidr.bits = match cidr.ip {
                        IpAddr::V4(v4) => classful(v4),
                        IpAddr::V6(_) => 64,
                    };
                }
                Ok(cidr)
            });
            match address {
                None => link.damaged = true,
                Some(cidr) => {
                    let mut address = Address::from(cidr);
                    let broadcast = |t: &str| match t {
                        "+" | "-" => Ok(None),
                        _ => ip(t).map(Some),
                    };
                    address.broadcast = stanza
                        .read(r, "broadcast", broadcast)
                        .flatten()
                        .filter(IpAddr::is_ipv4);
                    address.peer = stanza.read(r, "pointopoint", ip);
                    if !link.addresses.iter().any(|a| a.cidr == cidr) {
                        link.addresses.push(address);
                    }
                }
            }
        }
        ("manual" | "loopback", _) => {}
        (other, _) => {
            let what = format!(
                "{:?} is none of static, dhcp, manual, loopback, auto",
                shorten(other)
            );
            r.error(stanza.spot, &stanza.name, what, "");
            link.damaged = true;
        }
    }
    if let Some(via) = stanza.read(r, "gateway", ip) {
        link.add_gateway(via, metric);
    }
    if let Some((_, word)) = stanza.get("accept-ra") {
        link.accept_ra = Some(word != "0");
    }
    if let Some((_, word)) = stanza.get("privext") {
        link.privacy = word != "0";
    }
}
