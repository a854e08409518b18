//! Debian's interfaces(5) as config drives carry it: `iface` stanzas, with the
//! options of ifupdown, ifenslave, bridge-utils and vlan.
//!
//! Every stanza is configured, listed under `auto` or not. Commands (`up`,
//! `post-up`...) are not run; those that add a route are read for it.

use super::bond::{self, BondOption};
use super::model::{Address, Card, Cidr, Dhcp, Kind, Link, Master, Network, Route, everything};
use super::value::{
    Value, cidr, cidr_with, classful, count, domain, interface, ip, mac, mtu, number, split,
};
use crate::cloudconfig::Spot;
use crate::cloudconfig::read::{Reader, shorten, suggest};
use std::net::IpAddr;

/// Words that begin a stanza.
const STANZAS: &[&str] = &[
    "auto",
    "iface",
    "mapping",
    "source",
    "source-directory",
    "no-auto-down",
    "no-scripts",
    "template",
    "rename",
];

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

/// A line with its place: continuations joined, comments dropped.
struct Line {
    spot: Spot,
    text: String,
}

fn lines(text: &str) -> Vec<Line> {
    let mut out: Vec<Line> = Vec::new();
    let mut open = false;
    for (i, raw) in text.lines().enumerate() {
        let trimmed = raw.trim();
        let (body, continued) = match trimmed.strip_suffix('\\') {
            Some(body) => (body.trim_end(), true),
            None => (trimmed, false),
        };
        if let (true, Some(last)) = (open, out.last_mut()) {
            last.text.push(' ');
            last.text.push_str(body);
        } else if !body.is_empty() && !body.starts_with('#') {
            let indent = raw.chars().take_while(|c| c.is_whitespace()).count();
            let spot = Spot {
                line: u32::try_from(i + 1).unwrap_or(u32::MAX),
                column: u32::try_from(indent + 1).unwrap_or(u32::MAX),
            };
            let text = body.replace('\0', " ");
            out.push(Line { spot, text });
        } else {
            continue;
        }
        open = continued;
    }
    out
}

/// One `iface` stanza.
struct Stanza {
    spot: Spot,
    name: String,
    ipv6: bool,
    method: String,
    options: Vec<(Spot, String, String)>,
}

impl Stanza {
    /// The value of an option (`_` and `-` are the same).
    fn get(&self, name: &str) -> Option<(Spot, &str)> {
        self.options
            .iter()
            .rev()
            .find(|(_, n, _)| n == name)
            .map(|(s, _, v)| (*s, v.as_str()))
    }
    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }
    /// The checked value of an option.
    fn read<T>(
        &self,
        r: &mut Reader,
        name: &str,
        parse: impl FnOnce(&str) -> Value<T>,
    ) -> Option<T> {
        let (spot, text) = self.get(name)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err((what, hint)) => {
                r.error(spot, &self.key(name), what, hint);
                None
            }
        }
    }
    /// The checked words of an option.
    fn words<T>(&self, r: &mut Reader, name: &str, parse: impl Fn(&str) -> Value<T>) -> Vec<T> {
        let mut out = Vec::new();
        for (spot, _, text) in self.options.iter().filter(|(_, n, _)| n == name) {
            for word in split(text) {
                match parse(word) {
                    Ok(value) => out.push(value),
                    Err((what, hint)) => r.error(*spot, &self.key(name), what, hint),
                }
            }
        }
        out
    }
}

/// Reads a text.
pub(super) fn read(text: &str, r: &mut Reader) -> Network {
    let mut network = Network::default();
    for stanza in stanzas(text, r) {
        apply(&stanza, &mut network, r);
    }
    network
}

fn stanzas(text: &str, r: &mut Reader) -> Vec<Stanza> {
    let mut out: Vec<Stanza> = Vec::new();
    let mut inside = false;
    for Line { spot, text } in lines(text) {
        let (word, rest) = text.split_once([' ', '\t']).unwrap_or((&text, ""));
        let rest = rest.trim();
        match word {
            "iface" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                inside = false;
                let &[name, family, method] = &words[..] else {
                    let what = "expected `iface NAME FAMILY METHOD`";
                    r.error(spot, "iface", what, "such as `iface eth0 inet static`");
                    continue;
                };
                if !matches!(family, "inet" | "inet6") {
                    let what = format!("{:?} is none of inet, inet6", shorten(family));
                    r.error(spot, "iface", what, "");
                    continue;
                }
                inside = true;
                out.push(Stanza {
                    spot,
                    name: name.to_owned(),
                    ipv6: family == "inet6",
                    method: method.to_owned(),
                    options: Vec::new(),
                });
            }
            "auto" | "no-auto-down" | "no-scripts" => inside = false,
            _ if word.starts_with("allow-") => inside = false,
            "source" | "source-directory" | "mapping" | "template" | "rename" => {
                inside = false;
                r.warn(
                    spot,
                    word,
                    "not applied",
                    "write the `iface` stanzas themselves",
                );
            }
            _ => match out.last_mut().filter(|_| inside) {
                Some(stanza) => {
                    let name = word.replace('_', "-");
                    stanza.options.push((spot, name, rest.to_owned()));
                }
                None => {
                    let hint = suggest(word, STANZAS).map(|s| format!("did you mean `{s}`?"));
                    let key = shorten(word);
                    r.warn(
                        spot,
                        &key,
                        "outside of any stanza, not applied",
                        hint.as_deref().unwrap_or(""),
                    );
                }
            },
        }
    }
    out
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
            let Some(kind) = kind(stanza, &name, network, r) else {
                return;
            };
            network.links.push(Link::new(&name, stanza.spot, kind));
            network.links.len() - 1
        }
    };
    // Later stanzas of the same link add to it.
    let mut link = network.links[at].clone();
    members(stanza, &mut link, network, r);
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
            command(*spot, &stanza.key(option), text, &mut link, r);
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

/// What a link is, from the options of its first stanza and its name.
fn kind(stanza: &Stanza, name: &str, network: &Network, r: &mut Reader) -> Option<Kind> {
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
fn members(stanza: &Stanza, link: &mut Link, network: &mut Network, r: &mut Reader) {
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

/// `[/sbin/]route add ..` and `[/sbin/]ip [-6] route add ..`, as providers send
/// them; anything else is not run.
fn command(spot: Spot, key: &str, text: &str, link: &mut Link, r: &mut Reader) {
    let text = text.split("||").next().unwrap_or_default();
    let text = text
        .trim()
        .trim_end_matches(';')
        .replace("$IFACE", &link.id);
    let words: Vec<&str> = text.split_whitespace().collect();
    let route = match words.split_first() {
        Some((program, args)) => match program.rsplit('/').next() {
            Some("route") => route_program(args),
            Some("ip") => ip_program(args),
            _ => None,
        },
        None => None,
    };
    match route {
        Some(Ok(route)) => link.add_route(route),
        Some(Err((what, hint))) => r.error(spot, key, what, hint),
        None => r.warn(
            spot,
            key,
            "commands are not run",
            "routes are read from `ip route add` and `route add`; put other commands into a unit",
        ),
    }
}

/// route(8): `add [-A inet6] [-net|-host] TARGET [netmask M] [gw G] [metric N] [dev D]`.
fn route_program(args: &[&str]) -> Option<Value<Route>> {
    let mut words = args
        .iter()
        .copied()
        .filter(|w| !matches!(*w, "-net" | "-host" | "-4" | "-6" | "-A" | "inet6" | "inet"));
    (words.next()? == "add").then_some(())?;
    let target = words.next()?;
    let (mut mask, mut via, mut metric) = (None, None, None);
    while let Some(word) = words.next() {
        match word {
            "netmask" => mask = words.next(),
            "gw" => via = words.next(),
            "metric" => metric = words.next(),
            "dev" => drop(words.next()),
            // The interface may come bare.
            _ => {}
        }
    }
    Some(finish(target, mask, via, metric))
}

/// ip-route(8): `[-6] route add|replace|append TARGET [via G] [metric N] [dev D]`.
fn ip_program(args: &[&str]) -> Option<Value<Route>> {
    let mut words = args
        .iter()
        .copied()
        .filter(|w| !matches!(*w, "-4" | "-6" | "-f"));
    matches!(words.next()?, "route" | "r" | "ro").then_some(())?;
    matches!(words.next()?, "add" | "replace" | "append" | "a").then_some(())?;
    let target = words.next()?;
    let (mut via, mut metric) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "via" => via = words.next(),
            "metric" => metric = words.next(),
            "dev" | "proto" | "scope" => drop(words.next()),
            "onlink" => {}
            // More than is understood would be less than was meant.
            _ => return None,
        }
    }
    Some(finish(target, None, via, metric))
}

fn finish(
    target: &str,
    mask: Option<&str>,
    via: Option<&str>,
    metric: Option<&str>,
) -> Value<Route> {
    let via = via.map(ip).transpose()?;
    let to: Cidr = match target {
        "default" => everything(via.is_none_or(|v| v.is_ipv4())),
        _ if mask.is_some() => cidr_with(target, mask)?,
        _ => cidr(target)?,
    };
    if via.is_some_and(|v| v.is_ipv4() != to.ip.is_ipv4()) {
        return Err((
            "destination and gateway are of different families".into(),
            "",
        ));
    }
    let mut route = Route::new(to, via);
    route.metric = metric.map(count).transpose()?;
    Ok(route)
}
