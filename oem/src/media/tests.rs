//! Images made by genisoimage, mkfs.fat and mcopy, compressed in testdata.

use super::*;
use proptest::prelude::*;
use std::io::Cursor;

const LIMIT: u64 = 1 << 20;

fn image(name: &str) -> Vec<u8> {
    let path = format!("{}/testdata/media/{name}.gz", env!("CARGO_MANIFEST_DIR"));
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_end(&mut out)
        .unwrap();
    out
}

fn open(name: &str) -> Volume<Cursor<Vec<u8>>> {
    Volume::open(Cursor::new(image(name))).unwrap()
}

fn text(volume: &mut Volume<Cursor<Vec<u8>>>, path: &str) -> String {
    String::from_utf8(volume.read(path, LIMIT).unwrap().unwrap()).unwrap()
}

#[test]
fn iso_with_rock_ridge_and_joliet() {
    let mut v = open("nocloud-both.iso");
    assert_eq!((v.label(), v.kind()), ("cidata", "iso9660"));
    assert!(text(&mut v, "user-data").starts_with("#cloud-config"));
    assert_eq!(
        text(&mut v, "network-config"),
        "version: 2\nethernets: {}\n"
    );
    assert_eq!(v.read("vendor-data", LIMIT).unwrap(), None);
}

#[test]
fn iso_with_one_scheme_only() {
    for name in ["openstack-rockridge.iso", "openstack-joliet.iso"] {
        let mut v = open(name);
        assert_eq!(v.label(), "config-2", "{name}");
        assert!(
            text(&mut v, "/openstack/latest/meta_data.json").contains("83679162"),
            "{name}"
        );
        let mut versions: Vec<_> = v
            .list("openstack")
            .unwrap()
            .unwrap()
            .into_iter()
            .map(|e| e.name)
            .collect();
        versions.sort();
        assert_eq!(versions, ["2015-10-15", "content", "latest"], "{name}");
    }
}

#[test]
fn rock_ridge_name_over_a_continuation_area() {
    let mut v = open("openstack-rockridge.iso");
    let name = format!("{}x", "long-".repeat(40));
    assert_eq!(text(&mut v, &format!("openstack/content/{name}")), "long\n");
}

#[test]
fn plain_iso_ignores_case() {
    let mut v = open("cloudstack-plain.iso");
    assert_eq!(v.label(), "CONFIG-2");
    assert_eq!(
        text(&mut v, "cloudstack/metadata/instance_id.txt"),
        "i-cs-1"
    );
    assert!(text(&mut v, "CLOUDSTACK/userdata/user_data.txt").starts_with('#'));
}

#[test]
fn fat_of_every_width_with_long_names() {
    for name in [
        "nocloud-fat12.img",
        "nocloud-fat16.img",
        "nocloud-fat32.img",
    ] {
        let mut v = open(name);
        assert_eq!((v.label(), v.kind()), ("CIDATA", "vfat"), "{name}");
        assert!(
            text(&mut v, "meta-data").starts_with("instance-id: iid-local01"),
            "{name}"
        );
        let deep = "Long directory name with ünïcode/a rather long file name.yaml";
        assert!(text(&mut v, deep).contains("nocloud.example.org"), "{name}");
        assert_eq!(
            v.read("big.bin", LIMIT).unwrap().unwrap(),
            vec![b'x'; 70_000],
            "{name}"
        );
    }
}

#[test]
fn udf_alone() {
    let mut v = open("azure-udf.iso");
    assert_eq!((v.label(), v.kind()), ("rd_rdfe_stable", "udf"));
    assert!(text(&mut v, "ovf-env.xml").contains("<ns1:HostName>stack1<"));
    let deep = "folder/a file with spaces and a long name.txt";
    assert_eq!(text(&mut v, deep), "deep\n");
    assert_eq!(text(&mut v, "ünï.txt"), "ä");
    let large = v.read("large.bin", LIMIT).unwrap().unwrap();
    assert_eq!(large, vec![b'x'; 70_000]);
    assert_eq!(v.read("absent", LIMIT).unwrap(), None);
    assert!(v.list("folder").unwrap().is_some() && v.list("ovf-env.xml").unwrap().is_none());
}

#[test]
fn limits_and_strangers() {
    let mut v = open("nocloud-fat12.img");
    assert!(matches!(
        v.read("big.bin", 1000),
        Err(MediaError::TooLarge { size: 70_000, .. })
    ));
    for image in [vec![], vec![0; 65536], vec![0xff; 65536]] {
        assert!(matches!(
            Volume::open(Cursor::new(image)),
            Err(MediaError::Unknown)
        ));
    }
}

/// Walks everything reachable to a small depth.
fn walk(v: &mut Volume<Cursor<Vec<u8>>>, path: &str, depth: u8) {
    let Ok(Some(entries)) = v.list(path) else {
        return;
    };
    for entry in entries.iter().take(20) {
        let child = format!("{path}/{}", entry.name);
        if entry.dir && depth > 0 {
            walk(v, &child, depth - 1);
        } else {
            let _ = v.read(&child, LIMIT);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn damaged_images_never_panic(
        which in 0usize..6,
        hits in proptest::collection::vec((0.0f64..1.0, any::<u8>()), 1..60),
        cut in 0.5f64..1.0,
    ) {
        // Damage where structures are: descriptors, directories, tables.
        let (name, from, to) = [
            ("nocloud-both.iso", 0x8000, 0x10000),
            ("openstack-rockridge.iso", 0x8000, 0x10000),
            ("nocloud-fat12.img", 0, 0x4000),
            ("nocloud-fat12.img", 0, 0x40),
            ("azure-udf.iso", 0x10000, 0x13000),
            ("azure-udf.iso", 0x80800, 0x86000),
        ][which];
        let mut bytes = image(name);
        for (at, value) in hits {
            let at = from + ((to - from) as f64 * at) as usize;
            bytes[at] = value;
        }
        bytes.truncate((bytes.len() as f64 * cut) as usize);
        if let Ok(mut v) = Volume::open(Cursor::new(bytes)) {
            walk(&mut v, "", 3);
        }
    }
}
