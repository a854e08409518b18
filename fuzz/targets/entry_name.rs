//! Names of boot entries and versions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use updater::bls::EntryName;
use updater::version::Version;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Some(name) = EntryName::parse(&text) {
        name.verdict();
        assert_eq!(EntryName::parse(&name.to_string()), Some(name));
    }
    if let Ok(version) = text.parse::<Version>() {
        assert_eq!(version.as_str(), text);
        version.partition_name();
    }
});
