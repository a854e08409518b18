//! OpenNebula: a drive labelled `CONTEXT` with `context.sh`, which assigns variables as a
//! shell would. It is parsed, never run.

use super::Provider;
use crate::cloudconfig::{Password, Secret};
use crate::detect::Clue;
use crate::error::{Context, Error, Result};
use crate::media::Volume;
use crate::source::cards::{self, Card};
use crate::source::{Found, MAX_DOCUMENT, Raw, Scene, Source, keys, value};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) static PROVIDER: Provider = Provider {
    name: "opennebula",
    title: "OpenNebula",
    aliases: &["one"],
    detect: |e| {
        let disk = e.disk(&[LABEL])?;
        let what = format!(
            "{} has the label {} ({})",
            disk.device, disk.label, disk.kind
        );
        Clue::likely(what)
    },
    sources: &[&DRIVE],
    ..Provider::NONE
};

static DRIVE: Source = Source {
    name: "opennebula",
    title: "disk labelled CONTEXT",
    local: true,
    fetch: |scene, _, _| Box::pin(std::future::ready(read(scene))),
    parse,
};

const LABEL: &str = "CONTEXT";
const SCRIPT: &str = "context.sh";
/// Whose password it is: the one user that there is at first.
const USER: &str = "core";
/// Cards looked for.
const MAX_CARDS: usize = 64;

/// Variables by name.
type Variables = BTreeMap<String, String>;

fn read(scene: &Scene) -> Result<Option<Found>> {
    let Some(disk) = scene.evidence.disk(&[LABEL]) else {
        return Ok(None);
    };
    let device = format!("/dev/{}", disk.device);
    let failed = || format!("cannot read OpenNebula's disk {device}");
    let file = File::open(scene.root.join("dev").join(&disk.device)).environment(failed)?;
    let mut volume = Volume::open(file).environment(failed)?;
    let Some(script) = volume.read(SCRIPT, 16 * MAX_DOCUMENT).environment(failed)? else {
        return Err(Error::input(format!("the disk {device} has no {SCRIPT}")));
    };
    let raw = Raw::from([(SCRIPT.to_owned(), script)]);
    Ok(Some(parse(&raw, &device)))
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let warnings = &mut found.warnings;
    let script = raw.get(SCRIPT).map(Vec::as_slice).unwrap_or_default();
    let all = assignments(&String::from_utf8_lossy(script), warnings);
    let get = |name: &str| all.get(name).map(|v| v.trim()).filter(|v| !v.is_empty());
    let first = |names: &[&str]| names.iter().find_map(|n| get(n));
    let fetched = &mut found.fetched;
    fetched.provider = "opennebula".into();
    fetched.source = source.into();
    let encoding = first(&["USERDATA_ENCODING", "USER_DATA_ENCODING"]);
    fetched.user_data = first(&["USER_DATA", "USERDATA"]).and_then(|text| {
        if encoding == Some("base64") {
            return value::unwrap(text.as_bytes(), "USER_DATA", warnings);
        }
        Some(format!("{text}\n").into_bytes())
    });
    if fetched.user_data.is_none() {
        fetched.user_data = start_script(&all, warnings);
    } else if first(&["START_SCRIPT", "START_SCRIPT_BASE64"]).is_some() {
        warnings.push("START_SCRIPT is left out: there is user-data".into());
    }
    fetched.passwords.extend(password(&all, warnings));
    let cards = cards_of(&all, warnings);
    fetched.network = cards::configuration(&cards);
    let metadata = &mut fetched.metadata;
    metadata.provider = "opennebula".into();
    metadata.instance_id = get("VMID")
        .filter(|id| !id.contains(char::is_control))
        .map(str::to_owned);
    metadata.hostname = first(&["SET_HOSTNAME", "HOSTNAME"])
        .filter(|name| !name.contains(char::is_whitespace))
        .map(str::to_owned);
    for name in ["SSH_PUBLIC_KEY", "SSH_KEY", "EC2_PUBLIC_KEY"] {
        let more = get(name).map(keys::lines).unwrap_or_default();
        keys::merge(&mut metadata.ssh_keys, more);
    }
    let fixed = |wanted: fn(&IpAddr) -> bool| {
        let addresses = cards.iter().flat_map(|c| &c.addresses);
        addresses
            .filter_map(|a| a.split('/').next()?.parse::<IpAddr>().ok())
            .find(wanted)
    };
    if let Some(IpAddr::V4(address)) = fixed(IpAddr::is_ipv4) {
        metadata.private_ipv4 = Some(address);
    }
    if let Some(IpAddr::V6(address)) = fixed(IpAddr::is_ipv6) {
        metadata.public_ipv6 = Some(address);
    }
    if let Some(address) = first(&["PUBLIC_IP", "IP_PUBLIC"]) {
        metadata.public_ipv4 = address.parse().ok();
    }
    found
}

/// The password, of which there may be four spellings; a hash is preferred.
fn password(all: &Variables, warnings: &mut Vec<String>) -> Option<Password> {
    let get = |name: &str| all.get(name).filter(|v| !v.trim().is_empty());
    let mut unwrapped = |name: &str| {
        let bytes = value::unwrap(get(name)?.as_bytes(), name, warnings)?;
        let text = String::from_utf8(bytes).ok()?;
        Some(text.trim_end_matches('\n').to_owned())
    };
    let hash = unwrapped("CRYPTED_PASSWORD_BASE64").or_else(|| get("CRYPTED_PASSWORD").cloned());
    let plain = unwrapped("PASSWORD_BASE64").or_else(|| get("PASSWORD").cloned());
    let secret = hash.map(Secret::Hash).or(plain.map(Secret::Plain))?;
    Some(Password {
        user: USER.into(),
        secret,
        expire: false,
    })
}

/// A script for the first boot, where there is no user-data.
fn start_script(all: &Variables, warnings: &mut Vec<String>) -> Option<Vec<u8>> {
    let script = match all.get("START_SCRIPT_BASE64") {
        Some(text) => value::unwrap(text.as_bytes(), "START_SCRIPT_BASE64", warnings)?,
        None => all.get("START_SCRIPT")?.as_bytes().to_vec(),
    };
    if script.trim_ascii().is_empty() {
        return None;
    }
    if script.starts_with(b"#") {
        return Some(script);
    }
    Some([b"#!/bin/sh\n".as_slice(), &script].concat())
}

/// `ETHn_...` of every card.
fn cards_of(all: &Variables, warnings: &mut Vec<String>) -> Vec<Card> {
    let mut cards = Vec::new();
    for n in 0..MAX_CARDS {
        let prefix = format!("ETH{n}_");
        let of_card = |name: &str| {
            let value = all.get(&format!("{prefix}{name}"))?;
            Some(value.trim()).filter(|v| !v.is_empty())
        };
        if !all.keys().any(|k| k.starts_with(&prefix)) {
            continue;
        }
        let (method, method6) = (of_card("METHOD"), of_card("IP6_METHOD"));
        if method == Some("skip") {
            continue;
        }
        let mut card = Card {
            mac: of_card("MAC").map(str::to_owned),
            name: Some(format!("eth{n}")),
            dhcp4: method == Some("dhcp"),
            dhcp6: method6 == Some("dhcp"),
            mtu: of_card("MTU").and_then(|m| m.parse().ok()),
            ..Card::default()
        };
        if !card.dhcp4 {
            fixed4(&of_card, &prefix, &mut card, warnings);
        }
        if !card.dhcp6 && method6 != Some("skip") {
            fixed6(&of_card, &prefix, &mut card, warnings);
        }
        for alias in 0..MAX_CARDS {
            let of_alias = |name: &str| of_card(&format!("ALIAS{alias}_{name}"));
            if of_alias("EXTERNAL").is_some_and(|e| e.eq_ignore_ascii_case("yes")) {
                continue;
            }
            let at = format!("{prefix}ALIAS{alias}_");
            fixed4(&of_alias, &at, &mut card, warnings);
            fixed6(&of_alias, &at, &mut card, warnings);
        }
        for name in ["DNS", "SEARCH_DOMAIN"] {
            let own = of_card(name).unwrap_or_default().split_whitespace();
            let shared = all.get(name).map(String::as_str).unwrap_or_default();
            let list = own.chain(shared.split_whitespace()).map(str::to_owned);
            match name {
                "DNS" => card.dns.extend(list),
                _ => card.search.extend(list),
            }
        }
        if !card.dhcp4 && !card.dhcp6 && card.addresses.is_empty() {
            // Nothing is said about it: the image's own ways are better than none.
            continue;
        }
        cards.push(card);
    }
    cards
}

fn fixed4<'a>(
    get: &impl Fn(&str) -> Option<&'a str>,
    prefix: &str,
    card: &mut Card,
    warnings: &mut Vec<String>,
) {
    let Some(text) = get("IP") else {
        return;
    };
    let Ok(address) = text.parse::<Ipv4Addr>() else {
        warnings.push(format!("{prefix}IP is left out: not an IPv4 address"));
        return;
    };
    let length = match get("MASK") {
        None => Some(24),
        Some(mask) => cards::prefix_length(mask).or_else(|| mask.parse().ok().filter(|p| *p <= 32)),
    };
    let Some(length) = length else {
        warnings.push(format!(
            "{prefix}IP is left out: {prefix}MASK is no netmask"
        ));
        return;
    };
    card.addresses.push(format!("{address}/{length}"));
    if let Some(gateway) = get("GATEWAY").and_then(|g| g.parse::<Ipv4Addr>().ok()) {
        card.routes.push(("0.0.0.0/0".into(), gateway.to_string()));
    }
    // `10.0.0.0/8 via 192.0.2.1, ...`
    for route in get("ROUTES").unwrap_or_default().split(',') {
        let words: Vec<&str> = route.split_whitespace().collect();
        match words[..] {
            [to, "via", via] => card.routes.push((to.into(), via.into())),
            [] => {}
            _ => warnings.push(format!(
                "a route of {prefix}ROUTES is left out: not `NET via GATEWAY`"
            )),
        }
    }
}

fn fixed6<'a>(
    get: &impl Fn(&str) -> Option<&'a str>,
    prefix: &str,
    card: &mut Card,
    warnings: &mut Vec<String>,
) {
    for name in ["IP6", "IP6_ULA"] {
        let Some(text) = get(name).or_else(|| (name == "IP6").then(|| get("IPV6")).flatten())
        else {
            continue;
        };
        let Ok(address) = text
            .split('/')
            .next()
            .unwrap_or_default()
            .parse::<Ipv6Addr>()
        else {
            warnings.push(format!("{prefix}{name} is left out: not an IPv6 address"));
            continue;
        };
        let length = get("IP6_PREFIX_LENGTH").and_then(|l| l.parse::<u8>().ok());
        card.addresses.push(format!(
            "{address}/{}",
            length.filter(|l| *l <= 128).unwrap_or(64)
        ));
    }
    let gateway = get("IP6_GATEWAY").or_else(|| get("GATEWAY6"));
    if let Some(gateway) = gateway.and_then(|g| g.parse::<Ipv6Addr>().ok()) {
        card.routes.push(("::/0".into(), gateway.to_string()));
    }
}

/// Reads `NAME='value'` as a shell would, without any of what else a shell does. Values
/// may go over lines; of repeated names the last counts.
fn assignments(text: &str, warnings: &mut Vec<String>) -> Variables {
    let mut out = Variables::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line_end = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let line = rest[..line_end].trim_start();
        let start = line_end - line.len();
        let assigned = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let start = start + (line.len() - assigned.len());
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        match assigned.split_once('=').filter(|(name, _)| is_name(name)) {
            Some((name, _)) => match word(&rest[start + name.len() + 1..]) {
                Some((value, used)) => {
                    out.insert(name.to_owned(), value);
                    rest = &rest[start + name.len() + 1 + used..];
                    // What follows on the line is no part of it.
                    rest = &rest[rest.find('\n').map_or(rest.len(), |at| at + 1)..];
                }
                None => {
                    warnings.push(format!("{SCRIPT}: the value of {name} has no end"));
                    rest = &rest[line_end..];
                }
            },
            None => {
                if !assigned.trim().is_empty() && !assigned.starts_with('#') {
                    warnings.push(format!("{SCRIPT}: a line is left out: no assignment"));
                }
                rest = &rest[line_end..];
            }
        }
    }
    warnings.dedup();
    out
}

/// One word of a shell: quoted and unquoted pieces up to a blank, and its length. `None`
/// when a quote is left open.
fn word(text: &str) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => loop {
                match chars.next()?.1 {
                    '\'' => break,
                    c => out.push(c),
                }
            },
            '"' => loop {
                match chars.next()?.1 {
                    '"' => break,
                    '\\' => match chars.next()?.1 {
                        '\n' => {}
                        c if "\\\"$`".contains(c) => out.push(c),
                        c => out.extend(['\\', c]),
                    },
                    c => out.push(c),
                }
            },
            '\\' => match chars.next() {
                Some((_, '\n')) | None => {}
                Some((_, c)) => out.push(c),
            },
            c if c.is_whitespace() || c == ';' || c == '#' && out.is_empty() && at == 0 => {
                return Some((out, at));
            }
            c => out.push(c),
        }
    }
    Some((out, text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Vec<(String, String)>, Vec<String>) {
        let mut warnings = Vec::new();
        let all = assignments(text, &mut warnings);
        (all.into_iter().collect(), warnings)
    }

    #[test]
    fn as_a_shell_reads_it() {
        for (text, value) in [
            ("A='x y'\n", "x y"),
            ("A='it'\\''s'\n", "it's"),
            ("A='two\nlines'", "two\nlines"),
            ("A=\"a\\\"b\\$c\\d\"", "a\"b$c\\d"),
            ("A=plain # comment", "plain"),
            ("export A=x;B=y", "x"),
            ("A='$(reboot)`id`$HOME'", "$(reboot)`id`$HOME"),
            ("A=", ""),
            ("  A='1'\nA='2'\n", "2"),
            ("A=a\\\nb", "ab"),
        ] {
            let (all, warnings) = read(text);
            assert_eq!(all, [("A".to_owned(), value.to_owned())], "{text}");
            assert!(warnings.is_empty(), "{text}: {warnings:?}");
        }
    }

    #[test]
    fn what_is_none_costs_its_line() {
        let (all, warnings) = read("reboot\n# A='1'\n\nA-B='2'\nB='open\nC='3'\n");
        // The open quote takes the next one for its end, as in a shell.
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(!warnings.is_empty());
        let (all, warnings) = read("A='secret\nB=1\n");
        assert_eq!(all, [("B".to_owned(), "1".to_owned())]);
        assert_eq!(warnings, ["context.sh: the value of A has no end"]);
    }

    #[test]
    fn passwords_in_four_spellings() {
        let password = |text: &str| {
            let raw = Raw::from([(SCRIPT.to_owned(), text.as_bytes().to_vec())]);
            parse(&raw, "").fetched.passwords.pop().map(|p| p.secret)
        };
        let plain = Some(Secret::Plain("p$x".into()));
        let hash = Some(Secret::Hash("$6$ab$c".into()));
        assert_eq!(password("PASSWORD='p$x'"), plain);
        assert_eq!(password("PASSWORD_BASE64='cCR4Cg=='"), plain);
        assert_eq!(password("PASSWORD='y'\nCRYPTED_PASSWORD='$6$ab$c'"), hash);
        assert_eq!(password("CRYPTED_PASSWORD_BASE64='JDYkYWIkYw=='"), hash);
        assert_eq!(password("PASSWORD=''"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}", near in "(ETH0_(IP6?|MASK|MAC|ROUTES)?='?[^=]{0,12}'?\n?){0,5}") {
            for text in [text, near] {
                parse(&Raw::from([(SCRIPT.to_owned(), text.into_bytes())]), "");
            }
        }
    }
}
