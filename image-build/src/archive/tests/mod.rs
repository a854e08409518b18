use super::fetch::{Fetched, fetch_with};
use super::testing::{Fake, PATIENCE, Server, sha256};
use super::*;
use crate::error::Kind;

mod lists;
mod live;
mod packages;

/// A change of a served file.
type Change = Box<dyn FnOnce(&mut Vec<u8>)>;

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
        left == 0 && debs.iter().all(|(name, bytes)| *name == sha256(bytes))
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
