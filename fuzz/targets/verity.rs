//! Superblocks of verity devices.
#![no_main]

use init::verity::Superblock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(superblock) = Superblock::decode(data) {
        let _ = superblock.data_sectors();
        let line = superblock.table("254:1", "254:2", "00", &["restart_on_corruption"]);
        assert!(!line.contains('\n'));
        let again = Superblock::decode(&superblock.encode().expect("it was checked"));
        assert_eq!(again, Ok(superblock));
    }
});
