//! Two releases in memory, and a repository that can be made to lie.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::apply::{Applier, Error, Receiver};
use super::encode::{self, Patcher};
use super::index::{Index, Window, digest};
use super::plan::{Have, Plan, Way};
use crate::fetch::{self, Sink, Source};
use crate::release::{Artefact, Digest, Patch, Stream, Usr};
use crate::verity::{BLOCK, Builder, DIGEST, HashTree, Stored};

pub const SALT: [u8; 32] = [0xaa; 32];
/// Small windows, so that small images have several.
pub const WINDOW: u32 = 64 << 10;

/// A file system in memory.
pub struct Memory(pub Vec<u8>);

impl FileExt for Memory {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Files by path; what is done to them in transit; what was fetched.
#[derive(Default)]
pub struct Repository {
    pub files: HashMap<String, Vec<u8>>,
    /// Wrong copies of files on the first mirrors, the first one first.
    pub wrong: HashMap<String, Vec<Vec<u8>>>,
    pub blamed: Vec<String>,
    /// Breaks the next transfers after so many bytes.
    pub breaks: Vec<u64>,
    /// Bytes passed on, and requests.
    pub fetched: u64,
    pub requests: u64,
}

impl Repository {
    pub fn put(&mut self, name: &str, bytes: Vec<u8>) -> Artefact {
        let artefact = Artefact {
            name: name.to_owned(),
            length: bytes.len() as u64,
            sha256: digest(&bytes),
        };
        self.files.insert(artefact.path(), bytes);
        artefact
    }

    fn get(&self, name: &str) -> &[u8] {
        match self.wrong.get(name).and_then(|wrong| wrong.first()) {
            Some(wrong) => wrong,
            None => &self.files[name],
        }
    }
}

impl Source for Repository {
    fn document(&mut self, name: &str, cap: u64) -> Result<Option<Vec<u8>>, fetch::Error> {
        let bytes = self.get(name).to_vec();
        self.fetched += bytes.len() as u64;
        if bytes.len() as u64 > cap {
            let name = name.to_owned();
            return Err(fetch::Error::TooLong { name, cap });
        }
        Ok(Some(bytes))
    }

    fn range(
        &mut self,
        name: &str,
        range: Range<u64>,
        sink: &mut Sink<'_>,
    ) -> Result<(), fetch::Error> {
        self.requests += 1;
        let end = range.end;
        let stop = self
            .breaks
            .pop()
            .map_or(end, |len| end.min(range.start + len));
        let bytes = self.get(name);
        let bytes = bytes
            [(range.start as usize).min(bytes.len())..(stop as usize).min(bytes.len())]
            .to_vec();
        for piece in bytes.chunks(1000) {
            self.fetched += piece.len() as u64;
            sink(piece).map_err(fetch::Error::Sink)?;
        }
        if stop < end {
            return Err(fetch::Error::Unreachable {
                name: name.to_owned(),
                reason: "cut".to_owned(),
            });
        }
        Ok(())
    }

    fn blame(&mut self, name: &str) -> bool {
        self.blamed.push(name.to_owned());
        match self.wrong.get_mut(name) {
            Some(wrong) if !wrong.is_empty() => {
                wrong.remove(0);
                true
            }
            _ => false,
        }
    }
}

/// Collects a file system; keeps parts as a journal does.
#[derive(Default)]
pub struct Disk {
    pub bytes: Vec<u8>,
    pub windows: usize,
    pub part: Vec<u8>,
}

impl Receiver for Disk {
    fn window(&mut self, number: usize, offset: u64, plain: &[u8]) -> io::Result<()> {
        assert_eq!((number, offset), (self.windows, self.bytes.len() as u64));
        self.windows += 1;
        self.bytes.extend_from_slice(plain);
        self.part.clear();
        Ok(())
    }

    fn part(&mut self, number: usize, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(number, self.windows);
        self.part.extend_from_slice(bytes);
        Ok(())
    }

    fn drop_part(&mut self, number: usize) -> io::Result<()> {
        assert_eq!(number, self.windows);
        self.part.clear();
        Ok(())
    }
}

/// An old release on a machine and a new one in a repository.
pub struct Pair {
    pub old: Memory,
    pub old_tree: HashTree,
    pub stored: Stored,
    pub new: Vec<u8>,
    pub usr: Usr,
    pub repository: RefCell<Repository>,
}

pub fn tree(data: &[u8]) -> HashTree {
    let mut builder = Builder::new((data.len() / BLOCK) as u64, &SALT);
    builder.update(data);
    builder.finish().unwrap()
}

pub fn stream(repository: &mut Repository, name: &str, parts: Parts) -> Stream {
    let (windows, frames): (Vec<Window>, Vec<Vec<u8>>) = parts.windows.into_iter().unzip();
    let index = Index::new(parts.window, parts.size, parts.old_size, windows).unwrap();
    Stream {
        index: repository.put(&format!("{name}.index"), index.encode()),
        data: repository.put(&format!("{name}.zst"), frames.concat()),
    }
}

pub struct Parts {
    pub window: u32,
    pub size: u64,
    pub old_size: u64,
    pub windows: Vec<(Window, Vec<u8>)>,
}

impl Pair {
    pub fn new(old: Vec<u8>, new: Vec<u8>) -> Self {
        Self::with_windows(old, new, WINDOW)
    }

    pub fn with_windows(old: Vec<u8>, new: Vec<u8>, window: u32) -> Self {
        let (old_tree, new_tree) = (tree(&old), tree(&new));
        let old = Memory(old);
        let size = new.len() as u64;
        let mut repository = Repository::default();
        let full = new
            .chunks(window as usize)
            .map(|plain| encode::full(plain).unwrap());
        let full = Parts {
            window,
            size,
            old_size: 0,
            windows: full.collect(),
        };
        let full = stream(&mut repository, "full", full);
        let old_size = old.0.len() as u64;
        let patcher = Patcher::new(&old, old_size, old_tree.leaves().to_vec()).unwrap();
        let leaves = new_tree.leaves().chunks(window as usize / BLOCK * DIGEST);
        let patch = new
            .chunks(window as usize)
            .zip(leaves)
            .map(|(plain, leaves)| patcher.window(plain, leaves).unwrap());
        let patch = Parts {
            window,
            size,
            old_size,
            windows: patch.collect(),
        };
        let patch = stream(&mut repository, "patch", patch);
        let usr = Usr {
            size,
            root_hash: Digest(new_tree.root_hash),
            salt: init::verity::hex(&SALT),
            verity_uuid: String::new(),
            full,
            patches: vec![Patch {
                from_version: "1".to_owned(),
                from_root_hash: Digest(old_tree.root_hash),
                stream: patch,
            }],
            leaves: Some(repository.put("leaves", new_tree.leaves().to_vec())),
        };
        let stored = Stored {
            salt: SALT.to_vec(),
            leaves: old_tree.leaves().to_vec(),
            root_hash: old_tree.root_hash,
        };
        Self {
            old,
            old_tree,
            stored,
            new,
            usr,
            repository: RefCell::new(repository),
        }
    }

    pub fn have(&self) -> Have<'_> {
        Have {
            root_hash: Digest(self.old_tree.root_hash),
            size: self.old.0.len() as u64,
            stored: Some(&self.stored),
        }
    }

    pub fn plan(&self, way: Way) -> Plan {
        let mut repository = self.repository.borrow_mut();
        Plan::prepare(way, &self.usr, Some(&self.have()), &mut *repository).unwrap()
    }

    /// Carries out a plan from the start.
    pub fn apply(&self, plan: &Plan) -> (Disk, Result<(), Error>) {
        let mut disk = Disk::default();
        let mut applier = Applier::new(plan, Some(&self.old), 0);
        let result = applier.run(&mut *self.repository.borrow_mut(), &mut disk);
        (disk, result)
    }
}

pub const WAYS: [Way; 3] = [Way::Patch(0), Way::Reuse, Way::Full];

/// Bytes that look a little like files: words, numbers, noise, holes.
pub fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut out = Vec::with_capacity(len + 600);
    while out.len() < len {
        let value = next();
        match value % 8 {
            0 => out.resize(out.len() + value as usize % 500, 0),
            1..=3 => out.extend_from_slice(&next().to_le_bytes()),
            _ => out.extend_from_slice(format!("name {} ", value % 5000).as_bytes()),
        }
    }
    out.truncate(len);
    out
}

/// One change of an image.
#[derive(Debug, Clone)]
pub enum Edit {
    Insert(prop::sample::Index, u64, usize),
    Remove(prop::sample::Index, usize),
    Overwrite(prop::sample::Index, u64, usize),
    Move(prop::sample::Index, usize, prop::sample::Index),
}

/// Changes of any kind and size.
pub fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u64>(), 1..40_000usize).prop_map(|(a, s, l)| Edit::Insert(a, s, l)),
        (at(), 1..40_000usize).prop_map(|(a, l)| Edit::Remove(a, l)),
        (at(), any::<u64>(), 1..40_000usize).prop_map(|(a, s, l)| Edit::Overwrite(a, s, l)),
        (at(), 1..80_000usize, at()).prop_map(|(a, l, b)| Edit::Move(a, l, b)),
    ]
}

/// Applies changes; the result is a whole number of blocks, at least one.
pub fn edited(old: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut new = old.to_vec();
    for edit in edits {
        let len = new.len().max(1);
        match edit {
            Edit::Insert(at, seed, count) => {
                let at = at.index(len).min(new.len());
                drop(new.splice(at..at, content(*seed, *count)));
            }
            Edit::Remove(at, count) => {
                let at = at.index(len).min(new.len());
                drop(new.drain(at..(at + count).min(new.len())));
            }
            Edit::Overwrite(at, seed, count) => {
                let at = at.index(len).min(new.len());
                let end = (at + count).min(new.len());
                new[at..end].copy_from_slice(&content(*seed, end - at));
            }
            Edit::Move(from, count, to) => {
                let from = from.index(len).min(new.len());
                let piece: Vec<u8> = new.drain(from..(from + count).min(new.len())).collect();
                let to = to.index(new.len().max(1)).min(new.len());
                drop(new.splice(to..to, piece));
            }
        }
    }
    let blocks = new.len().div_ceil(BLOCK).max(1);
    new.resize(blocks * BLOCK, 0);
    new
}
