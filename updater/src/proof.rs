//! `ATTACKS.md` names tests that exist, and leaves no row out.

use std::collections::BTreeSet;
use std::path::Path;

/// Names of functions below a folder.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let after = text.split("fn ").skip(1);
            let names = after.filter_map(|rest| rest.split_once('(').map(|(name, _)| name));
            found.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn every_attack_and_fault_has_tests_that_exist() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    functions(&here.join("src"), &mut found);
    let text = std::fs::read_to_string(here.join("ATTACKS.md")).unwrap();
    let mut rows = BTreeSet::new();
    for line in text.lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let Some(row) = cells.next().filter(|row| row.starts_with(['A', 'F'])) else {
            continue;
        };
        let tests: Vec<&str> = cells
            .nth(2)
            .unwrap()
            .split('`')
            .filter(|t| !t.trim().is_empty())
            .collect();
        assert!(!tests.is_empty(), "{row}");
        for test in tests {
            assert!(found.contains(test), "{row}: there is no test {test}");
        }
        rows.insert(row.to_owned());
    }
    let attacks = (1..=13).chain(16..=19).map(|n| format!("A{n}"));
    let all: BTreeSet<String> = attacks.chain((1..=16).map(|n| format!("F{n}"))).collect();
    assert_eq!(rows, all);
}
