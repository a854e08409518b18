//! Signed lists and indexes.

use super::super::testing::{NOW, key};
use super::*;

#[test]
fn without_a_network_the_cache_serves() {
    let w = World::new();
    let first = w.lock().unwrap();
    w.fetch().unwrap();
    let World {
        fake,
        server,
        cache,
        mirrors,
        _dir,
    } = w;
    drop(server);
    let open = || fake.open(&cache, &mirrors);
    let archive = open().unwrap();
    let lock = archive.resolve(&["app".to_string()], &[]).unwrap();
    assert_eq!(lock, first);
    // Another question needs the index, which is there too.
    assert_eq!(
        archive
            .resolve(&["lib".to_string()], &[])
            .unwrap()
            .packages
            .len(),
        1
    );
    fetch_with(&cache, &mirrors, &lock, &Progress::quiet(), PATIENCE).unwrap();
    let late = Conditions {
        now: NOW + 30 * 86400,
        ..fake.conditions()
    };
    refused(
        Archive::open_with(
            &cache,
            &mirrors,
            "trixie",
            &Pocket::ALL,
            "amd64",
            &Progress::quiet(),
            &late,
        )
        .map(drop),
        "expired",
    );
    let empty = tempfile::tempdir().unwrap();
    let cache = Cache::open(Some(empty.path())).unwrap();
    failed(
        fake.open(&cache, &mirrors).map(drop),
        "http://127.0.0.1",
        "network connection",
    );
}

#[test]
fn pockets_that_are_left_out_are_not_asked_for() {
    let mut fake = Fake::new();
    fake.files
        .retain(|path, _| path.contains("debian/") && !path.contains("-updates"));
    let server = Server::new(&fake);
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(Some(dir.path())).unwrap();
    assert!(fake.open(&cache, &server.mirrors()).is_err());
    let archive = fake.open_pockets(&cache, &server.mirrors(), &[Pocket::Main]);
    let lock = archive.unwrap().resolve(&["app".to_string()], &[]).unwrap();
    assert!(lock.pockets().eq([Pocket::Main; 2]));
}

#[test]
fn changed_lists_are_refused() {
    let list = "debian/dists/trixie/InRelease";
    let replace = |from: &'static str, to: &'static str| {
        move |b: &mut Vec<u8>| *b = String::from_utf8_lossy(b).replace(from, to).into_bytes()
    };
    let changes: Vec<(Change, &str)> = vec![
        (
            Box::new(replace("Codename: trixie", "Codename: forky")),
            "does not match",
        ),
        (
            Box::new(replace("Valid-Until: Mon, 28", "Valid-Until: Mon, 29")),
            "does not match",
        ),
        (Box::new(|b| b.truncate(b.len() / 2)), "not a complete"),
        (Box::new(|b| b.truncate(b.len() - 60)), "not a complete"),
        (
            Box::new(|b| *b = b"<html>log in</html>".to_vec()),
            "not a complete",
        ),
        (Box::new(|b| b.clear()), "not a complete"),
        (Box::new(|b| b.insert(0, 0xff)), "not text"),
        (
            Box::new(|b| b.extend_from_slice(b"Codename: forky\n")),
            "not a complete",
        ),
        (
            Box::new(|b| *b = [b"Codename: forky\n", b.as_slice()].concat()),
            "not a complete",
        ),
    ];
    for (change, text) in changes {
        let w = World::new();
        w.server.change(list, change);
        refused(w.open().map(drop), text);
        assert_eq!(
            walk(&w.cache.root().join("release"))
                .iter()
                .filter(|(_, b)| b.is_empty())
                .count(),
            0
        );
    }
    let w = World::new();
    let other =
        String::from_utf8(w.fake.files["debian/dists/trixie-updates/InRelease"].clone()).unwrap();
    w.server.change(list, |b| *b = other.into_bytes());
    refused(w.open().map(drop), "is for suite `trixie-updates`");
}

#[test]
fn a_list_of_another_time_is_refused() {
    let w = World::new();
    let at = |now| {
        let conditions = Conditions {
            now,
            ..w.fake.conditions()
        };
        Archive::open_with(
            &w.cache,
            &w.mirrors,
            "trixie",
            &Pocket::ALL,
            "amd64",
            &Progress::quiet(),
            &conditions,
        )
        .map(drop)
    };
    refused(at(NOW + 8 * 86400), "expired on 2026-09-28 00:00 UTC");
    refused(at(NOW - 3 * 86400), "future");
}

#[test]
fn a_stranger_is_refused() {
    let mut w = World::new();
    w.fake.key = key();
    refused(w.open().map(drop), "is not trusted");
}

#[test]
fn an_older_list_does_not_replace_a_newer_one() {
    let mut w = World::new();
    let new = w.open().unwrap().id();
    w.fake.publish(
        "Sun, 20 Sep 2026 00:00:00 UTC",
        "Sun, 27 Sep 2026 00:00:00 UTC",
    );
    w.server.replace(&w.fake.files);
    assert_eq!(w.open().unwrap().id(), new);
    w.fake.publish(
        "Mon, 21 Sep 2026 01:00:00 UTC",
        "Mon, 28 Sep 2026 00:00:00 UTC",
    );
    w.server.replace(&w.fake.files);
    assert_ne!(w.open().unwrap().id(), new);
}

#[test]
fn changed_indexes_are_refused() {
    let w = World::new();
    for path in w
        .fake
        .files
        .keys()
        .filter(|p| p.contains("dists/trixie/main"))
    {
        w.server.change(path, |b| b[20] ^= 1);
    }
    refused(w.lock(), "Packages of trixie");
    let w = World::new();
    for path in w
        .fake
        .files
        .keys()
        .filter(|p| p.contains("dists/trixie/main"))
    {
        w.server.change(path, |b| b.truncate(50));
    }
    refused(w.lock(), "50 bytes instead of");
}

#[test]
fn an_index_without_by_hash_is_found() {
    let w = World::new();
    w.server.remove(
        &w.fake
            .files
            .keys()
            .find(|p| p.contains("trixie/main/binary-amd64/by-hash"))
            .unwrap()
            .clone(),
    );
    assert_eq!(w.lock().unwrap().packages.len(), 2);
    w.server
        .remove("debian/dists/trixie/main/binary-amd64/Packages.xz");
    let cache = tempfile::tempdir().unwrap();
    let cache = Cache::open(Some(cache.path())).unwrap();
    let archive = w.fake.open(&cache, &w.mirrors).unwrap();
    failed(
        archive.resolve(&["app".to_string()], &[]),
        "Packages of trixie for amd64 is not at",
        "mirror",
    );
}

#[test]
fn an_unknown_suite_has_a_hint() {
    let w = World::new();
    w.server.remove("debian/dists/trixie/InRelease");
    failed(
        w.open().map(drop),
        "InRelease of trixie is not at",
        "a suite `trixie`",
    );
}

#[test]
fn a_missing_security_tree_has_a_hint() {
    let w = World::new();
    w.server
        .remove("debian-security/dists/trixie-security/InRelease");
    failed(
        w.open().map(drop),
        "InRelease of trixie-security is not at",
        "--security-mirror",
    );
}
