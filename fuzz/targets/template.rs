//! A Jinja template: filled in with instance data, in bounded time and memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oem::metadata::Metadata;
use oem::userdata::{Around, Content, Offline, open};

fuzz_target!(|data: &[u8]| {
    let text = [b"## template: jinja\n#cloud-config\n", data].concat();
    let metadata = Metadata {
        hostname: Some("web".into()),
        ssh_keys: vec!["ssh-ed25519 AAAA".into(), "ssh-rsa BBBB".into()],
        ..Metadata::default()
    };
    for part in open(&text, &mut Around::new(&metadata, &mut Offline)) {
        if let Content::Refused(refusal) = &part.content {
            assert!(!refusal.what.is_empty());
        }
    }
});
