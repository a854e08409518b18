//! Cases in `testdata/detect`: what `/` holds, and what is concluded. Run with
//! `UPDATE_EXPECTED=1` to write what is concluded now, then read the diff.

use super::*;
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;

fn testdata(dir: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(dir)
}

#[test]
fn cases() {
    let mut count = 0;
    for case in fs::read_dir(testdata("detect")).unwrap() {
        let case = case.unwrap().path();
        let (_, detection) = run(&case);
        let got = serde_json::to_string_pretty(&detection).unwrap() + "\n";
        let expected = case.join("expected.json");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, &got).unwrap();
        }
        assert_eq!(
            got,
            fs::read_to_string(&expected).unwrap_or_default(),
            "{}",
            case.display()
        );
        count += 1;
    }
    assert!(count > 20);
}

/// A root whose block devices are the images named.
fn with_disks(disks: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (device, image) in disks {
        let class = root.path().join("sys/class/block").join(device);
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join("size"), "2048\n").unwrap();
        fs::create_dir_all(root.path().join("dev")).unwrap();
        let packed = fs::File::open(testdata("media").join(format!("{image}.gz"))).unwrap();
        let mut out = fs::File::create(root.path().join("dev").join(device)).unwrap();
        std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut out).unwrap();
    }
    root
}

fn names(detection: &Detection) -> Vec<&str> {
    detection.candidates.iter().map(|c| c.provider).collect()
}

#[test]
fn labels_of_disks_and_partitions() {
    let root = with_disks(&[("sr0", "nocloud-both.iso"), ("sda1", "nocloud-fat12.img")]);
    let (evidence, detection) = run(root.path());
    let seen: Vec<_> = evidence
        .disks
        .iter()
        .map(|d| (d.device.as_str(), d.label.as_str(), d.kind.as_str()))
        .collect();
    assert_eq!(
        seen,
        [("sda1", "CIDATA", "vfat"), ("sr0", "cidata", "iso9660")]
    );
    assert_eq!(names(&detection), ["nocloud"]);
    let root = with_disks(&[("vdb", "cloudstack-plain.iso")]);
    assert_eq!(names(&run(root.path()).1), ["openstack"]);
}

#[test]
fn an_attached_disk_does_not_beat_the_platform() {
    let root = with_disks(&[("sr0", "nocloud-both.iso")]);
    let id = root.path().join("sys/class/dmi/id");
    fs::create_dir_all(&id).unwrap();
    fs::write(id.join("sys_vendor"), "Amazon EC2\n").unwrap();
    let (_, detection) = run(root.path());
    assert_eq!(names(&detection), ["ec2"]);
    assert_eq!(detection.passed[0].provider, "nocloud");
    // A provider we cannot ask is no reason to ignore the disk.
    fs::write(id.join("sys_vendor"), "innotek GmbH\n").unwrap();
    fs::write(id.join("product_name"), "VirtualBox\n").unwrap();
    assert_eq!(names(&run(root.path()).1), ["nocloud"]);
}

/// Those that tell by nothing but a drive, or by a pin, have no fingerprint of firmware.
#[test]
fn every_provider_has_a_fingerprint() {
    const BY_DRIVE_OR_PIN: [&str; 2] = ["host", "opennebula"];
    let mut seen = std::collections::BTreeSet::from(BY_DRIVE_OR_PIN);
    for case in fs::read_dir(testdata("detect")).unwrap() {
        let (_, detection) = run(&case.unwrap().path());
        seen.extend(detection.candidates.iter().map(|c| c.provider));
        // Recognised, though it cannot be asked.
        seen.extend(detection.passed.iter().map(|p| p.provider));
    }
    let missing: Vec<_> = PROVIDERS
        .iter()
        .map(|p| p.name)
        .filter(|n| !seen.contains(n))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn a_context_drive_is_a_hint() {
    let disk = Disk {
        device: "sr0".into(),
        label: "CONTEXT".into(),
        kind: "iso9660".into(),
    };
    let mut evidence = Evidence {
        disks: vec![disk],
        ..Evidence::default()
    };
    assert_eq!(names(&detect(&evidence)), ["opennebula"]);
    evidence.dmi.sys_vendor = "Vultr".into();
    assert_eq!(names(&detect(&evidence)), ["vultr"]);
}

#[test]
fn names_are_unique() {
    let mut seen = std::collections::BTreeSet::new();
    for provider in PROVIDERS {
        for name in std::iter::once(&provider.name).chain(provider.aliases) {
            assert!(seen.insert(name.to_ascii_lowercase()), "{name} twice");
        }
    }
}

proptest! {
    #[test]
    fn foreign_strings_never_panic(text in "\\PC{0,12}", serial in "\\PC{0,12}") {
        let dmi = Dmi {
            sys_vendor: text.clone(),
            product_name: text.clone(),
            product_uuid: text.clone(),
            chassis_asset_tag: text.clone(),
            bios_version: text.clone(),
            product_serial: serial,
            ..Dmi::default()
        };
        detect(&Evidence { dmi, hypervisor_uuid: text, ..Evidence::default() });
    }
}
