//! Each wrapping of user-data by itself: the first byte tells which, the rest is in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oem::metadata::Metadata;
use oem::userdata::mime::{decode, entity, split};
use oem::userdata::{Around, Offline, archive, data_url, include, open};
use std::io::Write as _;

fuzz_target!(|data: &[u8]| {
    let Some((which, inner)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(inner);
    let bytes = match which % 6 {
        0 => {
            let header = b"Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\n--b\n";
            [header, inner].concat()
        }
        1 => [b"#cloud-config-archive\n", inner].concat(),
        2 => [b"#include\n", inner].concat(),
        3 => {
            let level = flate2::Compression::fast();
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
            packer.write_all(inner).expect("memory takes it");
            packer.finish().expect("memory takes it")
        }
        4 => [b"\x1f\x8b\x08", inner].concat(),
        _ => [b"\xef\xbb\xbf", inner].concat(),
    };
    let metadata = Metadata::default();
    assert!(open(&bytes, &mut Around::new(&metadata, &mut Offline)).len() <= 257);
    archive::read(&text);
    include::read(&text, true);
    data_url::decode(&text);
    if let Ok(entity) = entity(inner) {
        let _ = split(entity.body, "b").map(|m| m.entities.len());
        for encoding in ["base64", "quoted-printable"] {
            let _ = decode(encoding, entity.body);
        }
    }
});
