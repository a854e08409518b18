//! Documents of metadata services and configuration drives: the first byte of each
//! zero-terminated piece is the number of a document, the rest its content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oem::source::{Raw, parse_all};

const NAMES: [&str; 29] = [
    "meta_data.json",
    "network_data.json",
    "vendor_data.json",
    "user_data",
    "ec2.json",
    "meta-data",
    "network-config",
    "user-data",
    "instance-id",
    "local-hostname",
    "local-ipv4",
    "public-ipv4",
    "public-keys",
    "public-keys/",
    "public-keys/0/openssh-key",
    "instance-type",
    "all.json",
    "v1.json",
    "instance.json",
    "ovf-env.xml",
    "vm-password",
    "meta-data/",
    "meta-data/instance-id",
    "meta-data/local-hostname",
    "meta-data/public-keys/",
    "meta-data/public-keys/0/openssh-key",
    "vendor-data",
    "vm-id",
    "ami-id",
];

fuzz_target!(|data: &[u8]| {
    let mut raw = Raw::new();
    for piece in data.split(|b| *b == 0) {
        if let Some((which, content)) = piece.split_first() {
            let name = NAMES[usize::from(*which) % NAMES.len()];
            raw.insert(name.into(), content.to_vec());
        }
    }
    for found in parse_all(&raw) {
        assert!(
            found
                .fetched
                .metadata
                .hostname
                .is_none_or(|h| !h.contains('\n'))
        );
    }
});
