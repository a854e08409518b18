//! Kernel modules: ELF files and the names in them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = image_build::boot::modules::parse(data);
    image_build::finalize::modules::try_modinfo(data);
});
