//! Directories: what is in them, and the entries they are stored as.

use std::collections::{BTreeMap, BTreeSet};

use super::geometry::Geometry;
use super::name::{self, Short};
use super::{CLUSTER, Clusters};
use crate::boot::esp::Files;
use crate::error::{Error, Result};

const ENTRY: u64 = 32;
/// 1980-01-01.
const DATE: u16 = 1 << 5 | 1;
const DIRECTORY: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
const VOLUME: u8 = 0x08;

/// A directory before it has its place.
pub(super) struct Directory<'a> {
    label: Option<Short>,
    items: BTreeMap<&'a str, Item<'a>>,
}

enum Item<'a> {
    File(&'a [u8]),
    Directory(Directory<'a>),
}

impl<'a> Directory<'a> {
    /// The root directory with all below it.
    pub(super) fn new(files: &'a Files, label: Short) -> Result<Self> {
        let mut root = Directory {
            label: Some(label),
            items: BTreeMap::new(),
        };
        for (path, content) in files {
            root.insert(path, content).ok_or_else(|| {
                Error::input(format!("`{path}` cannot be stored on a FAT file system"))
            })?;
        }
        Ok(root)
    }

    fn insert(&mut self, path: &'a str, content: &'a [u8]) -> Option<()> {
        let (first, rest) = path
            .split_once('/')
            .map_or((path, None), |(first, rest)| (first, Some(rest)));
        let good = |c: char| !c.is_control() && !"\"*/:<>?\\|".contains(c);
        if first.is_empty()
            || first == "."
            || first == ".."
            || first.len() > 255
            || !first.chars().all(good)
        {
            return None;
        }
        let Some(rest) = rest else {
            return self
                .items
                .insert(first, Item::File(content))
                .is_none()
                .then_some(());
        };
        let below = Directory {
            label: None,
            items: BTreeMap::new(),
        };
        match self.items.entry(first).or_insert(Item::Directory(below)) {
            Item::Directory(below) => below.insert(rest, content),
            Item::File(_) => None,
        }
    }

    /// Bytes its entries take at most; never 0.
    pub(super) fn bytes(&self) -> u64 {
        let long = |name: &&str| name.encode_utf16().count().div_ceil(13) as u64 + 1;
        // Label, or the two entries for itself and its parent; and an end.
        (3 + self.items.keys().map(long).sum::<u64>()) * ENTRY
    }
}

/// Where a directory is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// First cluster; 0 for FAT16's root.
    pub(super) cluster: u32,
    /// First cluster of the parent; 0 when that is the root.
    pub(super) parent: u32,
    /// First byte in the volume.
    pub(super) at: u64,
}

/// Gives everything below `directory` its clusters and hands out the bytes to be
/// written, by offset. Nothing when the volume is full.
pub(super) fn place<'a>(
    directory: &Directory<'a>,
    here: Place,
    geometry: &Geometry,
    clusters: &mut Clusters,
    put: &mut dyn FnMut(u64, &[u8]) -> std::io::Result<()>,
) -> Option<std::io::Result<()>> {
    let mut out = Vec::new();
    match directory.label {
        Some(label) => out.extend(entry(&label, VOLUME, 0, 0)),
        None => {
            out.extend(entry(b".          ", DIRECTORY, here.cluster, 0));
            out.extend(entry(b"..         ", DIRECTORY, here.parent, 0));
        }
    }
    let mut taken = BTreeSet::new();
    for (name, item) in &directory.items {
        let (short, needs_long) = name::short(name, &taken)?;
        taken.insert(short);
        if needs_long {
            out.extend(name::long_entries(name, &short).concat());
        }
        match item {
            Item::File(content) => {
                let size = content.len() as u64;
                let first = clusters.take(size)?;
                out.extend(entry(&short, ARCHIVE, first, u32::try_from(size).ok()?));
                if first != 0
                    && let Err(e) = put(geometry.offset(first), content)
                {
                    return Some(Err(e));
                }
            }
            Item::Directory(below) => {
                let cluster = clusters.take(below.bytes())?;
                out.extend(entry(&short, DIRECTORY, cluster, 0));
                let parent = if directory.label.is_some() {
                    0
                } else {
                    here.cluster
                };
                let there = Place {
                    cluster,
                    parent,
                    at: geometry.offset(cluster),
                };
                if let Err(e) = place(below, there, geometry, clusters, put)? {
                    return Some(Err(e));
                }
            }
        }
    }
    debug_assert!(out.len() as u64 <= directory.bytes().next_multiple_of(CLUSTER));
    Some(put(here.at, &out))
}

fn entry(short: &Short, attributes: u8, cluster: u32, size: u32) -> [u8; 32] {
    let mut entry = [0; 32];
    entry[..11].copy_from_slice(short);
    entry[11] = attributes;
    // Date of creation, of the last access, of the last change.
    for at in [16, 18, 24] {
        entry[at..at + 2].copy_from_slice(&DATE.to_le_bytes());
    }
    let cluster = cluster.to_le_bytes();
    entry[20..22].copy_from_slice(&cluster[2..]);
    entry[26..28].copy_from_slice(&cluster[..2]);
    entry[28..].copy_from_slice(&size.to_le_bytes());
    entry
}
