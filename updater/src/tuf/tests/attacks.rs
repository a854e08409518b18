//! Repositories and mirrors that lie.

use std::fs;

use super::simulator::{NOW, World, edit, typed, unsigned};
use crate::fetch;
use crate::tuf::json::Value;
use crate::tuf::trusted::Refused;
use crate::tuf::{Error, Meta, Role, Snapshot, Target, Targets, Time, Timestamp};

/// What a refresh is refused for.
fn refused(world: &mut World) -> Refused {
    match world.refresh() {
        Err(Error::Refused(refused)) => refused,
        other => panic!("refused it should be, and not {other:?}"),
    }
}

/// Serves targets under new versions of everything, each signed by its own keys.
fn publish_by_hand(world: &mut World, version: u64, targets: u64) {
    let mut document = typed::<Targets>(&world.document("2.targets.json"));
    document.version = targets;
    let bytes = world.sign(&document);
    let mut snapshot = typed::<Snapshot>(&world.document("2.snapshot.json"));
    snapshot.version = version;
    snapshot
        .body
        .meta
        .insert("targets.json".into(), Meta::of(targets, &bytes));
    let snapshot = world.sign(&snapshot);
    let mut timestamp = typed::<Timestamp>(&world.document("timestamp.json"));
    timestamp.version = version;
    timestamp
        .body
        .meta
        .insert("snapshot.json".into(), Meta::of(version, &snapshot));
    let timestamp = world.sign(&timestamp);
    world.put(&format!("{targets}.targets.json"), bytes);
    world.put(&format!("{version}.snapshot.json"), snapshot);
    world.put("timestamp.json", timestamp);
}

#[test]
fn a1_unsigned_documents_are_refused_and_stop_the_refresh() {
    let mut world = World::new();
    let next = edit(&world.shipped, |_| ());
    world.put("2.root.json", unsigned(&next));
    assert!(matches!(
        refused(&mut world),
        Refused::Signatures {
            role: Role::Root,
            ..
        }
    ));
    assert_eq!(world.kept(Role::Timestamp), None);

    for (role, name, kept) in [
        (Role::Timestamp, "timestamp.json", None),
        (Role::Snapshot, "2.snapshot.json", Some(Role::Timestamp)),
        (Role::Targets, "2.targets.json", Some(Role::Snapshot)),
    ] {
        let mut world = World::new();
        let bytes = unsigned(&world.document(name));
        // The documents before it may be signed well and vouch for it.
        if role == Role::Targets {
            let mut snapshot = typed::<Snapshot>(&world.document("2.snapshot.json"));
            snapshot
                .body
                .meta
                .insert("targets.json".into(), Meta::of(2, &bytes));
            let snapshot = world.sign(&snapshot);
            world.put("2.snapshot.json", snapshot);
        }
        world.put(name, bytes);
        if role != Role::Timestamp {
            let mut timestamp = typed::<Timestamp>(&world.document("timestamp.json"));
            let meta = Meta::of(2, &world.document("2.snapshot.json"));
            timestamp.body.meta.insert("snapshot.json".into(), meta);
            let timestamp = world.sign(&timestamp);
            world.put("timestamp.json", timestamp);
        }
        match refused(&mut world) {
            Refused::Signatures { role: at, .. } => assert_eq!(at, role),
            other => panic!("{role}: {other}"),
        }
        assert_eq!(world.kept(role), None, "{role}");
        if let Some(before) = kept {
            assert_eq!(world.kept(before), Some(2), "{role}");
        }
    }
}

#[test]
fn a1_changed_content_is_refused() {
    let mut world = World::new();
    let bytes = edit(&world.document("timestamp.json"), |members| {
        if let Some(Value::Object(signed)) = members.get_mut("signed") {
            signed.insert("version".into(), Value::Integer(9));
        }
    });
    world.put("timestamp.json", bytes);
    assert!(matches!(
        refused(&mut world),
        Refused::Signatures {
            role: Role::Timestamp,
            ..
        }
    ));
}

#[test]
fn a1_one_role_cannot_speak_for_another() {
    // The timestamp's key signs targets and a root.
    let mut world = World::new();
    let timestamp = world.document("timestamp.json");
    world.put("2.root.json", timestamp);
    assert!(matches!(
        refused(&mut world),
        Refused::Signatures {
            role: Role::Root,
            ..
        }
    ));
}

#[test]
fn a2_endless_documents_are_cut_off() {
    for (role, name) in [
        (Role::Root, "2.root.json"),
        (Role::Timestamp, "timestamp.json"),
        (Role::Snapshot, "2.snapshot.json"),
        (Role::Targets, "2.targets.json"),
    ] {
        let mut world = World::new();
        let endless = vec![b' '; usize::try_from(role.cap()).expect("small") + 1];
        world.put(name, endless);
        match world.refresh() {
            Err(Error::Fetch(fetch::Error::TooLong { cap, .. })) => assert!(cap <= role.cap()),
            other => panic!("{role}: {other:?}"),
        }
    }
}

#[test]
fn a2_no_more_is_fetched_than_was_signed() {
    let mut world = World::new();
    let mut bytes = world.document("2.snapshot.json");
    let signed = bytes.len() as u64;
    bytes.push(b' ');
    world.put("2.snapshot.json", bytes);
    match world.refresh() {
        Err(Error::Fetch(fetch::Error::TooLong { cap, .. })) => assert_eq!(cap, signed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a2_a_target_that_is_too_large_is_not_asked_for() {
    let mut world = World::new();
    let fresh = world.refresh().expect("fresh");
    let asked = world.served.log.len();
    let got = fresh.bytes(&mut world.served, "docker/amd64/stable.json", 7);
    assert!(matches!(
        got,
        Err(Error::TooLarge {
            length: 8,
            cap: 7,
            ..
        })
    ));
    assert_eq!(world.served.log.len(), asked);
}

#[test]
fn a4_a_fast_forward_is_noticed_and_recovered_from_by_new_keys() {
    let mut world = World::new();
    world.refresh().expect("fresh");
    // Someone with the online keys goes to the end of all versions.
    let end = crate::tuf::roles::MAX_VERSION;
    let honest = world.served.mirrors[0].clone();
    publish_by_hand(&mut world, end, 2);
    assert!(
        world
            .refresh()
            .expect("signed by the right keys")
            .seen()
            .jump
    );
    assert_eq!(world.kept(Role::Timestamp), Some(end));
    // The honest repository looks like the past now.
    world.served.mirrors[0] = honest;
    assert!(matches!(
        refused(&mut world),
        Refused::Rollback {
            role: Role::Timestamp,
            ..
        }
    ));
    // Beyond the last version there is none.
    publish_by_hand(&mut world, end + 1, 2);
    assert!(matches!(refused(&mut world), Refused::Content { .. }));
    // New keys for both roles: the stolen ones' versions are forgotten.
    for role in [Role::Timestamp, Role::Snapshot] {
        let name = world.repository.generate(role).expect("a key");
        world.repository.rotate(role, &[name], 1).expect("rotates");
    }
    world.serve();
    let seen = world.refresh().expect("recovered").seen().clone();
    assert_eq!((seen.root, seen.timestamp, seen.snapshot), (3, 4, 3));
    assert!(!seen.jump);
}

#[test]
fn a5_a_stale_timestamp_is_a_freeze() {
    let mut world = World::new();
    world.refresh().expect("fresh");
    world.wait(29);
    world.refresh().expect("not over yet");
    world.wait(1);
    let refused = refused(&mut world);
    assert!(refused.is_about_time());
    assert!(matches!(
        refused,
        Refused::Expired {
            role: Role::Timestamp,
            ..
        }
    ));
    assert_eq!(world.kept(Role::Timestamp), Some(2));
}

#[test]
fn a5_expired_documents_of_every_role_are_refused_and_not_kept() {
    let mut world = World::new();
    world.wait(364);
    world.reopen();
    world.repository.renew(Role::Timestamp).expect("signs");
    world.serve();
    world.wait(1);
    assert!(matches!(
        refused(&mut world),
        Refused::Expired {
            role: Role::Snapshot,
            ..
        }
    ));
    assert_eq!(world.kept(Role::Snapshot), None);
    world.reopen();
    world.repository.renew(Role::Snapshot).expect("signs");
    world.serve();
    assert!(matches!(
        refused(&mut world),
        Refused::Expired {
            role: Role::Targets,
            ..
        }
    ));
    assert_eq!(world.kept(Role::Targets), None);
}

#[test]
fn a6_another_mirror_is_asked() {
    let mut world = World::new();
    let good = world.served.mirrors[0].clone();
    for (name, bad) in good
        .iter()
        .filter(|(name, _)| !name.contains("root") && !name.contains("/1."))
    {
        let mut evil = good.clone();
        let mut bytes = bad.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        evil.insert(name.clone(), bytes);
        world.served.mirrors = vec![evil, good.clone()];
        let _ = fs::remove_dir_all(world.folder());
        let fresh = world.refresh().expect("the other mirror is good");
        let bytes = fresh.bytes(&mut world.served, "docker/amd64/stable.json", 100);
        assert_eq!(bytes.expect("good bytes"), b"{\"n\": 1}");
    }
}

#[test]
fn a7_documents_of_different_publications_do_not_mix() {
    let mut world = World::new();
    let old = world.document("2.snapshot.json");
    world.repository.renew(Role::Snapshot).expect("signs");
    world.serve();
    world.put("3.snapshot.json", old);
    assert!(matches!(
        refused(&mut world),
        Refused::Mismatch {
            role: Role::Snapshot,
            ..
        }
    ));

    // Without digests, versions alone must hold.
    let mut timestamp = typed::<Timestamp>(&world.document("timestamp.json"));
    timestamp.version += 1;
    if let Some(meta) = timestamp.body.meta.get_mut("snapshot.json") {
        (meta.length, meta.hashes) = (None, None);
    }
    let timestamp = world.sign(&timestamp);
    world.put("timestamp.json", timestamp);
    assert!(matches!(
        refused(&mut world),
        Refused::Mismatch {
            role: Role::Snapshot,
            ..
        }
    ));
}

#[test]
fn a7_targets_are_bound_to_the_snapshot() {
    let mut world = World::new();
    let mut targets = typed::<Targets>(&world.document("2.targets.json"));
    targets.body.targets.insert("evil".into(), Target::of(b"x"));
    let targets = world.sign(&targets);
    world.put("2.targets.json", targets);
    let got = world.refresh();
    assert!(matches!(
        got,
        Err(Error::Refused(Refused::Mismatch {
            role: Role::Targets,
            ..
        }) | Error::Fetch(fetch::Error::TooLong { .. }))
    ));
}

#[test]
fn a7_wrong_bytes_of_a_target_are_refused() {
    let mut world = World::new();
    let fresh = world.refresh().expect("fresh");
    for file in world.files().values_mut() {
        file.truncate(7);
    }
    let got = fresh.bytes(&mut world.served, "docker/amd64/stable.json", 100);
    assert!(matches!(got, Err(Error::Target(_))));
}

#[test]
fn a8_nothing_goes_back() {
    let mut world = World::new();
    let old = world.served.mirrors[0].clone();
    world.repository.renew(Role::Targets).expect("signs");
    world.serve();
    world.refresh().expect("fresh");
    // The old repository as a whole.
    world.served.mirrors[0] = old;
    assert!(matches!(
        refused(&mut world),
        Refused::Rollback {
            role: Role::Timestamp,
            ..
        }
    ));
    // A newer timestamp that names an older snapshot.
    let mut timestamp = typed::<Timestamp>(&world.document("timestamp.json"));
    timestamp.version = 9;
    let timestamp = world.sign(&timestamp);
    world.put("timestamp.json", timestamp);
    assert!(matches!(
        refused(&mut world),
        Refused::Rollback {
            role: Role::Snapshot,
            ..
        }
    ));
    assert_eq!(world.kept(Role::Timestamp), Some(3));
    // Newer timestamp and snapshot that name older targets.
    publish_by_hand(&mut world, 9, 2);
    assert!(matches!(
        refused(&mut world),
        Refused::Rollback {
            role: Role::Targets,
            ..
        }
    ));
    assert_eq!(world.kept(Role::Snapshot), Some(3));
}

#[test]
fn a8_no_document_disappears_from_the_snapshot() {
    let mut world = World::new();
    let mut snapshot = typed::<Snapshot>(&world.document("2.snapshot.json"));
    let targets = snapshot.body.meta["targets.json"].clone();
    let mut with = |version: u64, names: &[&str]| {
        snapshot.version = version;
        snapshot.body.meta = names
            .iter()
            .map(|n| ((*n).to_owned(), targets.clone()))
            .collect();
        let bytes = world.sign(&snapshot);
        let mut timestamp = typed::<Timestamp>(&world.document("timestamp.json"));
        timestamp.version = version;
        timestamp
            .body
            .meta
            .insert("snapshot.json".into(), Meta::of(version, &bytes));
        let timestamp = world.sign(&timestamp);
        world.put(&format!("{version}.snapshot.json"), bytes);
        world.put("timestamp.json", timestamp);
    };
    with(3, &["targets.json", "more.json"]);
    with(4, &["targets.json"]);
    let last = world.document("timestamp.json");
    let mut third = typed::<Timestamp>(&last);
    third.version = 3;
    let meta = Meta::of(3, &world.document("3.snapshot.json"));
    third.body.meta.insert("snapshot.json".into(), meta);
    let third = world.sign(&third);
    world.put("timestamp.json", third);
    world.refresh().expect("fresh");
    world.put("timestamp.json", last);
    assert!(matches!(
        refused(&mut world),
        Refused::Mismatch {
            role: Role::Snapshot,
            ..
        }
    ));
}

#[test]
fn a17_a_store_that_was_tampered_with_gains_nothing() {
    let mut world = World::new();
    world.repository.renew(Role::Root).expect("signs");
    world.serve();
    world.refresh().expect("fresh");
    // Someone else's repository, consistent in itself.
    let mut other = World::new();
    other.repository.renew(Role::Root).expect("signs");
    other.repository.renew(Role::Targets).expect("signs");
    other.serve();
    other.refresh().expect("fresh");
    for role in Role::ALL {
        let bytes = fs::read(other.folder().join(role.file())).expect("kept");
        fs::write(world.folder().join(role.file()), bytes).expect("writes");
    }
    let root = fs::read(other.folder().join("roots/2.root.json")).expect("kept");
    fs::write(world.folder().join("roots/2.root.json"), root).expect("writes");
    world.served.mirrors = other.served.mirrors.clone();
    let evil = world.refresh();
    assert!(matches!(
        evil,
        Err(Error::Refused(Refused::Signatures {
            role: Role::Root,
            ..
        }))
    ));
    // The right repository heals it.
    world.serve();
    let seen = world.refresh().expect("healed").seen().clone();
    assert_eq!((seen.root, seen.targets), (2, 2));
    assert_eq!(
        fs::read(world.folder().join("root.json")).expect("kept"),
        world.document("2.root.json")
    );
}

#[test]
fn a17_a_torn_store_heals() {
    let mut world = World::new();
    world.refresh().expect("fresh");
    for role in Role::ALL {
        let path = world.folder().join(role.file());
        for garbage in [
            &b""[..],
            b"{",
            b"\xff\xff",
            b"{\"signed\":{},\"signatures\":[]}",
        ] {
            fs::write(&path, garbage).expect("writes");
            world.refresh().expect("healed");
        }
    }
}

#[test]
fn a19_one_version_with_two_contents_is_told() {
    let mut world = World::new();
    world.refresh().expect("fresh");
    let mut timestamp = typed::<Timestamp>(&world.document("timestamp.json"));
    timestamp.expires = Time(timestamp.expires.0 + 1);
    let timestamp = world.sign(&timestamp);
    let first = world.document("timestamp.json");
    world.put("timestamp.json", timestamp);
    let seen = world
        .refresh()
        .expect("the trusted one stays")
        .seen()
        .clone();
    assert!(seen.equivocation);
    assert_eq!(
        fs::read(world.folder().join("timestamp.json")).expect("kept"),
        first
    );
    // Machines can compare what they see.
    let mut other = World::new();
    let theirs = other.refresh().expect("fresh").seen().clone();
    assert_eq!(theirs.snapshot, seen.snapshot);
    assert_ne!(theirs.snapshot_sha256, seen.snapshot_sha256);
    assert_eq!(theirs.signed, Some(NOW));
}
