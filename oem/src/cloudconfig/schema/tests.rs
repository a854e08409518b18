//! The tables of keys against the parser, and against what is printed of them.
//! `UPDATE_EXPECTED=1` writes KEYS.md and the schema anew.

use super::checker::{check, value_of};
use super::*;
use crate::cloudconfig::node::{Kind, Node};
use crate::cloudconfig::{parse, render};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

#[test]
fn no_key_is_in_the_tables_twice() {
    let mut seen = HashSet::new();
    for key in keys() {
        assert!(seen.insert(key.name.to_owned()), "{}", key.name);
        assert!(!key.about.is_empty(), "{}", key.name);
        assert!(!key.kind.to_string().is_empty(), "{}", key.name);
    }
    for (name, instead) in refused() {
        assert!(seen.insert(name.clone()), "{name}");
        assert!(!instead.is_empty(), "{name}");
    }
}

#[test]
fn names_are_those_of_one_level() {
    assert_eq!(
        names(units::SECTION.keys, "coreos.units[].drop_ins[]."),
        ["name", "content"]
    );
    assert_eq!(names(ssh_keys::SECTION.keys, ""), ["ssh_authorized_keys"]);
}

#[test]
fn every_table_is_a_key() {
    let all: HashSet<&str> = keys().map(|k| k.name).collect();
    for key in keys() {
        if let Some((table, _)) = key.name.rsplit_once('.') {
            let table = table.trim_end_matches("[]").trim_end_matches(".*");
            assert!(table == "coreos" || all.contains(table), "{table}");
        }
    }
}

fn example(section: &Section) -> String {
    format!("#cloud-config\n{}", section.example)
}

#[test]
fn every_example_is_applied_without_a_word() {
    for section in sections() {
        let text = example(section);
        let (_, findings) = parse(&text);
        assert!(
            findings.is_empty(),
            "{}",
            render(section.title, &text, &findings)
        );
    }
}

/// Names of all keys in a text, as the tables write them.
fn names_in(node: &Node, path: &str, out: &mut HashSet<String>) {
    match &node.kind {
        Kind::Map(entries) => {
            let free = keys().any(|k| k.name.starts_with(&format!("{path}.*.")));
            for (key, value) in entries {
                let Kind::Scalar { text, .. } = &key.kind else {
                    continue;
                };
                let name = if free { "*" } else { text };
                let name = match path {
                    "" => name.to_owned(),
                    path => format!("{path}.{name}"),
                };
                names_in(value, &name, out);
                out.insert(name);
            }
        }
        Kind::Seq(items) => items
            .iter()
            .for_each(|i| names_in(i, &format!("{path}[]"), out)),
        Kind::Scalar { .. } => {}
    }
}

#[test]
fn every_key_is_in_an_example() {
    for section in sections() {
        let root = super::super::parse_yaml(&example(section), &mut Vec::new()).unwrap();
        let mut there = HashSet::new();
        if let Some(root) = root {
            names_in(&root, "", &mut there);
        }
        for key in section.keys {
            let wanted = key.fate != Fate::NotApplied;
            assert_eq!(there.contains(key.name), wanted, "{}", key.name);
        }
    }
}

#[test]
fn what_is_not_applied_is_warned_about() {
    let value = |key: &Key| match key.kind {
        Type::Map(_) | Type::Names(_) | Type::Table => "{}",
        _ => "x",
    };
    for key in keys().filter(|k| k.fate == Fate::NotApplied) {
        let mut text = value(key).to_owned();
        for (i, word) in key.name.rsplit('.').enumerate() {
            // What else a table must have does not matter here.
            text = match word.strip_suffix("[]") {
                Some(word) => format!("{{{word}: [{text}]}}"),
                None => format!("{{{word}: {text}}}"),
            };
            assert!(i < 8);
        }
        let extra = match key.name.starts_with("resolv_conf.") {
            true => text.replacen('{', "{manage_resolv_conf: true, ", 1),
            false => text,
        };
        let (_, findings) = parse(&format!("#cloud-config\n{extra}\n"));
        let name = key.name.replace("[]", "[0]");
        let found = findings.iter().any(|d| d.key == name && !d.is_error());
        assert!(found, "{name}: {findings:?}");
    }
}

/// What the schema refuses must have a finding at the same place.
fn compare(what: &str, text: &str, schema: &serde_json::Value) -> usize {
    let Ok(Some(root)) = super::super::parse_yaml(text, &mut Vec::new()) else {
        return 0;
    };
    let mut faults = Vec::new();
    check(schema, schema, &value_of(&root), "", &mut faults);
    let (_, findings) = parse(text);
    for fault in &faults {
        let at = fault.replace('-', "_");
        let told = findings.iter().any(|d| {
            let key = d.key.replace('-', "_");
            key.starts_with(&at) || at.starts_with(&key)
        });
        assert!(told, "{what}: {fault}: {findings:?}");
    }
    faults.len()
}

#[test]
fn the_schema_takes_what_the_parser_takes() {
    let schema = json_schema();
    for section in sections() {
        assert_eq!(compare(section.title, &example(section), &schema), 0);
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/apply");
    let mut refused = 0;
    for case in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        let text = fs::read_to_string(case.join("user-data")).unwrap_or_default();
        if text.starts_with("#cloud-config\n") {
            refused += compare(&case.display().to_string(), &text, &schema);
        }
    }
    assert!(refused > 20, "only {refused}");
}

#[test]
fn the_schema_refuses_what_is_mistyped() {
    let schema = json_schema();
    for (text, want) in [
        ("hostnme: a", "hostnme"),
        ("users: [{name: a, shel: b}]", "users[0]"),
        ("users: [{gecos: a}]", "users[0]"),
        (
            "coreos: {units: [{name: a.service, command: strat}]}",
            "coreos.units[0].command",
        ),
        (
            "coreos: {update: {reboot-strategie: off}}",
            "coreos.update.reboot-strategie",
        ),
        ("write-files: {}", "write-files"),
        ("power_state: {mode: [reboot]}", "power_state.mode"),
        ("swap: 1G", "swap"),
    ] {
        let root = super::super::parse_yaml(text, &mut Vec::new())
            .unwrap()
            .unwrap();
        let mut faults = Vec::new();
        check(&schema, &schema, &value_of(&root), "", &mut faults);
        assert_eq!(faults, [want], "{text}");
    }
}

#[test]
fn the_files_are_what_is_printed() {
    let schema = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    for (name, text) in [
        ("KEYS.md", markdown()),
        ("cloud-config.schema.json", schema),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == text,
            "{name} is not what `oem schema` prints: run this test with UPDATE_EXPECTED=1"
        );
    }
}

#[test]
fn links_of_the_document_lead_somewhere() {
    let text = markdown();
    let anchors: HashSet<String> = text
        .lines()
        .filter_map(|l| l.trim_start_matches('#').strip_prefix(' '))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    for link in text.split("](#").skip(1) {
        let link = link.split(')').next().unwrap();
        assert!(anchors.contains(link), "{link}");
    }
}
