//! Downloads of packages.

use super::super::testing::Fault;
use super::*;

#[test]
fn fetches_what_was_asked_for_and_needed() {
    let w = World::new();
    let fetched = w.fetch().unwrap();
    let names: Vec<&str> = fetched.iter().map(|f| f.package.name.as_str()).collect();
    assert_eq!(names, ["app", "lib"]);
    for f in &fetched {
        assert_eq!(sha256(&std::fs::read(&f.file).unwrap()), f.package.sha256);
    }
    let lock = w.lock().unwrap();
    assert_eq!(
        (lock.epoch, lock.suite.as_str()),
        (
            date::parse("Mon, 21 Sep 2026 00:00:00 UTC").unwrap(),
            "trixie"
        )
    );
    assert!(w.is_clean());
}

#[test]
fn second_time_nothing_is_transferred() {
    let w = World::new();
    w.fetch().unwrap();
    w.server.log();
    w.fetch().unwrap();
    let log = w.server.log();
    assert_eq!(log.len(), 3, "{log:?}");
    assert!(log.iter().all(|l| l.starts_with("304 ")), "{log:?}");
}

#[test]
fn a_dying_mirror_is_resumed() {
    let w = World::new();
    let deb = w.fake.path("app_1.0.deb");
    w.server.fault(&deb, Fault::Cut(100_000, 2));
    w.fetch().unwrap();
    let log = w.server.log();
    assert!(log.contains(&format!("206 {deb} bytes=100000-")), "{log:?}");
    assert!(log.contains(&format!("206 {deb} bytes=200000-")), "{log:?}");
    assert!(w.is_clean());
}

#[test]
fn a_mirror_without_ranges_starts_over() {
    let w = World::new();
    w.server
        .fault(&w.fake.path("app_1.0.deb"), Fault::CutNoRange(100_000, 1));
    w.fetch().unwrap();
    assert!(w.is_clean());
}

#[test]
fn a_dead_mirror_is_named() {
    let w = World::new();
    w.server
        .fault(&w.fake.path("app_1.0.deb"), Fault::Cut(0, 1000));
    failed(
        w.fetch(),
        "package app 1.0 from http://127.0.0.1",
        "another mirror",
    );
    assert!(w.is_clean());
    w.server
        .fault(&w.fake.path("app_1.0.deb"), Fault::Status(503, 2));
    w.fetch().unwrap();
}

#[test]
fn changed_packages_are_refused() {
    for (change, text) in [
        (Box::new(|b: &mut Vec<u8>| b[5] ^= 1) as Change, "SHA-256"),
        (
            Box::new(|b: &mut Vec<u8>| b.truncate(1000)),
            "1000 bytes instead of 300000",
        ),
        (
            Box::new(|b: &mut Vec<u8>| b.push(0)),
            "300001 bytes instead of 300000",
        ),
    ] {
        let w = World::new();
        w.server.change(&w.fake.path("app_1.0.deb"), change);
        refused(w.fetch(), text);
        assert!(w.is_clean());
    }
}

#[test]
fn superseded_packages_have_a_hint() {
    let w = World::new();
    w.server.remove(&w.fake.path("app_1.0.deb"));
    failed(w.fetch(), "package app 1.0 is not at", "superseded");
}

#[test]
fn a_damaged_cache_entry_is_fetched_again() {
    let w = World::new();
    let file = w.fetch().unwrap()[0].file.clone();
    std::fs::write(&file, "cut").unwrap();
    w.fetch().unwrap();
    assert!(w.is_clean());
}

#[test]
fn a_directory_is_a_mirror() {
    let fake = Fake::new();
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in &fake.files {
        let path = dir.path().join("mirror").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let cache = Cache::open(Some(&dir.path().join("cache"))).unwrap();
    for scheme in ["file://", ""] {
        let main = format!("{scheme}{}/mirror/debian", dir.path().display());
        let mirrors = Mirrors::discover_in(Some(main), None, "/nonexistent".as_ref()).unwrap();
        let archive = fake.open(&cache, &mirrors).unwrap();
        let lock = archive.resolve(&["app".to_string()], &[]).unwrap();
        assert_eq!(
            fetch_with(&cache, &mirrors, &lock, &Progress::quiet(), PATIENCE)
                .unwrap()
                .len(),
            2
        );
    }
}

#[test]
fn a_lock_is_checked_before_use() {
    let w = World::new();
    let good = w.lock().unwrap();
    for (path, sha256) in [
        ("../etc/passwd", None),
        ("/x", None),
        ("pool/x?y", None),
        ("pool/x", Some("../x")),
    ] {
        let mut lock = good.clone();
        lock.packages[0].path = path.into();
        if let Some(sha256) = sha256 {
            lock.packages[0].sha256 = sha256.into();
        }
        let e = fetch_with(&w.cache, &w.mirrors, &lock, &Progress::quiet(), PATIENCE).unwrap_err();
        assert_eq!(e.kind(), Kind::Input);
    }
}
