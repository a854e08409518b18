use super::*;
use crate::http::double::{Answer, ok, serve};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A root that looks like the provider with this SMBIOS vendor.
fn machine(vendor: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let id = dir.path().join("sys/class/dmi/id");
    fs::create_dir_all(&id).unwrap();
    fs::write(id.join("sys_vendor"), vendor).unwrap();
    fs::write(id.join("product_uuid"), "uuid-1").unwrap();
    dir
}

/// The double at `port` stands for what is at the metadata address; nothing else is
/// reached.
fn surroundings(port: Option<u16>) -> Surroundings {
    let to =
        |port: u16| Detour::default().with("169.254.169.254:80", ([127, 0, 0, 1], port).into());
    Surroundings {
        budget: Budget {
            drives: Duration::from_millis(100),
            online: Duration::from_millis(100),
            known: Duration::from_millis(900),
            unknown: Duration::from_millis(900),
            password: Duration::from_millis(900),
            report: Duration::from_millis(900),
        },
        detour: Some(port.map(to).unwrap_or_default()),
        addresses: || vec!["10.0.0.5".parse().unwrap()],
    }
}

fn network_stage(dir: &Path, surroundings: &Surroundings) -> Outcome {
    run(Stage::Network, &Root::open(dir).unwrap(), surroundings).unwrap()
}

const DEAD: Option<u16> = None;

#[test]
fn keeps_what_it_fetched_and_falls_back_to_it() {
    let double = serve(&[
        ("GET /latest/meta-data/instance-id", ok("i-1")),
        ("GET /latest/user-data", ok("#cloud-config\n")),
    ]);
    let dir = machine("Amazon EC2");
    let first = network_stage(dir.path(), &surroundings(Some(double.port)));
    let data = first.data.clone().unwrap();
    assert_eq!((data.origin, data.new_instance), (Origin::Fresh, true));
    assert!(!first.is_silent() && data.whole);
    for file in ["run/oem/user-data", "var/lib/oem/instances/i-1/user-data"] {
        let path = dir.path().join(file);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600,
            "{file}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"#cloud-config\n");
    }
    let environment = fs::read_to_string(dir.path().join("run/holdfast/metadata.env")).unwrap();
    assert!(
        environment.contains("HOLDFAST_INSTANCE_ID=\"i-1\"\n"),
        "{environment}"
    );
    let again = network_stage(dir.path(), &surroundings(Some(double.port)));
    assert!(!again.data.unwrap().new_instance);

    let silent = network_stage(dir.path(), &surroundings(DEAD));
    assert!(silent.is_silent());
    let kept = silent.data.unwrap();
    assert_eq!(
        (kept.origin, &kept.fetched),
        (Origin::Cached, &data.fetched)
    );
    assert_eq!(kept.fetched.metadata.private_ipv4, "10.0.0.5".parse().ok());
    assert!(
        silent.warnings.iter().any(|w| w.contains("copy kept")),
        "{:?}",
        silent.warnings
    );

    // The same disk in another machine.
    fs::write(dir.path().join("sys/class/dmi/id/product_uuid"), "uuid-2").unwrap();
    assert_eq!(network_stage(dir.path(), &surroundings(DEAD)).data, None);
}

#[test]
fn hostile_instance_ids_stay_in_their_directory() {
    for id in ["../../../etc", ".", "a/b", "x y"] {
        let double = serve(&[("GET /latest/meta-data/instance-id", ok(id))]);
        let dir = machine("Amazon EC2");
        let outcome = network_stage(dir.path(), &surroundings(Some(double.port)));
        assert!(outcome.data.is_some());
        let names: Vec<_> = fs::read_dir(dir.path().join("var/lib/oem/instances"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 1, "{id}");
        assert!(
            names[0].len() == 32 && names[0].bytes().all(|b| b.is_ascii_hexdigit()),
            "{names:?}"
        );
    }
}

#[test]
fn silence_ends_with_the_budget() {
    let double = serve(&[
        ("PUT /latest/api/token", Answer::Silent),
        ("GET /openstack/latest/meta_data.json", Answer::Silent),
    ]);
    for (vendor, known) in [("Amazon EC2", true), ("QEMU", false)] {
        let dir = machine(vendor);
        let start = std::time::Instant::now();
        let outcome = network_stage(dir.path(), &surroundings(Some(double.port)));
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
        assert_eq!((outcome.data, outcome.detection.is_known()), (None, known));
        assert!(!outcome.attempts.is_empty());
    }
}

#[test]
fn rivals_are_ranked() {
    // Both answer; EC2's paths faster.
    let slow = Answer::Slow(Duration::from_millis(300), br#"{"uuid":"u1"}"#.to_vec());
    let double = serve(&[
        ("GET /openstack/latest/meta_data.json", slow),
        ("GET /latest/meta-data/instance-id", ok("i-1")),
    ]);
    let dir = machine("QEMU");
    let outcome = network_stage(dir.path(), &surroundings(Some(double.port)));
    assert_eq!(outcome.data.unwrap().fetched.provider, "openstack");
    assert_eq!(outcome.attempts.iter().filter(|a| a.used).count(), 1);
}

#[test]
fn drives_need_no_network() {
    let dir = machine("QEMU");
    fs::create_dir_all(dir.path().join("sys/class/block/sr0")).unwrap();
    fs::create_dir_all(dir.path().join("dev")).unwrap();
    let packed = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/testdata/media/nocloud-both.iso.gz"
    );
    let mut image = flate2::read::GzDecoder::new(fs::File::open(packed).unwrap());
    std::io::copy(
        &mut image,
        &mut fs::File::create(dir.path().join("dev/sr0")).unwrap(),
    )
    .unwrap();
    let root = Root::open(dir.path()).unwrap();
    let surroundings = Surroundings {
        addresses: Vec::new,
        ..surroundings(DEAD)
    };
    for stage in [Stage::Local, Stage::Network] {
        let outcome = run(stage, &root, &surroundings).unwrap();
        assert_eq!(outcome.data.unwrap().fetched.provider, "nocloud");
    }
    // Where there is a network, it tells our address.
    let surroundings = Surroundings {
        addresses: || vec!["10.0.0.5".parse().unwrap()],
        ..surroundings
    };
    for (stage, address) in [
        (Stage::Local, None),
        (Stage::Network, "10.0.0.5".parse().ok()),
    ] {
        let outcome = run(stage, &root, &surroundings).unwrap();
        assert_eq!(outcome.data.unwrap().fetched.metadata.private_ipv4, address);
    }
}

#[test]
fn the_local_stage_does_not_wait() {
    let dir = machine("Amazon EC2");
    let start = std::time::Instant::now();
    let outcome = run(
        Stage::Local,
        &Root::open(dir.path()).unwrap(),
        &surroundings(DEAD),
    )
    .unwrap();
    assert!(start.elapsed() < Duration::from_millis(100));
    assert_eq!(outcome.data, None);
}

#[test]
fn guesses_wait_for_ipv4_but_not_forever() {
    let double = serve(&[("GET /latest/meta-data/instance-id", ok("i-1"))]);
    let mut surroundings = surroundings(Some(double.port));
    surroundings.budget.online = Duration::from_secs(60);
    surroundings.budget.unknown = Duration::from_millis(600);
    surroundings.addresses = || vec!["2001:db8::5".parse().unwrap()];
    for (vendor, waits) in [("Amazon EC2", false), ("QEMU", true)] {
        let dir = machine(vendor);
        let start = std::time::Instant::now();
        let outcome = network_stage(dir.path(), &surroundings);
        assert!(outcome.data.is_some(), "{vendor}: {:?}", outcome.attempts);
        assert_eq!(
            start.elapsed() >= Duration::from_millis(600),
            waits,
            "{vendor}"
        );
        assert!(start.elapsed() < Duration::from_secs(10), "{vendor}");
    }
}
