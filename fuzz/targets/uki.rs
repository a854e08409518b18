//! Unified kernel images.
#![no_main]

use libfuzzer_sys::fuzz_target;
use updater::uki;

fuzz_target!(|data: &[u8]| {
    if let Ok(sections) = uki::sections(data) {
        for section in sections {
            assert!(section.offset + section.len <= data.len() as u64);
            let _ = uki::text(data, &section.name);
        }
    }
});
