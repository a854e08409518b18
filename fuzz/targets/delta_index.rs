//! Indexes of patches.
#![no_main]

use libfuzzer_sys::fuzz_target;
use updater::delta::index::Index;

fuzz_target!(|data: &[u8]| {
    if let Ok(index) = Index::decode(data) {
        let again = Index::decode(&index.encode()).expect("what we write, we read");
        assert_eq!(again.encode(), index.encode());
        let mut plain = 0;
        for number in 0..index.len() {
            assert_eq!(index.offset(number), plain);
            assert!(index.frame(number).end <= index.data_len());
            plain += index.plain_len(number) as u64;
        }
        assert_eq!(plain, index.size());
    }
});
