//! Writes a FAT32 in the steps of Linux' vfat driver, mounted with `dirsync`.
//!
//! A new name: the sectors with its parts, that with the short name last, without
//! clusters. A rename: the new name, then its clusters, then the old name goes, short
//! part first. A removal: the name, then the tables. A file that is flushed: its
//! bytes, its entry, the tables. Only `fsync` flushes what the disk itself keeps; any
//! sector written since may be lost.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use super::reader::{DELETED, Found, LONG, Layout, Place, SLOT, checksum};
use super::volume::{Event, SECTOR, Sector, Volume};
use crate::boot::Esp;
use crate::slots::Storage;

/// Characters in a part of a long name.
const PART: usize = 13;

pub(super) struct Vfat {
    layout: Layout,
    state: Mutex<State>,
}

struct State {
    volume: Volume,
    log: Vec<Event>,
}

impl State {
    fn put(&mut self, number: u64, bytes: Sector) {
        self.volume.set(number, bytes);
        self.log.push(Event::Write(number, bytes));
    }

    fn change(&mut self, place: Place, bytes: &[u8]) {
        let mut sector = self.volume.get(place.0);
        sector[place.1..place.1 + bytes.len()].copy_from_slice(bytes);
        self.put(place.0, sector);
    }

    fn flush(&mut self) {
        self.log.push(Event::Flush);
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Vfat {
    pub fn new(volume: Volume) -> Self {
        Vfat {
            layout: Layout::of(&volume),
            state: Mutex::new(State {
                volume,
                log: Vec::new(),
            }),
        }
    }

    pub fn volume(&self) -> Volume {
        self.state.lock().unwrap().volume.clone()
    }

    /// What was written since the last call.
    pub fn take_log(&self) -> Vec<Event> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The folder's first cluster, and the file's name.
    fn split<'p>(&self, state: &State, path: &'p str) -> io::Result<(u32, &'p str)> {
        match path.rsplit_once('/') {
            None => Ok((self.layout.root, path)),
            Some((folder, name)) => {
                let found = self.layout.find(&state.volume, folder);
                Ok((found.ok_or_else(missing)?.first, name))
            }
        }
    }

    fn link(&self, state: &mut State, cluster: u32, next: u32) {
        for table in 0..2 {
            let place = self.layout.entry(table, cluster);
            state.change(place, &next.to_le_bytes());
        }
    }

    /// Frees a chain, as far as it goes.
    fn free(&self, state: &mut State, first: u32) {
        let mut cluster = first;
        while (2..self.layout.end).contains(&cluster) {
            let next = self.layout.next(&state.volume, cluster);
            if next == 0 {
                break;
            }
            self.link(state, cluster, 0);
            cluster = next;
        }
    }

    /// Takes the first free clusters.
    fn take(&self, state: &mut State, count: usize) -> io::Result<Vec<u32>> {
        let mut chain: Vec<u32> = Vec::new();
        for cluster in 2..self.layout.end {
            if chain.len() == count {
                break;
            }
            if self.layout.next(&state.volume, cluster) == 0 {
                self.link(state, cluster, 0x0fff_ffff);
                if let Some(last) = chain.last() {
                    self.link(state, *last, cluster);
                }
                chain.push(cluster);
            }
        }
        if chain.len() < count {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(chain)
    }

    /// A name without clusters. Returns the place of its short part.
    fn add(&self, state: &mut State, folder: u32, name: &str) -> Place {
        let taken: Vec<[u8; 11]> = self
            .layout
            .list(&state.volume, folder)
            .iter()
            .map(|f| f.short)
            .collect();
        let short = short(name, &taken);
        let units: Vec<u16> = name.encode_utf16().collect();
        let count = units.len().div_ceil(PART);
        let mut slots: Vec<[u8; SLOT]> = Vec::new();
        for number in (0..count).rev() {
            let mut slot = [0xff; SLOT];
            slot[0] = number as u8 + 1 + if number + 1 == count { 0x40 } else { 0 };
            (slot[11], slot[12], slot[13]) = (LONG, 0, checksum(&short));
            slot[26..28].fill(0);
            let places = [1..11, 14..26, 28..32].into_iter().flatten().step_by(2);
            let part = units[number * PART..].iter().copied().chain([0]).take(PART);
            for (at, unit) in places.zip(part) {
                slot[at..at + 2].copy_from_slice(&unit.to_le_bytes());
            }
            slots.push(slot);
        }
        let mut last = [0; SLOT];
        last[..11].copy_from_slice(&short);
        last[11] = 0x20;
        slots.push(last);

        let all = self.layout.slots(&state.volume, folder);
        let is_free = |place: &Place| {
            let first = state.volume.get(place.0)[place.1];
            first == 0 || first == DELETED
        };
        let run = all
            .windows(slots.len())
            .find(|run| run.iter().all(is_free))
            .expect("room in the directory")
            .to_vec();
        // Sector by sector.
        for sector in sectors(run.iter()) {
            let mut bytes = state.volume.get(sector);
            for ((_, at), slot) in run.iter().zip(&slots).filter(|(p, _)| p.0 == sector) {
                bytes[*at..*at + SLOT].copy_from_slice(slot);
            }
            state.put(sector, bytes);
        }
        run[slots.len() - 1]
    }

    /// Gives a name its clusters.
    fn attach(&self, state: &mut State, place: Place, first: u32, size: u32) {
        let mut sector = state.volume.get(place.0);
        let slot = &mut sector[place.1..place.1 + SLOT];
        slot[20..22].copy_from_slice(&((first >> 16) as u16).to_le_bytes());
        slot[26..28].copy_from_slice(&(first as u16).to_le_bytes());
        slot[28..32].copy_from_slice(&size.to_le_bytes());
        state.put(place.0, sector);
    }

    fn drop_name(&self, state: &mut State, file: &Found) {
        for sector in sectors(file.slots.iter().rev()) {
            let mut bytes = state.volume.get(sector);
            for (_, at) in file.slots.iter().filter(|p| p.0 == sector) {
                bytes[*at] = DELETED;
            }
            state.put(sector, bytes);
        }
    }

    fn unlink(&self, state: &mut State, path: &str) -> bool {
        let Some(file) = self.layout.find(&state.volume, path) else {
            return false;
        };
        self.drop_name(state, &file);
        self.free(state, file.first);
        state.flush();
        true
    }

    fn fill(&self, state: &mut State, chain: &[u32], bytes: &[u8]) {
        let sectors = chain
            .iter()
            .flat_map(|c| (0..self.layout.per_cluster).map(|n| self.layout.sector(*c) + n));
        for (number, piece) in sectors.zip(bytes.chunks(SECTOR)) {
            let mut sector = [0; SECTOR];
            sector[..piece.len()].copy_from_slice(piece);
            if state.volume.get(number) != sector {
                state.put(number, sector);
            }
        }
    }
}

/// The sectors of some places, each once, in order.
fn sectors<'p>(places: impl Iterator<Item = &'p Place>) -> Vec<u64> {
    let mut sectors: Vec<u64> = places.map(|place| place.0).collect();
    sectors.dedup();
    sectors
}

/// `HOLDFA~1.EFI`
fn short(name: &str, taken: &[[u8; 11]]) -> [u8; 11] {
    let (stem, suffix) = name.rsplit_once('.').unwrap_or((name, ""));
    let plain = |text: &str, most: usize| {
        let chars = text.bytes().filter(|b| *b != b'.' && *b != b' ');
        let replace = |b: u8| if b"+,;=[]".contains(&b) { b'_' } else { b };
        let chars = chars.map(|b| replace(b).to_ascii_uppercase());
        chars.take(most).collect::<Vec<u8>>()
    };
    let mut short = [b' '; 11];
    for (to, from) in short[8..].iter_mut().zip(plain(suffix, 3)) {
        *to = from;
    }
    let stem = plain(stem, 6);
    for number in b'1'..=b'9' {
        let tail = [b'~', number];
        for (to, from) in short[..8].iter_mut().zip(stem.iter().chain(&tail)) {
            *to = *from;
        }
        if !taken.contains(&short) {
            return short;
        }
    }
    panic!("too many names");
}

impl Esp for Vfat {
    fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let state = self.state.lock().unwrap();
        let first = match folder {
            "" => Some(self.layout.root),
            _ => self.layout.find(&state.volume, folder).map(|f| f.first),
        };
        let files = first.map(|first| self.layout.list(&state.volume, first));
        let files = files.into_iter().flatten().filter(|f| !f.directory);
        let mut files: Vec<_> = files.map(|f| (f.name, u64::from(f.size))).collect();
        files.sort();
        Ok(files)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let state = self.state.lock().unwrap();
        let file = self.layout.find(&state.volume, path).ok_or_else(missing)?;
        let bytes = self.layout.read(&state.volume, &file);
        bytes.ok_or_else(|| io::Error::from_raw_os_error(5))
    }

    fn create(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        self.unlink(state, path);
        let (folder, name) = self.split(state, path)?;
        let place = self.add(state, folder, name);
        let count = bytes
            .len()
            .div_ceil(SECTOR * self.layout.per_cluster as usize);
        let chain = self.take(state, count)?;
        self.fill(state, &chain, bytes);
        let first = chain.first().copied().unwrap_or(0);
        self.attach(state, place, first, bytes.len() as u32);
        state.flush();
        Ok(())
    }

    fn overwrite(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let file = self.layout.find(&state.volume, path).ok_or_else(missing)?;
        assert_eq!(file.size as usize, bytes.len());
        let chain = self.layout.chain(&state.volume, file.first);
        let chain = chain.ok_or_else(|| io::Error::from_raw_os_error(5))?;
        self.fill(&mut state, &chain, bytes);
        state.flush();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let old = self.layout.find(&state.volume, from).ok_or_else(missing)?;
        let (folder, name) = self.split(state, to)?;
        let there = self.layout.find(&state.volume, to);
        let place = match &there {
            Some(there) => *there.slots.last().unwrap(),
            None => self.add(state, folder, name),
        };
        self.attach(state, place, old.first, old.size);
        self.drop_name(state, &old);
        if let Some(there) = there {
            self.free(state, there.first);
        }
        state.flush();
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.unlink(&mut self.state.lock().unwrap(), path);
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        let state = self.state.lock().unwrap();
        // As if it were small.
        let used = (2..300).filter(|c| self.layout.next(&state.volume, *c) != 0);
        Ok((2000 - used.count() as u64) * 4096)
    }
}

impl FileExt for Vfat {
    fn read_at(&self, to: &mut [u8], at: u64) -> io::Result<usize> {
        let sector = self.state.lock().unwrap().volume.get(at / SECTOR as u64);
        let rest = &sector[(at % SECTOR as u64) as usize..];
        let len = to.len().min(rest.len());
        to[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, from: &[u8], at: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        let offset = (at % SECTOR as u64) as usize;
        let len = from.len().min(SECTOR - offset);
        state.change((at / SECTOR as u64, offset), &from[..len]);
        Ok(len)
    }
}

impl Storage for Vfat {
    fn sync(&self) -> io::Result<()> {
        self.state.lock().unwrap().flush();
        Ok(())
    }

    fn forget(&self) -> io::Result<()> {
        Ok(())
    }
}
