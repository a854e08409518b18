//! The client workflow when nobody attacks.

use std::fs;

use super::simulator::{NOW, World, typed};
use crate::tuf::trusted::Refused;
use crate::tuf::{Client, Error, Layout, Role, Root, Targets, Time};

#[test]
fn fetches_each_document_once_and_in_order() {
    let mut world = World::new();
    let fresh = world.refresh().expect("fresh");
    assert_eq!(fresh.seen().targets, 2);
    assert_eq!(fresh.seen().signed, Some(NOW));
    assert_eq!(
        world.served.log,
        [
            "2.root.json",
            "timestamp.json",
            "2.snapshot.json",
            "2.targets.json"
        ]
        .map(|name| format!("metadata/{name}"))
    );
    let bytes = fs::read(world.folder().join("snapshot.json")).expect("kept");
    assert_eq!(bytes, world.document("2.snapshot.json"));
    world.refresh().expect("still fresh");
    assert_eq!(
        world.served.log,
        ["metadata/2.root.json", "metadata/timestamp.json"]
    );
}

#[test]
fn targets_are_fetched_by_their_digest() {
    #[derive(serde::Deserialize)]
    struct Document {
        n: u32,
    }
    let mut world = World::new();
    let fresh = world.refresh().expect("fresh");
    let name = "docker/amd64/stable.json";
    let document: Document = fresh.json(&mut world.served, name, 100).expect("JSON");
    assert_eq!(document.n, 1);
    let digest = &fresh.target(name).expect("offered").hashes["sha256"];
    assert_eq!(
        world.served.log.last(),
        Some(&format!("targets/docker/amd64/{digest}.stable.json"))
    );
    assert!(matches!(
        fresh.bytes(&mut world.served, "docker/amd64/beta.json", 100),
        Err(Error::NoTarget(_))
    ));
}

#[test]
fn repositories_without_consistent_snapshots_are_read() {
    let mut world = World::new();
    let mut root = world.repository.root().clone();
    root.version += 1;
    root.body.consistent_snapshot = false;
    let root = world.sign(&root);
    world.put("2.root.json", root);
    for (plain, versioned) in [
        ("snapshot.json", "2.snapshot.json"),
        ("targets.json", "2.targets.json"),
    ] {
        let bytes = world.document(versioned);
        world.put(plain, bytes);
    }
    let fresh = world.refresh().expect("fresh");
    assert_eq!(
        world.served.log[3..],
        ["metadata/snapshot.json", "metadata/targets.json"]
    );
    assert_eq!(
        fresh.path("docker/amd64/stable.json").expect("offered"),
        "targets/docker/amd64/stable.json"
    );
}

#[test]
fn old_metadata_that_expired_is_good_for_going_forward() {
    let mut world = World::new();
    world.refresh().expect("fresh");
    world.wait(40);
    assert!(matches!(
        world.refresh(),
        Err(Error::Refused(Refused::Expired {
            role: Role::Timestamp,
            ..
        }))
    ));
    world.reopen();
    world.repository.renew(Role::Timestamp).expect("signs");
    world.serve();
    assert_eq!(world.refresh().expect("fresh again").seen().timestamp, 3);
}

#[test]
fn an_expired_root_is_kept_and_stops_everything_else() {
    let mut world = World::new();
    world.refresh().expect("fresh");
    let mut root = world.repository.root().clone();
    root.version = 2;
    root.expires = Time(NOW.0 - 1);
    let expired = world.sign(&root);
    world.put("2.root.json", expired);
    assert!(matches!(
        world.refresh(),
        Err(Error::Refused(Refused::Expired {
            role: Role::Root,
            ..
        }))
    ));
    assert_eq!(world.kept(Role::Root), Some(2));
    assert_eq!(world.kept(Role::Timestamp), Some(2));
    // An intermediate root may have expired.
    root.version = 3;
    root.expires = NOW.plus_days(9);
    let good = world.sign(&root);
    world.put("3.root.json", good);
    assert_eq!(world.refresh().expect("fresh").seen().root, 3);
}

#[test]
fn unknown_fields_are_signed_and_ignored() {
    let mut world = World::new();
    let signed = typed::<Targets>(&world.document("2.targets.json"));
    let mut value = serde_json::to_value(&signed).expect("JSON");
    value["later"] = serde_json::json!({ "a": [1, null, "é"] });
    let keyring = world.repository.keyring();
    let root = &world.repository.root().body;
    // A body that keeps everything.
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(transparent)]
    struct Anything(serde_json::Map<String, serde_json::Value>);
    impl crate::tuf::roles::Body for Anything {
        const ROLE: Role = Role::Targets;
    }
    let extended = crate::tuf::Signed {
        body: Anything(
            [
                ("targets".to_owned(), value["targets"].clone()),
                ("later".to_owned(), value["later"].clone()),
            ]
            .into_iter()
            .collect(),
        ),
        kind: signed.kind,
        spec_version: signed.spec_version,
        version: 3,
        expires: signed.expires,
        at: None,
    };
    let signers = keyring.signers(root, Role::Targets).expect("keys");
    let bytes = crate::tuf::sign::sign(&extended, &signers).expect("signs");
    let mut snapshot = typed::<crate::tuf::Snapshot>(&world.document("2.snapshot.json"));
    snapshot.version = 3;
    snapshot
        .body
        .meta
        .insert("targets.json".into(), crate::tuf::Meta::of(3, &bytes));
    let snapshot = world.sign(&snapshot);
    let mut timestamp = typed::<crate::tuf::Timestamp>(&world.document("timestamp.json"));
    timestamp.version = 3;
    timestamp
        .body
        .meta
        .insert("snapshot.json".into(), crate::tuf::Meta::of(3, &snapshot));
    let timestamp = world.sign(&timestamp);
    world.put("3.targets.json", bytes);
    world.put("3.snapshot.json", snapshot);
    world.put("timestamp.json", timestamp);
    assert_eq!(world.refresh().expect("fresh").seen().targets, 3);
}

#[test]
fn a_folder_of_its_own_needs_no_shipped_root() {
    let mut world = World::new();
    let folder = world.dir.path().join("bare");
    let open = |clock| Client::open(&folder, None, clock);
    assert!(matches!(open(world.clock), Err(Error::NoRoot)));
    assert!(Client::init(&folder, b"{}").is_err());
    Client::init(&folder, &world.shipped).expect("a good root");
    open(world.clock)
        .expect("opens")
        .refresh(&mut world.served, Layout::repository())
        .expect("fresh");
    world.repository.renew(Role::Root).expect("signs");
    world.serve();
    let client = open(world.clock).expect("opens");
    client
        .refresh(&mut world.served, Layout::repository())
        .expect("fresh");
    let root = fs::read(folder.join("root.json")).expect("kept");
    assert_eq!(typed::<Root>(&root).version, 2);
}

#[test]
fn a_publisher_goes_on_where_it_stopped() {
    let mut world = World::new();
    world.wait(400);
    world.reopen();
    for role in Role::ALL {
        world.repository.renew(role).expect("signs");
    }
    world.reopen();
    assert_eq!(world.repository.state(Role::Root).expect("there").0, 2);
    assert_eq!(world.repository.state(Role::Timestamp).expect("there").0, 5);
    world.serve();
    assert_eq!(world.refresh().expect("fresh").seen().targets, 3);
}

#[test]
fn a_publisher_does_not_sign_what_someone_else_put_there() {
    let world = World::new();
    let path = world.dir.path().join("metadata/2.targets.json");
    let text = fs::read_to_string(&path).expect("text");
    fs::write(&path, text.replace("stable", "stabel")).expect("writes");
    let keyring = crate::tuf::sign::Keyring::open(&world.dir.path().join("keys")).expect("keys");
    let metadata = world.dir.path().join("metadata");
    let opened = crate::tuf::sign::Repository::open(&metadata, keyring, NOW);
    assert!(matches!(
        opened,
        Err(crate::tuf::sign::Error::Repository { .. })
    ));
}

#[test]
fn old_documents_are_pruned_and_roots_are_not() {
    let mut world = World::new();
    for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Targets] {
        world.repository.renew(role).expect("signs");
    }
    world.repository.prune(1).expect("prunes");
    let mut left: Vec<_> = fs::read_dir(world.dir.path().join("metadata"))
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .collect();
    left.sort();
    assert_eq!(
        left,
        [
            "1.root.json",
            "2.root.json",
            "3.targets.json",
            "4.snapshot.json",
            "4.targets.json",
            "5.snapshot.json",
            "timestamp.json"
        ]
    );
    world.reopen();
    world.serve();
    world.refresh().expect("fresh");
}
