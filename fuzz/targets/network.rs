//! Network configuration of every format, told by itself and with its beginning, parsed, shown and written: every line
//! of a unit is a section, one setting, a comment or nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oem::cloudconfig::render;
use oem::network::{PREFIX, is_ours, parse, units};

/// How a text of each format begins.
const FORMATS: [&str; 5] = [
    "",
    "version: 1\nconfig:\n",
    "version: 2\n",
    "{\"links\": [",
    "auto lo\niface lo inet loopback\n",
];

fuzz_target!(|data: &[u8]| {
    for format in FORMATS {
        check(&[format.as_bytes(), data].concat());
    }
});

fn check(data: &[u8]) {
    let parsed = parse(data);
    render(
        "network-config",
        &String::from_utf8_lossy(data),
        &parsed.findings,
    );
    for unit in parsed.network.iter().flat_map(units) {
        assert!(
            is_ours(&unit.path) && unit.path.contains(PREFIX),
            "{}",
            unit.path
        );
        for line in unit.content.lines() {
            let section = line.starts_with('[') && line.ends_with(']');
            let setting = line.split_once('=').is_some_and(|(key, value)| {
                key.bytes().all(|b| b.is_ascii_alphanumeric())
                    && !value.is_empty()
                    && !value.chars().any(char::is_control)
            });
            assert!(
                section || setting || line.is_empty() || line.starts_with('#'),
                "{line:?}"
            );
        }
    }
}
