use super::fetch::{Fetched, fetch_with};
use super::testing::{Fake, Fault, NOW, PATIENCE, Server, key};
use super::*;
use crate::error::Kind;

struct World {
    fake: Fake,
    server: Server,
    cache: Cache,
    mirrors: Mirrors,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let fake = Fake::new();
        let server = Server::new(&fake);
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path())).unwrap();
        World {
            mirrors: server.mirrors(),
            fake,
            server,
            cache,
            _dir: dir,
        }
    }

    fn open(&self) -> Result<Archive> {
        self.fake.open(&self.cache, &self.mirrors)
    }

    fn lock(&self) -> Result<Lock> {
        self.open()?.resolve(&["app".to_string()], &[])
    }

    fn fetch(&self) -> Result<Vec<Fetched>> {
        fetch_with(
            &self.cache,
            &self.mirrors,
            &self.lock()?,
            &Progress::quiet(),
            PATIENCE,
        )
    }

    /// Nothing half-made is left anywhere in the cache.
    fn is_clean(&self) -> bool {
        let left = std::fs::read_dir(self.cache.root().join("tmp")).map_or(0, Iterator::count);
        let debs = walk(&self.cache.root().join("deb"));
        left == 0
            && debs
                .iter()
                .all(|(name, bytes)| *name == testing::sha256(bytes))
    }
}

fn walk(dir: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            all.extend(walk(&entry.path()));
        } else {
            all.push((
                entry.file_name().into_string().unwrap(),
                std::fs::read(entry.path()).unwrap(),
            ));
        }
    }
    all
}

fn refused<T>(result: Result<T>, text: &str) {
    let Err(e) = result else {
        panic!("`{text}` was accepted")
    };
    assert_eq!(e.kind(), Kind::Refused, "{}", e.chain());
    assert!(e.chain().contains(text), "{}", e.chain());
    assert!(e.hint_text().is_some(), "{}", e.chain());
}

fn failed<T>(result: Result<T>, text: &str, hint: &str) {
    let Err(e) = result else {
        panic!("`{text}` was accepted")
    };
    assert_eq!(e.kind(), Kind::Environment, "{}", e.chain());
    assert!(e.chain().contains(text), "{}", e.chain());
    assert!(
        e.hint_text().is_some_and(|h| h.contains(hint)),
        "{:?}",
        e.hint_text()
    );
}

#[test]
fn fetches_what_was_asked_for_and_needed() {
    let w = World::new();
    let fetched = w.fetch().unwrap();
    let names: Vec<&str> = fetched.iter().map(|f| f.package.name.as_str()).collect();
    assert_eq!(names, ["app", "lib"]);
    for f in &fetched {
        assert_eq!(
            testing::sha256(&std::fs::read(&f.file).unwrap()),
            f.package.sha256
        );
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
        (
            Box::new(|b: &mut Vec<u8>| b[5] ^= 1) as Box<dyn FnOnce(&mut Vec<u8>)>,
            "SHA-256",
        ),
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
fn changed_lists_are_refused() {
    let list = "debian/dists/trixie/InRelease";
    let replace = |from: &'static str, to: &'static str| {
        move |b: &mut Vec<u8>| *b = String::from_utf8_lossy(b).replace(from, to).into_bytes()
    };
    let changes: Vec<(Box<dyn FnOnce(&mut Vec<u8>)>, &str)> = vec![
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

/// By hand: `HOLDFAST_CACHE=DIR cargo test -p image-build --lib live -- --ignored --nocapture`.
#[test]
#[ignore = "needs a Debian mirror and fetches 300 MB"]
fn live() {
    let time = std::time::Instant::now();
    let lap = |what: &str| eprintln!("{:8.3}s {what}", time.elapsed().as_secs_f64());
    let cache = Cache::open(None).unwrap();
    let mirrors = Mirrors::discover(None, None).unwrap();
    let progress = Progress::auto();
    let archive = Archive::open(&cache, &mirrors, "trixie", "amd64", &progress).unwrap();
    lap("open");
    let names = "base-files base-passwd bash coreutils systemd systemd-sysv udev dbus docker.io containerd openssh-server \
                 sudo linux-image-amd64 iproute2 ca-certificates iptables systemd-resolved systemd-timesyncd e2fsprogs mawk";
    let requested: Vec<String> = names.split_whitespace().map(String::from).collect();
    let lock = archive.resolve(&requested, &[]).unwrap();
    lap("resolve");
    for p in &lock.packages {
        eprintln!("{} {} {:?}", p.name, p.version, p.pocket);
    }
    let fetched = fetch::fetch(&cache, &mirrors, &lock, &progress).unwrap();
    lap("fetch");
    assert_eq!(fetched.len(), lock.packages.len());
}

#[test]
#[ignore = "needs a Debian mirror and fetches 70 MB"]
fn live_tools() {
    use crate::tools::{Closure, Tool, Tools};
    let cache = Cache::open(None).unwrap();
    let mirrors = Mirrors::discover(None, None).unwrap();
    let progress = Progress::auto();
    let archive = Archive::open(&cache, &mirrors, "trixie", "amd64", &progress).unwrap();
    for (closure, programs) in [
        (
            Closure::Build,
            &[Tool::MkfsErofs, Tool::GrubMkimage, Tool::QemuImg][..],
        ),
        (Closure::Run, &[Tool::Qemu, Tool::QemuImg, Tool::Swtpm][..]),
    ] {
        for _ in 0..2 {
            let time = std::time::Instant::now();
            let tools = Tools::open(&cache, &mirrors, &archive, closure, &progress).unwrap();
            eprintln!("{closure:?} {} {:?}", tools.id(), time.elapsed());
            for program in programs {
                let out = tools
                    .command(*program)
                    .unwrap()
                    .arg("--version")
                    .run()
                    .unwrap();
                eprintln!(
                    "{}",
                    String::from_utf8_lossy(&out).lines().next().unwrap_or("")
                );
            }
        }
        let time = std::time::Instant::now();
        let no_archive = || panic!("no network is needed");
        Tools::last_or(&cache, &mirrors, no_archive, closure, &progress).unwrap();
        eprintln!("last {:?}", time.elapsed());
    }
}
