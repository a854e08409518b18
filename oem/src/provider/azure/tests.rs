use super::report::Goal;
use super::*;
use crate::http::Detour;
use crate::http::double::{Answer, ok, serve};
use crate::metadata::Metadata;
use crate::net::Wake;
use crate::provider::Verdict;
use std::time::Duration;

const GOAL: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><GoalState xmlns:xsi=\"x\">\
    <Version>2012-11-30</Version><Incarnation>3</Incarnation><Machine><ExpectedState>Started</ExpectedState></Machine>\
    <Container><ContainerId>c-1</ContainerId><RoleInstanceList><RoleInstance><InstanceId>i-1</InstanceId>\
    <State>Started</State></RoleInstance></RoleInstanceList></Container></GoalState>";

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

#[test]
fn keys_with_line_ends_in_their_midst() {
    let broken = "ssh-ed25519 AAAAC3NzaC1lZDI1\r\nNTE5AAAAIDrLcTvqjRUA a\r\n";
    assert_eq!(
        unbroken(broken),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDrLcTvqjRUA a"
    );
    let two = "ssh-ed25519 AAAA a\nssh-rsa BBBB b\n";
    assert_eq!(unbroken(two), "ssh-ed25519 AAAA a\nssh-rsa BBBB b");
}

#[test]
fn health_names_the_goal_and_hides_no_markup() {
    let goal = Goal::parse(GOAL).unwrap();
    let ready = goal.health(None);
    for part in [
        "<GoalStateIncarnation>3<",
        "<ContainerId>c-1<",
        "<InstanceId>i-1<",
        "<State>Ready</State></Health>",
    ] {
        assert!(ready.contains(part), "{part}: {ready}");
    }
    let failed = goal.health(Some(&format!("a < b & \n{}", "x".repeat(1000))));
    let texts = xml::texts(&failed).unwrap();
    assert_eq!(texts["State"], "NotReady");
    assert_eq!(texts["SubStatus"], "ProvisioningFailed");
    assert!(texts["Description"].starts_with("a < b &  xxx"), "{failed}");
    assert_eq!(texts["Description"].len(), 512);
    assert!(Goal::parse("<GoalState><Incarnation>1</Incarnation></GoalState>").is_err());
}

/// The wireserver of a lease; it is slow to come up.
#[test]
fn success_and_failure_are_told_once() {
    let double = serve(&[
        (
            "GET /machine/?comp=goalstate",
            Answer::Flaky(1, GOAL.as_bytes().to_vec()),
        ),
        ("POST /machine?comp=health", ok("")),
    ]);
    let root = tempfile::tempdir().unwrap();
    let leases = root.path().join("run/systemd/netif/leases");
    fs::create_dir_all(&leases).unwrap();
    fs::write(leases.join("2"), "ADDRESS=10.0.0.4\nOPTION_245=a83f8111\n").unwrap();
    let scene = Scene {
        root: root.path().to_owned(),
        ..Scene::default()
    };
    let detour = Detour::default().with("168.63.129.17:80", ([127, 0, 0, 1], double.port).into());
    let metadata = Metadata::default();
    for (first, wrong, told) in [
        (true, None, Some("Ready")),
        (true, Some("unit x"), Some("NotReady")),
        (false, Some("unit x"), None),
    ] {
        let verdict = Verdict {
            metadata: &metadata,
            wrong,
            first,
        };
        let answer = run(async {
            let http = Http::new(Wake::never())
                .unwrap()
                .detoured(Some(detour.clone()));
            let deadline = Instant::now() + Duration::from_secs(20);
            report::send(&scene, &http, &verdict, deadline)
                .await
                .unwrap()
        });
        assert_eq!(answer.as_ref().and_then(|a| a.split(' ').next()), told);
    }
    assert_eq!(
        double
            .seen
            .lock()
            .unwrap()
            .iter()
            .filter(|s| s.starts_with("POST"))
            .count(),
        2
    );
}

/// At the second boot the CD is gone.
#[test]
fn custom_data_outlives_its_cd() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("var/lib/oem/instances/vm-1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("user-data"), "#cloud-config\n").unwrap();
    let scene = Scene {
        root: root.path().to_owned(),
        ..Scene::default()
    };
    let raw = Raw::from([(
        INSTANCE.to_owned(),
        br#"{"compute":{"vmId":"vm-1"}}"#.to_vec(),
    )]);
    for (from, is_kept) in [("provisioning-cd", true), ("elsewhere", false)] {
        let json = serde_json::json!({"metadata": {"attributes": {"user-data-from": from}}});
        fs::write(folder.join("metadata.json"), json.to_string()).unwrap();
        assert_eq!(kept(&scene, &raw).is_some(), is_kept, "{from}");
    }
}

/// What Azure attaches is UDF, in a drive for CDs.
#[test]
fn only_a_cd_is_believed() {
    let root = tempfile::tempdir().unwrap();
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/testdata/media/azure-udf.iso.gz"
    );
    let mut image = flate2::read::GzDecoder::new(File::open(path).unwrap());
    for (device, kind) in [("sda", "0"), ("sr0", "5")] {
        let class = root.path().join("sys/class/block").join(device);
        fs::create_dir_all(class.join("device")).unwrap();
        fs::write(class.join("size"), "1876\n").unwrap();
        fs::write(class.join("device/type"), format!("{kind}\n")).unwrap();
    }
    fs::create_dir(root.path().join("dev")).unwrap();
    let disk = root.path().join("dev/sda");
    std::io::copy(&mut image, &mut File::create(&disk).unwrap()).unwrap();
    let scene = || Scene {
        root: root.path().to_owned(),
        evidence: Evidence::gather(root.path()),
    };
    let seen = scene();
    assert_eq!(seen.evidence.disks[0].kind, "udf");
    assert_eq!(environment(&seen).unwrap(), None);
    fs::copy(&disk, root.path().join("dev/sr0")).unwrap();
    let raw = Raw::from([(
        ENVIRONMENT.to_owned(),
        environment(&scene()).unwrap().unwrap(),
    )]);
    let found = parse(&raw, "test");
    assert_eq!(
        found.fetched.user_data.as_deref(),
        Some(&b"#cloud-config\n"[..])
    );
    assert_eq!(found.fetched.passwords.len(), 1);
}
