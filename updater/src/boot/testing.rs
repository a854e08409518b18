//! An ESP in memory that records what is done to it, and models of what firmware
//! and loaders boot from one.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use super::Esp;
use crate::bls::{Counters, EntryName};
use crate::grub::{Env, State};
use crate::slots::testing::{Log, Op};
use crate::uki;
use crate::version::Version;

/// Files by path. Two names may have the same clusters; whoever removes one of them
/// frees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fat {
    names: BTreeMap<String, usize>,
    clusters: BTreeMap<usize, Vec<u8>>,
    next: usize,
}

impl Fat {
    pub fn read(&self, path: &str) -> Option<&Vec<u8>> {
        self.clusters.get(self.names.get(path)?)
    }

    pub fn put(&mut self, path: &str, bytes: &[u8]) {
        self.remove(path);
        self.next += 1;
        self.clusters.insert(self.next, bytes.to_vec());
        self.names.insert(path.to_owned(), self.next);
    }

    pub fn remove(&mut self, path: &str) {
        if let Some(cluster) = self.names.remove(path) {
            self.clusters.remove(&cluster);
        }
    }

    /// A second name for the same clusters: half of a rename.
    pub fn link(&mut self, from: &str, to: &str) {
        let cluster = self.names[from];
        self.remove(to);
        self.names.insert(to.to_owned(), cluster);
    }

    pub fn rename(&mut self, from: &str, to: &str) {
        self.link(from, to);
        self.names.remove(from);
    }

    pub fn names(&self, folder: &str) -> Vec<String> {
        let strip = |path: &String| match folder {
            "" => Some(path.clone()).filter(|p| !p.contains('/')),
            _ => Some(path.strip_prefix(folder)?.strip_prefix('/')?.to_owned())
                .filter(|p| !p.contains('/')),
        };
        self.names.keys().filter_map(strip).collect()
    }

    fn used(&self) -> u64 {
        self.clusters.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// Does all of a recorded operation; disk operations do nothing here.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Create { path, bytes } => self.put(path, bytes),
            Op::Overwrite { path, bytes } => {
                let cluster = self.names[path];
                self.clusters.insert(cluster, bytes.clone());
            }
            Op::Rename { from, to } => self.rename(from, to),
            Op::Remove { path } => self.remove(path),
            Op::Write { .. } | Op::Sync => {}
        }
    }

    /// What a cut in the middle of an operation may leave.
    pub fn cut(&self, op: &Op) -> Vec<Fat> {
        let with = |change: &dyn Fn(&mut Fat)| {
            let mut fat = self.clone();
            change(&mut fat);
            fat
        };
        match op {
            Op::Create { path, bytes } => vec![
                with(&|fat| fat.remove(path)),
                with(&|fat| fat.put(path, &[])),
                with(&|fat| fat.put(path, &bytes[..bytes.len() / 2])),
                with(&|fat| fat.put(path, &vec![0; bytes.len()])),
            ],
            // Both names, and what a driver that does not keep the order could leave:
            // neither.
            Op::Rename { from, to } => vec![
                with(&|fat| fat.link(from, to)),
                with(&|fat| {
                    fat.remove(to);
                    fat.remove(from);
                }),
            ],
            _ => Vec::new(),
        }
    }
}

pub(crate) struct RamEsp {
    pub fat: Mutex<Fat>,
    pub capacity: Mutex<u64>,
    /// This byte of new files is wrong on the medium.
    pub stuck: Mutex<Option<usize>>,
    pub log: Log,
}

impl RamEsp {
    pub fn new(fat: Fat, log: Log) -> Self {
        RamEsp {
            fat: Mutex::new(fat),
            capacity: Mutex::new(16 << 20),
            stuck: Mutex::default(),
            log,
        }
    }

    pub fn fat(&self) -> Fat {
        self.fat.lock().unwrap().clone()
    }

    fn done(&self, op: Op) -> io::Result<()> {
        self.fat.lock().unwrap().apply(&op);
        self.log.lock().unwrap().push(op);
        Ok(())
    }
}

impl Esp for RamEsp {
    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let fat = self.fat();
        let path = |name: &String| match folder {
            "" => name.clone(),
            _ => format!("{folder}/{name}"),
        };
        let size = |name: &String| fat.read(&path(name)).map_or(0, |bytes| bytes.len() as u64);
        let names = fat.names(folder);
        Ok(names
            .into_iter()
            .map(|name| (name.clone(), size(&name)))
            .collect())
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let bytes = self.fat().read(path).cloned();
        bytes.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() as u64 > self.free()? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut bytes = bytes.to_vec();
        if let Some(byte) = self.stuck.lock().unwrap().and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
        }
        self.done(Op::Create {
            path: path.to_owned(),
            bytes,
        })
    }

    fn overwrite(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(self.read(path)?.len(), bytes.len());
        self.done(Op::Overwrite {
            path: path.to_owned(),
            bytes: bytes.to_vec(),
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.read(from)?;
        self.done(Op::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        if !self.fat().names.contains_key(path) {
            return Ok(());
        }
        self.done(Op::Remove {
            path: path.to_owned(),
        })
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self
            .capacity
            .lock()
            .unwrap()
            .saturating_sub(self.fat().used()))
    }
}

/// A UKI with `cmdline` that is `len` bytes long or a little more.
pub(crate) fn make_uki(version: &Version, cmdline: &str, len: usize) -> Vec<u8> {
    let osrel = format!("ID=holdfast\nIMAGE_ID=holdfast\nIMAGE_VERSION=\"{version}\"\n");
    let body: Vec<u8> = (0..len).map(|at| (at / 7) as u8).collect();
    let (linux, initrd) = body.split_at(len / 2);
    let sections = [
        (".osrel", osrel.as_bytes()),
        (".cmdline", cmdline.as_bytes()),
        (".linux", linux),
        (".initrd", initrd),
    ];
    let mut file = vec![0; 0x80];
    file[..2].copy_from_slice(b"MZ");
    file[0x3c] = 0x40;
    file[0x40..0x44].copy_from_slice(b"PE\0\0");
    file[0x46] = sections.len() as u8;
    file.truncate(OPTIONAL);
    // PE32+ with 16 tables, which are empty.
    let tables = 112 + 16 * 8;
    file[0x54] = tables as u8;
    file.resize(OPTIONAL + tables, 0);
    file[OPTIONAL..OPTIONAL + 2].copy_from_slice(&[0x0b, 0x02]);
    file[OPTIONAL + 108] = 16;
    let mut data = Vec::new();
    for (name, bytes) in sections {
        let mut row = [0; 40];
        row[..name.len()].copy_from_slice(name.as_bytes());
        let padded = bytes.len().next_multiple_of(512);
        let numbers = [bytes.len(), 0, padded, 512 + data.len()];
        for (at, number) in (8..).step_by(4).zip(numbers) {
            row[at..at + 4].copy_from_slice(&(number as u32).to_le_bytes());
        }
        file.extend_from_slice(&row);
        data.extend_from_slice(bytes);
        data.resize(data.len().next_multiple_of(512), 0);
    }
    file.resize(512, 0);
    file.extend_from_slice(&data);
    file
}

/// Where the second header of [`make_uki`] begins.
const OPTIONAL: usize = 0x58;

/// A UKI of [`make_uki`] with one more signature, PKCS#7 in DER, which is not over it.
pub(crate) fn signed(mut file: Vec<u8>, pkcs7: &[u8]) -> Vec<u8> {
    let entry = OPTIONAL + 112 + 4 * 8;
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let start = match number(entry) {
        0 => file.len().next_multiple_of(8),
        start => start,
    };
    file.resize(file.len().next_multiple_of(8), 0);
    file.extend((pkcs7.len() as u32 + 8).to_le_bytes());
    file.extend([0, 2, 2, 0]);
    file.extend(pkcs7);
    file.resize(file.len().next_multiple_of(8), 0);
    let table = [start, file.len() - start].map(|n| (n as u32).to_le_bytes());
    file[entry..entry + 8].copy_from_slice(&table.concat());
    file
}

/// The root hash that a kernel command line names.
fn usrhash(cmdline: &str) -> Option<String> {
    let mut words = cmdline
        .split(' ')
        .filter_map(|w| w.strip_prefix("usrhash="));
    words.next_back().map(str::to_owned)
}

/// systemd-boot: chooses an entry, takes one of its tries, and starts it. Returns
/// the `usrhash=` it was started with; none if there is no entry, or if the chosen
/// one cannot be started.
pub(crate) fn systemd_boot(fat: &mut Fat) -> Option<String> {
    struct Found {
        path: String,
        /// None in names that are not ours: it has no counters then.
        name: Option<EntryName>,
        version: Version,
    }
    let mut found: Vec<Found> = Vec::new();
    for file in fat.names("EFI/Linux") {
        let path = format!("EFI/Linux/{file}");
        if !file.to_ascii_lowercase().ends_with(".efi") {
            continue;
        }
        let name = EntryName::parse(&file);
        // What is no UKI is not shown at all.
        let Some(osrel) = fat.read(&path).and_then(|f| uki::text(f, ".osrel").ok()?) else {
            continue;
        };
        let version = osrel.lines().find_map(|l| l.strip_prefix("IMAGE_VERSION="));
        let version = version.unwrap().trim_matches('"').parse().unwrap();
        found.push(Found {
            path,
            name,
            version,
        });
    }
    let counters = |f: &Found| f.name.as_ref()?.counters;
    let left = |f: &Found| counters(f).map(|c| c.left);
    found.sort_by(|a, b| {
        (left(a) == Some(0))
            .cmp(&(left(b) == Some(0)))
            .then(super::order::compare(&b.version, &a.version))
    });
    let first = found.first()?;
    let mut path = first.path.clone();
    if let (Some(name), Some(Counters { left, done })) = (&first.name, counters(first)) {
        let next = EntryName {
            version: name.version.clone(),
            counters: Some(Counters {
                left: left.saturating_sub(1),
                done: done + 1,
            }),
        };
        let to = format!("EFI/Linux/{next}");
        fat.rename(&path, &to);
        path = to;
    }
    usrhash(&uki::text(fat.read(&path)?, ".cmdline").ok()??)
}

/// `grub.cfg`: the same for a BIOS machine.
pub(crate) fn grub(fat: &mut Fat) -> Option<String> {
    let env = fat
        .read("grub/grubenv")
        .and_then(|block| Env::parse(block).ok());
    let mut state = State::read(&env.unwrap_or_default());
    if state.order.is_empty() {
        state.order = vec!['a', 'b'];
    }
    for slot in state.order.clone() {
        if let Some(left) = state.left.iter_mut().find(|(s, _)| *s == slot) {
            if left.1 == 0 {
                continue;
            }
            left.1 -= 1;
            let block = state.write().unwrap().to_vec();
            fat.apply(&Op::Overwrite {
                path: "grub/grubenv".into(),
                bytes: block,
            });
        }
        if let Some(hash) = grub_slot(fat, slot) {
            return Some(hash);
        }
    }
    let rest = state.good.into_iter().chain(state.order).chain(['a', 'b']);
    rest.into_iter().find_map(|slot| grub_slot(fat, slot))
}

/// `boot_slot` of `grub.cfg` with the script of a slot.
fn grub_slot(fat: &Fat, slot: char) -> Option<String> {
    let script = String::from_utf8(fat.read(&format!("grub/{slot}.cfg"))?.clone()).ok()?;
    let value = |name: &str| {
        let line = script
            .lines()
            .find_map(|l| l.strip_prefix(&format!("set {name}=")));
        line.map(|value| value.trim_matches('\'').to_owned())
    };
    let paths = script
        .lines()
        .find_map(|l| l.strip_prefix("for path in "))?;
    let mut paths = paths
        .strip_suffix("; do")?
        .split(' ')
        .map(|p| p.trim_matches('\''));
    let uki = paths.find_map(|path| fat.read(&path[1..]).filter(|uki| !uki.is_empty()))?;
    // The sectors must be those of this UKI.
    for (name, section) in [("linux", ".linux"), ("initrd", ".initrd")] {
        let blocks = value(name)?;
        let (first, _) = blocks.split_once('+')?;
        let sections = uki::sections(uki).ok()?;
        let found = sections.iter().find(|s| s.name == section)?;
        assert_eq!(first.parse(), Ok(found.offset / 512));
    }
    usrhash(&value("cmdline")?)
}
