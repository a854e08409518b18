//! What is on a partition.
#![no_main]

use init::fstype::{Content, probe};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    probe(data);
    let mut start = vec![0; 1024];
    start.extend_from_slice(data);
    start.resize(4096, 0);
    start[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
    if let Content::Ext4(ext4) = probe(&start) {
        ext4.grown(u64::MAX);
        ext4.grown(64 << 20);
    }
});
