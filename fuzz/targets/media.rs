//! ISO 9660 and FAT: changes to images of the test data; the first byte chooses one.
#![no_main]

use flate2::read::GzDecoder;
use fuzz::Patched;
use libfuzzer_sys::fuzz_target;
use oem::media::Volume;
use std::io::{Read, Seek};
use std::sync::LazyLock;

static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let packed: [&[u8]; 7] = [
        include_bytes!("../../oem/testdata/media/cloudstack-plain.iso.gz"),
        include_bytes!("../../oem/testdata/media/nocloud-both.iso.gz"),
        include_bytes!("../../oem/testdata/media/openstack-joliet.iso.gz"),
        include_bytes!("../../oem/testdata/media/openstack-rockridge.iso.gz"),
        include_bytes!("../../oem/testdata/media/nocloud-fat12.img.gz"),
        include_bytes!("../../oem/testdata/media/nocloud-fat16.img.gz"),
        include_bytes!("../../oem/testdata/media/nocloud-fat32.img.gz"),
    ];
    let unpack = |bytes: &[u8]| {
        let mut image = Vec::new();
        GzDecoder::new(bytes)
            .read_to_end(&mut image)
            .expect("test data");
        image
    };
    packed.into_iter().map(unpack).collect()
});

/// Everything a few levels deep; loops between folders end there.
fn walk(volume: &mut Volume<impl Read + Seek>, path: &str, depth: usize) {
    let Ok(Some(entries)) = volume.list(path) else {
        return;
    };
    for entry in entries.into_iter().take(16) {
        let path = format!("{path}/{}", entry.name);
        if entry.dir && depth > 0 {
            walk(volume, &path, depth - 1);
        } else if let Ok(Some(bytes)) = volume.read(&path, 1 << 20) {
            assert!(bytes.len() <= 1 << 20);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((which, changes)) = data.split_first() else {
        return;
    };
    let image = &IMAGES[usize::from(*which) % IMAGES.len()];
    if let Ok(mut volume) = Volume::open(Patched::new(image, changes)) {
        walk(&mut volume, "", 3);
    }
});
