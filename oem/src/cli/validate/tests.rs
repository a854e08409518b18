//! Every folder in `testdata/validate` has `user-data`, perhaps `metadata.json`, and
//! all that is printed about it: `text` for people, `json` for programs.
//! `UPDATE_EXPECTED=1` writes these anew; then read the diff.

use super::*;
use std::fs;
use std::path::{Path, PathBuf};

fn expect(path: &Path, got: &str) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(path, got).unwrap();
    }
    let want = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(got, want, "{}", path.display());
}

#[test]
fn testdata() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/validate");
    let mut cases: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        let bytes = fs::read(case.join("user-data")).unwrap();
        let metadata = fs::read(case.join("metadata.json")).ok();
        let metadata = metadata.map_or_else(Metadata::default, |json| {
            serde_json::from_slice(&json).unwrap()
        });
        let checked = check(&bytes, &metadata, &mut Offline);
        expect(&case.join("text"), &checked.text("user-data", false));
        let json = serde_json::to_string_pretty(&checked.json("user-data", false)).unwrap();
        expect(&case.join("json"), &(json + "\n"));
    }
}

#[test]
fn strict_counts_warnings() {
    let bytes = b"#cloud-config\nhostnme: a\n";
    let checked = check(bytes, &Metadata::default(), &mut Offline);
    assert!(checked.is_valid(false) && !checked.is_valid(true));
    assert!(
        checked
            .text("f", false)
            .ends_with("valid, 0 errors, 1 warning\n")
    );
}
