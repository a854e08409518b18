//! Every folder in `testdata/network` is a text (`input`) and what comes of it:
//! `units` (every file with its path) and `findings`. Run with
//! `UPDATE_EXPECTED=1` to write what is made now, then read the diff.

use super::*;
use crate::cloudconfig::render;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn shown(parsed: &Parsed) -> String {
    let format = parsed.format.map_or("none".to_owned(), |f| f.to_string());
    let files = parsed.network.iter().flat_map(units);
    let files: String = files
        .map(|u| format!("\n==> {} (line {})\n{}", u.path, u.line, u.content))
        .collect();
    format!("format: {format}\n{files}")
}

#[test]
fn cases() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/network");
    let mut count = 0;
    for case in fs::read_dir(dir).unwrap() {
        let case = case.unwrap().path();
        let input = fs::read(case.join("input")).unwrap();
        let parsed = parse(&input);
        assert_eq!(parsed, parse(&input), "{}", case.display());
        let text = String::from_utf8_lossy(&input);
        for (name, got) in [
            ("units", shown(&parsed)),
            ("findings", render("input", &text, &parsed.findings)),
        ] {
            let path = case.join(name);
            if std::env::var_os("UPDATE_EXPECTED").is_some() {
                fs::write(&path, &got).unwrap();
            }
            let want = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(got, want, "{}", path.display());
        }
        count += 1;
    }
    assert!(count >= 20);
}

/// Every line is a section, a setting of one line, a comment or nothing.
fn assert_sound(parsed: &Parsed) {
    for unit in parsed.network.iter().flat_map(units) {
        let name = unit.path.rsplit('/').next().unwrap();
        assert!(
            name.starts_with(PREFIX) && name.is_ascii() && name.len() < 128,
            "{name}"
        );
        for line in unit.content.lines() {
            let section = line.starts_with('[') && line.ends_with(']');
            let setting = line.split_once('=').is_some_and(|(k, v)| {
                k.bytes().all(|b| b.is_ascii_alphanumeric())
                    && !v.is_empty()
                    && !v.ends_with('\\')
                    && !v.chars().any(char::is_control)
            });
            assert!(
                section || setting || line.is_empty() || line.starts_with('#'),
                "{line:?}"
            );
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_taken(text in any::<String>()) {
        assert_sound(&parse(text.as_bytes()));
    }

    #[test]
    fn yaml_never_panics(text in "(network:|version: [12]|ethernets:|vlans:|bonds:|config:|subnets:|params:|addresses:|routes:|match:|type: (physical|bond|vlan|static)|name: eth0|10\\.0\\.0\\.1/24|id: 5|link: eth0|links:|networks:|[-:?&*{}\\[\\],'\" \n]|  |eth0|é|\\\\){0,40}") {
        assert_sound(&parse(text.as_bytes()));
    }

    #[test]
    fn interfaces_never_panic(text in "(auto lo\n)?(iface (eth0|bond0|eth0.5|br0|eth0:1) inet6? (static|dhcp|manual|auto)\n|  (address|netmask|gateway|bond-slaves|bridge-ports|vlan-raw-device|post-up|hwaddress|mtu) (10\\.0\\.0\\.1|fd00::1/64|eth0|ip route add default via 10.0.0.9|route add -net 10.0.0.0 netmask 255.0.0.0 gw 10.0.0.9|[a-z0-9 :\\\\é]{0,9})\n){0,12}") {
        assert_sound(&parse(text.as_bytes()));
    }

    #[test]
    fn damaged_testdata_never_panics(which in 0usize..64, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/network");
        let mut cases: Vec<_> = fs::read_dir(dir).unwrap().map(|c| c.unwrap().path()).collect();
        cases.sort();
        let mut input = fs::read(cases[which % cases.len()].join("input")).unwrap();
        if !input.is_empty() {
            let at = at.index(input.len());
            input[at] = byte;
        }
        assert_sound(&parse(&input));
    }
}
