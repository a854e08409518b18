//! Ignition's JSON and Butane's YAML: read, with what they refer to, and planned.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oem::ignition::{Language, read};
use oem::userdata::data_url;
use oem::userdata::fetch::{Absent, Fetch, Meter, Wanted};

/// Every URL has what was sent.
struct Mirror<'a>(&'a [u8]);

impl Fetch for Mirror<'_> {
    fn fetch(&mut self, _: &Wanted) -> Result<Vec<u8>, Absent> {
        Ok(self.0.to_vec())
    }
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    data_url::decode(&text);
    for language in [Language::Json, Language::Butane] {
        let read = read(&text, language, &mut Meter::new(&mut Mirror(data), 1 << 20));
        assert!(read.findings.len() < 1000);
        for unit in &read.config.units {
            assert!(!unit.value.name.value.contains('/'));
        }
        for file in &read.config.write_files {
            assert!(file.value.path.value.starts_with('/'));
        }
    }
});
