//! Pure parsers on `testdata/source`, whole sources against a double. Run with
//! `UPDATE_EXPECTED=1` to write what is parsed now, then read the diff.

use super::*;
use crate::detect::{Disk, cmdline};
use crate::http::Detour;
use crate::http::double::{Answer, ok, serve};
use crate::net::Wake;
use crate::provider::{PROVIDERS, by_name};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use std::time::Duration;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDrLcTvqjRUA one@example";

/// What the provider `kind` makes of documents.
fn parse(kind: &str, raw: &Raw) -> Found {
    let sources = by_name(kind).map_or(&[][..], |p| p.sources);
    let own = sources.iter().find(|s| s.name == kind);
    let source = own.or(sources.last());
    (source
        .unwrap_or_else(|| panic!("{kind} is no provider"))
        .parse)(raw, "test")
}

fn collect(dir: &Path, prefix: &str, raw: &mut Raw) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), raw);
        } else {
            // A file name for what a service shows at a directory's path.
            let name = name.strip_suffix("_index").unwrap_or(&name).to_owned();
            raw.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn cases() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/source");
    let mut count = 0;
    for case in fs::read_dir(dir).unwrap() {
        let case = case.unwrap().path();
        let name = case.file_name().unwrap().to_str().unwrap();
        let mut raw = Raw::new();
        collect(&case.join("raw"), "", &mut raw);
        let found = parse(name.split('-').next().unwrap(), &raw);
        let utf8 =
            |d: &Option<Vec<u8>>| d.as_ref().map(|d| String::from_utf8_lossy(d).into_owned());
        let mut got = serde_json::json!({
            "metadata": found.fetched.metadata,
            "user_data": utf8(&found.fetched.user_data),
            "vendor_data": utf8(&found.fetched.vendor_data),
            "network": utf8(&found.fetched.network),
            "warnings": found.warnings,
        });
        if !found.fetched.passwords.is_empty() {
            let whose = found.fetched.passwords.iter().map(|p| p.user.clone());
            got["passwords"] = whose.collect();
        }
        let got = serde_json::to_string_pretty(&got).unwrap() + "\n";
        let expected = case.join("expected.json");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, &got).unwrap();
        }
        assert_eq!(
            got,
            fs::read_to_string(&expected).unwrap_or_default(),
            "{name}"
        );
        assert!(!got.contains("secret"), "{name}");
        count += 1;
    }
    assert!(count >= 14);
}

proptest! {
    #[test]
    fn foreign_documents_never_panic(
        name in 0usize..14,
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        text in "[\\[\\]{}:,\"a-z0-9 \n=-]{0,80}",
    ) {
        const NAMES: [&str; 14] = [
            "user-data", "meta-data", "vendor-data", "network-config", "meta_data.json",
            "vendor_data.json", "network_data.json", "ec2.json", "instance-id", "public-keys",
            "meta-data/public-keys/", "meta-data/hostname", "meta-data/local-ipv4", "local-ipv4",
        ];
        for source in PROVIDERS.iter().flat_map(|p| p.sources) {
            for content in [bytes.clone(), text.clone().into_bytes()] {
                (source.parse)(&Raw::from([(NAMES[name].to_owned(), content)]), "");
            }
        }
    }
}

/// Sends what is for an address to the double at a port; nothing else is reached.
fn detour(ways: &[(&str, u16)]) -> Detour {
    ways.iter().fold(Detour::default(), |detour, (from, port)| {
        detour.with(*from, ([127, 0, 0, 1], *port).into())
    })
}

const IMDS: &str = "169.254.169.254:80";
const IMDS6: &str = "[fd00:ec2::254]:80";

fn source(name: &str) -> &'static Source {
    let mut sources = PROVIDERS.iter().flat_map(|p| p.sources);
    sources.find(|s| s.name == name).unwrap()
}

fn fetch_with(
    name: &str,
    scene: &Scene,
    detour: Option<Detour>,
    limit: Duration,
) -> Result<Option<Found>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let http = Http::new(Wake::never()).unwrap().detoured(detour);
        (source(name).fetch)(scene, &http, Instant::now() + limit).await
    })
}

fn fetch(name: &str, ways: &[(&str, u16)], limit: Duration) -> Result<Option<Found>> {
    fetch_with(name, &Scene::default(), Some(detour(ways)), limit)
}

fn read(name: &str, scene: &Scene) -> Result<Option<Found>> {
    fetch_with(name, scene, None, LONG)
}

const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(20);
const TOKEN: &str = "x-aws-ec2-metadata-token";

#[test]
fn ec2_with_tokens() {
    let guarded = |body: &str| Answer::Guarded(TOKEN, "tok==", body.as_bytes().to_vec());
    let double = serve(&[
        ("PUT /latest/api/token", ok("tok==")),
        ("GET /latest/meta-data/instance-id", guarded("i-1")),
        ("GET /latest/meta-data/hostname", guarded("h.example")),
        ("GET /latest/meta-data/public-keys/", guarded("0=k")),
        (
            "GET /latest/meta-data/public-keys/0/openssh-key",
            guarded(KEY),
        ),
        ("GET /latest/user-data", guarded("#!/bin/sh\n")),
    ]);
    // Nobody answers at the first endpoint.
    let found = fetch("ec2", &[(IMDS6, double.port)], LONG);
    let fetched = found.unwrap().unwrap().fetched;
    assert_eq!(fetched.metadata.instance_id.as_deref(), Some("i-1"));
    assert_eq!(fetched.metadata.ssh_keys, [KEY]);
    assert_eq!(fetched.user_data.as_deref(), Some(&b"#!/bin/sh\n"[..]));
}

#[test]
fn ec2_version_one_without_user_data() {
    for refusal in [403, 404, 405] {
        let double = serve(&[
            ("PUT /latest/api/token", Answer::Body(refusal, vec![])),
            ("GET /latest/meta-data/instance-id", ok("i-1")),
        ]);
        let fetched = fetch("ec2", &[(IMDS, double.port)], LONG)
            .unwrap()
            .unwrap()
            .fetched;
        assert_eq!(
            (fetched.provider.as_str(), fetched.user_data),
            ("ec2", None)
        );
    }
}

#[test]
fn ec2_renews_a_token_once() {
    let double = serve(&[
        ("PUT /latest/api/token", ok("old")),
        (
            "GET /latest/meta-data/instance-id",
            Answer::Guarded(TOKEN, "new", vec![]),
        ),
    ]);
    let error = fetch("ec2", &[(IMDS, double.port), (IMDS6, double.port)], LONG).unwrap_err();
    assert!(
        error.chain().contains("refuses our token"),
        "{}",
        error.chain()
    );
    let seen = double.seen.lock().unwrap();
    // At each of the two endpoints.
    assert_eq!(seen.iter().filter(|s| s.starts_with("PUT")).count(), 4);
}

#[test]
fn services_that_are_something_else() {
    let html = "<html>\n<body>Welcome to your router</body>\n</html>";
    let double = serve(&[
        ("GET /latest/meta-data/instance-id", ok(html)),
        ("GET /openstack/latest/meta_data.json", ok(html)),
    ]);
    for source in ["ec2", "openstack"] {
        let found = fetch(source, &[(IMDS, double.port)], LONG);
        assert_eq!(found.unwrap(), None, "{source}");
    }
    // The other endpoint is the real one.
    let real = serve(&[("GET /latest/meta-data/instance-id", ok("i-1"))]);
    let both = [(IMDS, double.port), (IMDS6, real.port)];
    let found = fetch("ec2", &both, LONG).unwrap().unwrap();
    assert_eq!(found.fetched.metadata.instance_id.as_deref(), Some("i-1"));
}

#[test]
fn silent_services() {
    let double = serve(&[
        ("PUT /latest/api/token", Answer::Silent),
        ("GET /openstack/latest/meta_data.json", Answer::Silent),
    ]);
    for source in ["ec2", "openstack", "cloudstack"] {
        let start = std::time::Instant::now();
        fetch(source, &[(IMDS, double.port)], SHORT).unwrap_err();
        assert!(
            start.elapsed() < SHORT * 3,
            "{source}: {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn openstack_service() {
    let double = serve(&[
        (
            "GET /openstack/latest/meta_data.json",
            Answer::Flaky(1, br#"{"uuid":"u1"}"#.to_vec()),
        ),
        ("GET /openstack/latest/user_data", ok("#cloud-config\n")),
        ("GET /latest/meta-data/public-ipv4", ok("198.51.100.7")),
    ]);
    let fetched = fetch("openstack", &[(IMDS, double.port)], LONG)
        .unwrap()
        .unwrap()
        .fetched;
    assert_eq!(fetched.metadata.public_ipv4, Some([198, 51, 100, 7].into()));
    assert!(fetched.user_data.is_some());
}

#[test]
fn openstack_with_debians_format() {
    let text = "auto eth0\niface eth0 inet dhcp\n";
    let meta =
        |path: &str| format!(r#"{{"uuid":"u1","network_config":{{"content_path":"{path}"}}}}"#);
    let double = serve(&[
        (
            "GET /openstack/latest/meta_data.json",
            ok(&meta("/content/0000")),
        ),
        ("GET /openstack/content/0000", ok(text)),
    ]);
    let found = fetch("openstack", &[(IMDS, double.port)], LONG);
    let network = found.unwrap().unwrap().fetched.network;
    assert_eq!(network.as_deref(), Some(text.as_bytes()));
    let path = |meta: String| {
        openstack::interfaces_path(&Raw::from([("meta_data.json".into(), meta.into_bytes())]))
    };
    assert_eq!(path(meta("/content/0000")).as_deref(), Some("content/0000"));
    for wrong in [
        "/content/../latest/user_data",
        "/content/",
        "content/a?b",
        "/etc/passwd",
    ] {
        assert_eq!(path(meta(wrong)), None, "{wrong}");
    }
}

/// A root with leases: a shared network's server first, which is no router.
fn cloudstack_scene(servers: &[&str]) -> (tempfile::TempDir, Scene) {
    let root = tempfile::tempdir().unwrap();
    let leases = root.path().join("run/systemd/netif/leases");
    fs::create_dir_all(&leases).unwrap();
    for (index, server) in servers.iter().enumerate() {
        let text = format!("ADDRESS=127.0.0.1\nSERVER_ADDRESS={server}\nROUTER={server}\n");
        fs::write(leases.join((index + 2).to_string()), text).unwrap();
    }
    let scene = Scene {
        root: root.path().to_owned(),
        ..Scene::default()
    };
    (root, scene)
}

#[test]
fn cloudstack_tries_every_lease() {
    let double = serve(&[
        ("GET /latest/meta-data/instance-id", ok("i-1")),
        ("GET /latest/meta-data/local-hostname", ok("web1")),
        ("GET /latest/meta-data/public-keys", ok(&format!("{KEY}\n"))),
        ("GET /latest/user-data", ok("")),
    ]);
    // Nobody is at the first.
    let (_root, scene) = cloudstack_scene(&["10.9.0.1", "10.9.0.2"]);
    let detour = detour(&[("10.9.0.2:80", double.port)]);
    let found = fetch_with("cloudstack", &scene, Some(detour), LONG);
    let fetched = found.unwrap().unwrap().fetched;
    assert_eq!(fetched.source, "http://10.9.0.2/latest/");
    assert_eq!(fetched.metadata.hostname.as_deref(), Some("web1"));
    assert_eq!(
        (fetched.metadata.ssh_keys.len(), fetched.user_data),
        (1, None)
    );
}

#[test]
fn cloudstack_with_old_paths_only() {
    let double = serve(&[
        ("GET /latest/instance-id", ok("i-1")),
        ("GET /latest/public-keys", ok(KEY)),
        ("GET /latest/user-data", ok("#cloud-config\n")),
    ]);
    let (_root, scene) = cloudstack_scene(&["10.9.0.1"]);
    let detour = detour(&[("10.9.0.1:80", double.port)]);
    let found = fetch_with("cloudstack", &scene, Some(detour), LONG);
    let fetched = found.unwrap().unwrap().fetched;
    assert_eq!(fetched.metadata.ssh_keys, [KEY]);
    assert!(fetched.user_data.is_some());
}

#[test]
fn a_web_server_is_not_a_router() {
    let page = ok("<html>\nit works\n</html>");
    let double = serve(&[
        ("GET /latest/meta-data/instance-id", page.clone()),
        ("GET /latest/instance-id", page),
    ]);
    let (_root, scene) = cloudstack_scene(&["10.9.0.1"]);
    let detour = detour(&[
        ("10.9.0.1:80", double.port),
        ("data-server:80", double.port),
    ]);
    let found = fetch_with("cloudstack", &scene, Some(detour), LONG);
    assert_eq!(found.unwrap(), None);
}

#[test]
fn nocloud_seeds() {
    let double = serve(&[
        ("GET /seed/user-data", ok("#cloud-config\n")),
        ("GET /seed/meta-data", ok("local-hostname: from-document\n")),
    ]);
    let mut scene = Scene::default();
    let line = |value: &str| cmdline::parse(&format!("\"ds=nocloud;{value}\""));
    scene.evidence.cmdline = line(&format!("s={}/seed/;i=i7;h=ignored", double.url));
    let metadata = read("nocloud-seed", &scene)
        .unwrap()
        .unwrap()
        .fetched
        .metadata;
    assert_eq!(metadata.hostname.as_deref(), Some("from-document"));
    assert_eq!(metadata.instance_id.as_deref(), Some("i7"));
    // All of it on the command line.
    scene.evidence.cmdline = line("h=here");
    let found = read("nocloud-seed", &scene).unwrap().unwrap();
    assert_eq!(found.fetched.metadata.hostname.as_deref(), Some("here"));
    for wrong in ["s=file:///etc/", &format!("s={}/nothing/", double.url)] {
        scene.evidence.cmdline = line(wrong);
        let error = read("nocloud-seed", &scene).unwrap_err();
        assert!(error.hint_text().is_some(), "{wrong}");
    }
    // In the serial number.
    scene.evidence.cmdline = cmdline::Cmdline::default();
    scene.evidence.dmi.product_serial = format!("ds=nocloud;s={}/seed/", double.url);
    assert!(read("nocloud-seed", &scene).unwrap().is_some());
}

/// A scene with one drive, unpacked from `testdata/media`.
fn drive(image: &str, label: &str) -> (tempfile::TempDir, Scene) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("dev")).unwrap();
    let packed = format!("{}/testdata/media/{image}.gz", env!("CARGO_MANIFEST_DIR"));
    let mut reader = flate2::read::GzDecoder::new(fs::File::open(packed).unwrap());
    let mut file = fs::File::create(root.path().join("dev/sr0")).unwrap();
    std::io::copy(&mut reader, &mut file).unwrap();
    let mut scene = Scene {
        root: root.path().to_owned(),
        ..Scene::default()
    };
    scene.evidence.disks = vec![Disk {
        device: "sr0".into(),
        label: label.into(),
        kind: "iso9660".into(),
    }];
    (root, scene)
}

#[test]
fn drives() {
    for (image, label, source, provider, hostname) in [
        (
            "nocloud-both.iso",
            "cidata",
            "nocloud-disk",
            "nocloud",
            "nocloud.example.org",
        ),
        (
            "nocloud-fat16.img",
            "CIDATA",
            "nocloud-disk",
            "nocloud",
            "nocloud.example.org",
        ),
        (
            "openstack-joliet.iso",
            "config-2",
            "config-drive",
            "openstack",
            "os.novalocal",
        ),
        (
            "cloudstack-plain.iso",
            "CONFIG-2",
            "config-drive",
            "cloudstack",
            "cs-host",
        ),
    ] {
        let (_root, scene) = drive(image, label);
        let fetched = read(source, &scene).unwrap().unwrap().fetched;
        assert_eq!(fetched.provider, provider, "{image}");
        assert_eq!(
            fetched.metadata.hostname.as_deref(),
            Some(hostname),
            "{image}"
        );
        assert_eq!(fetched.metadata.ssh_keys.len(), 1, "{image}");
        assert!(
            fetched.user_data.unwrap().starts_with(b"#cloud-config"),
            "{image}"
        );
        assert_eq!(fetched.source, "/dev/sr0");
    }
}

#[test]
fn drives_with_the_wrong_content() {
    let (_root, scene) = drive("nocloud-both.iso", "config-2");
    let error = read("config-drive", &scene).unwrap_err();
    assert!(
        error.chain().contains("neither openstack/ nor cloudstack/"),
        "{}",
        error.chain()
    );
    let (_root, scene) = drive("cloudstack-plain.iso", "cidata");
    assert!(read("nocloud-disk", &scene).is_err());
}

#[test]
fn handed_over_by_the_hypervisor() {
    let root = tempfile::tempdir().unwrap();
    let entry = root
        .path()
        .join("sys/firmware/qemu_fw_cfg/by_name/opt/org.holdfast/user-data");
    fs::create_dir_all(&entry).unwrap();
    fs::write(entry.join("raw"), "#cloud-config\n").unwrap();
    let credentials = root.path().join("run/credentials/@system");
    fs::create_dir_all(&credentials).unwrap();
    fs::write(
        credentials.join("oem.meta-data"),
        "local-hostname: handed\n",
    )
    .unwrap();
    let (evidence, detection) = crate::detect::run(root.path());
    assert_eq!(detection.candidates[0].provider, "host");
    let scene = Scene {
        root: root.path().to_owned(),
        evidence,
        ..Scene::default()
    };
    let fetched = read("host", &scene).unwrap().unwrap().fetched;
    assert_eq!(fetched.user_data.as_deref(), Some(&b"#cloud-config\n"[..]));
    assert_eq!(fetched.metadata.hostname.as_deref(), Some("handed"));
}
