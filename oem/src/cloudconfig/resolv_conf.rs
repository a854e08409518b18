//! `manage_resolv_conf` and `resolv_conf`: for systemd-resolved.

use super::CloudConfig;
use super::diag::At;
use super::read::{Fields, Reader};
use super::schema::Type::{Any, Flag, Map, Table, Text};
use super::schema::{Section, WORDS, key};
use super::units::{Refresh, Verb};
use super::write_files::WriteFile;
use std::collections::HashSet;

const PATH: &str = "/etc/systemd/resolved.conf.d/50-cloud-config.conf";

pub(super) const SECTION: Section = Section {
    title: "Name servers",
    keys: &[
        key(
            "manage_resolv_conf",
            Flag,
            "whether `resolv_conf` is applied",
        ),
        key(
            "resolv_conf",
            Table,
            "name servers of the whole machine, for systemd-resolved",
        ),
        key("resolv_conf.nameservers", WORDS, "DNS servers"),
        key("resolv_conf.searchdomains", WORDS, "search domains"),
        key("resolv_conf.domain", Text, "the first search domain"),
        key(
            "resolv_conf.options",
            Map(&Any),
            "systemd-resolved has its own",
        )
        .not_applied(),
        key(
            "resolv_conf.sortlist",
            WORDS,
            "systemd-resolved has no such setting",
        )
        .not_applied(),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = r#"manage_resolv_conf: true
resolv_conf:
  nameservers: [192.0.2.53, "2001:db8::53"]
  searchdomains: [shop.example.com]
  domain: example.com
"#;

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let manage = f.boolean("manage_resolv_conf", r);
    let Some((spot, node)) = f.entry("resolv_conf") else {
        return;
    };
    let Some(f) = r.table(node, "resolv_conf", SECTION.keys, "resolv_conf.") else {
        return;
    };
    if manage != Some(true) {
        let why = "not applied without `manage_resolv_conf: true`";
        r.warn(spot, "resolv_conf", why, "add it");
        return;
    }
    for name in ["options", "sortlist"] {
        if let Some((spot, _)) = f.entry(name) {
            let why = "not applied: systemd-resolved has no such setting";
            r.warn(spot, &f.key(name), why, "leave it out");
        }
    }
    let mut text = "[Resolve]\n".to_owned();
    let mut servers = Vec::new();
    if let Some(n) = f.get("nameservers") {
        let path = f.key("nameservers");
        for server in r.words(n, &path) {
            if server.value.contains('$') || is_server(&server.value) {
                servers.push(server.value);
            } else {
                r.error(server.spot, &path, "not an address", "e.g. `192.0.2.1`");
            }
        }
    }
    let mut domains: Vec<String> = f.line("domain", r).map(|d| d.value).into_iter().collect();
    if let Some(n) = f.get("searchdomains") {
        let mut seen: HashSet<String> = domains.iter().cloned().collect();
        for domain in r.words(n, &f.key("searchdomains")) {
            if seen.insert(domain.value.clone()) {
                domains.push(domain.value);
            }
        }
    }
    for (name, words) in [("DNS", servers), ("Domains", domains)] {
        if !words.is_empty() {
            text += &format!("{name}={}\n", words.join(" "));
        }
    }
    config
        .write_files
        .push(WriteFile::text(PATH, text, spot).at(spot));
    config.refreshes.push(At {
        spot,
        value: Refresh {
            unit: "systemd-resolved.service",
            verb: Verb::TryRestart,
            paths: vec![PATH.to_owned()],
        },
    });
}

/// An address, perhaps with an interface or a name for TLS behind it.
fn is_server(text: &str) -> bool {
    let address = text.split(['%', '#']).next().unwrap_or(text);
    address.parse::<std::net::IpAddr>().is_ok()
}
