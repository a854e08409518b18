//! Small ISO 9660 images (ECMA-119) with Rock Ridge names (RRIP 1.12): what
//! hypervisors attach as config drives.

use std::collections::BTreeMap;

const SECTOR: usize = 2048;
/// First sector after the volume descriptors.
const FIRST_FREE: usize = 18;
/// 2026-01-01 00:00:00 UTC; the same content always gives the same bytes.
const DATE: [u8; 7] = [126, 1, 1, 0, 0, 0, 0];
const LONG_DATE: &[u8; 17] = b"2026010100000000\0";

/// A file of an image.
#[derive(Debug, Clone)]
pub struct File {
    path: Vec<String>,
    content: Vec<u8>,
}

impl File {
    /// `path` is relative to the root; directories come into being by themselves.
    pub fn new(path: &str, content: impl Into<Vec<u8>>) -> Self {
        File {
            path: path.split('/').map(str::to_owned).collect(),
            content: content.into(),
        }
    }
}

#[derive(Default)]
struct Dir {
    parent: usize,
    name: String,
    dirs: BTreeMap<String, usize>,
    files: BTreeMap<String, usize>,
    /// First sector and length in bytes.
    extent: (usize, usize),
}

/// The image, with the volume label `label` (at most 32 bytes are kept).
pub fn image(label: &str, files: &[File]) -> Vec<u8> {
    let mut dirs = directories(files);
    // Path tables first, then directories, then files.
    let table_len: usize = dirs
        .iter()
        .map(|d| 8 + even(iso_name(&d.name).len().max(1)))
        .sum();
    let table_sectors = table_len.div_ceil(SECTOR);
    let mut next = FIRST_FREE + 2 * table_sectors;
    for n in 0..dirs.len() {
        // The length of a directory does not depend on where things are.
        let len = directory(&dirs, n, files, &[]).len();
        dirs[n].extent = (next, len);
        next += len / SECTOR;
    }
    let mut starts = Vec::new();
    for file in files {
        starts.push(next);
        next += file.content.len().div_ceil(SECTOR);
    }

    let mut out = vec![0; 16 * SECTOR];
    out.extend(primary_descriptor(
        label,
        next,
        dirs[0].extent,
        table_len,
        table_sectors,
    ));
    let mut end = vec![255];
    end.extend(b"CD001\x01");
    pad(&mut end);
    out.extend(end);
    for big_endian in [false, true] {
        let mut table = path_table(&dirs, big_endian);
        pad(&mut table);
        out.extend(table);
    }
    for n in 0..dirs.len() {
        out.extend(directory(&dirs, n, files, &starts));
    }
    for file in files {
        out.extend_from_slice(&file.content);
        pad(&mut out);
    }
    out
}

fn even(n: usize) -> usize {
    n + n % 2
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().div_ceil(SECTOR) * SECTOR, 0);
}

/// Directories, parents first, one level after the other as path tables want it.
fn directories(files: &[File]) -> Vec<Dir> {
    let mut dirs = vec![Dir::default()];
    let depth = files.iter().map(|f| f.path.len()).max().unwrap_or(0);
    for level in 1..=depth {
        for (n, file) in files.iter().enumerate() {
            let (Some(name), true) = (file.path.get(level - 1), file.path.len() >= level) else {
                continue;
            };
            let parent = file.path[..level - 1]
                .iter()
                .fold(0, |at, part| dirs[at].dirs.get(part).copied().unwrap_or(0));
            if file.path.len() == level {
                dirs[parent].files.insert(name.clone(), n);
            } else if !dirs[parent].dirs.contains_key(name) {
                let new = dirs.len();
                dirs[parent].dirs.insert(name.clone(), new);
                dirs.push(Dir {
                    parent,
                    name: name.clone(),
                    ..Dir::default()
                });
            }
        }
    }
    dirs
}

/// The name for readers without Rock Ridge.
fn iso_name(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .take(28)
        .collect()
}

/// A number in both byte orders, as most fields have it.
fn both32(n: usize) -> [u8; 8] {
    let n = n as u32;
    let mut out = [0; 8];
    out[..4].copy_from_slice(&n.to_le_bytes());
    out[4..].copy_from_slice(&n.to_be_bytes());
    out
}

fn both16(n: u16) -> [u8; 4] {
    let mut out = [0; 4];
    out[..2].copy_from_slice(&n.to_le_bytes());
    out[2..].copy_from_slice(&n.to_be_bytes());
    out
}

fn record(name: &[u8], extent: (usize, usize), is_dir: bool, system_use: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0];
    out.extend(both32(extent.0));
    out.extend(both32(extent.1));
    out.extend(DATE);
    out.extend([if is_dir { 2 } else { 0 }, 0, 0]);
    out.extend(both16(1));
    out.push(name.len() as u8);
    out.extend(name);
    if out.len() % 2 == 1 {
        out.push(0);
    }
    out.extend(system_use);
    if out.len() % 2 == 1 {
        out.push(0);
    }
    out[0] = out.len() as u8;
    out
}

/// Rock Ridge: mode, links, owner.
fn px(is_dir: bool) -> Vec<u8> {
    let mut out = b"PX\x24\x01".to_vec();
    out.extend(both32(if is_dir { 0o040_555 } else { 0o100_444 }));
    out.extend(both32(1));
    out.extend(both32(0));
    out.extend(both32(0));
    out
}

/// Rock Ridge: mode and the real name.
fn named(name: &str, is_dir: bool) -> Vec<u8> {
    let mut out = px(is_dir);
    // A record has at most 254 bytes, of which the rest needs fewer than 110.
    let name = &name.as_bytes()[..name.len().min(140)];
    out.extend(b"NM");
    out.extend([5 + name.len() as u8, 1, 0]);
    out.extend(name);
    out
}

/// A directory's sectors. Without `starts`, only the length is right.
fn directory(dirs: &[Dir], n: usize, files: &[File], starts: &[usize]) -> Vec<u8> {
    let dir = &dirs[n];
    let mut own = Vec::new();
    if n == 0 {
        own.extend(b"SP\x07\x01\xbe\xef\x00");
        own.extend(b"ER\x12\x01\x0a\x00\x00\x01RRIP_1991A");
    }
    own.extend(px(true));
    let mut records = vec![
        record(&[0], dir.extent, true, &own),
        record(&[1], dirs[dir.parent].extent, true, &px(true)),
    ];
    let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, &child) in &dir.dirs {
        let iso = iso_name(name);
        entries.push((
            iso.clone(),
            record(iso.as_bytes(), dirs[child].extent, true, &named(name, true)),
        ));
    }
    for (name, &file) in &dir.files {
        let iso = format!("{}.;1", iso_name(name));
        let extent = (
            starts.get(file).copied().unwrap_or(0),
            files[file].content.len(),
        );
        entries.push((
            iso.clone(),
            record(iso.as_bytes(), extent, false, &named(name, false)),
        ));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    records.extend(entries.into_iter().map(|(_, r)| r));

    let mut out: Vec<u8> = Vec::new();
    for record in records {
        // No record crosses a sector.
        if out.len() % SECTOR + record.len() > SECTOR {
            pad(&mut out);
        }
        out.extend(record);
    }
    pad(&mut out);
    out
}

fn path_table(dirs: &[Dir], big_endian: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for dir in dirs {
        let iso = iso_name(&dir.name);
        let name = if dir.name.is_empty() {
            &[0][..]
        } else {
            iso.as_bytes()
        };
        let (extent, parent) = (dir.extent.0 as u32, dir.parent as u16 + 1);
        out.extend([name.len() as u8, 0]);
        if big_endian {
            out.extend(extent.to_be_bytes());
            out.extend(parent.to_be_bytes());
        } else {
            out.extend(extent.to_le_bytes());
            out.extend(parent.to_le_bytes());
        }
        out.extend(name);
        if name.len() % 2 == 1 {
            out.push(0);
        }
    }
    out
}

fn primary_descriptor(
    label: &str,
    sectors: usize,
    root: (usize, usize),
    table_len: usize,
    table_sectors: usize,
) -> Vec<u8> {
    let text = |value: &str, len: usize| {
        let mut out: Vec<u8> = value.bytes().take(len).collect();
        out.resize(len, b' ');
        out
    };
    let mut out = vec![1];
    out.extend(b"CD001\x01\0");
    out.extend(text("", 32));
    out.extend(text(label, 32));
    out.extend([0; 8]);
    out.extend(both32(sectors));
    out.extend([0; 32]);
    out.extend(both16(1));
    out.extend(both16(1));
    out.extend(both16(SECTOR as u16));
    out.extend(both32(table_len));
    out.extend((FIRST_FREE as u32).to_le_bytes());
    out.extend([0; 4]);
    out.extend(((FIRST_FREE + table_sectors) as u32).to_be_bytes());
    out.extend([0; 4]);
    out.extend(record(&[0], root, true, &[]));
    // Set, publisher, preparer, application; then three file names.
    out.extend(text("", 4 * 128 + 3 * 37));
    for _ in 0..2 {
        out.extend(LONG_DATE);
    }
    // No expiry, effective at once.
    out.extend(b"0000000000000000\0");
    out.extend(b"0000000000000000\0");
    out.push(1);
    pad(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_where_the_descriptor_says() {
        let image = image(
            "cidata",
            &[
                File::new("user-data", "hello"),
                File::new("a/b/c.json", vec![7; 5000]),
            ],
        );
        assert_eq!(image.len() % SECTOR, 0);
        let pvd = &image[16 * SECTOR..17 * SECTOR];
        assert_eq!(&pvd[1..6], b"CD001");
        assert_eq!(&pvd[40..46], b"cidata");
        let sectors = u32::from_le_bytes(pvd[80..84].try_into().unwrap()) as usize;
        assert_eq!(sectors * SECTOR, image.len());
        let root = u32::from_le_bytes(pvd[158..162].try_into().unwrap()) as usize * SECTOR;
        // "." of the root starts with the SUSP indicator.
        assert_eq!(&image[root + 34..root + 41], b"SP\x07\x01\xbe\xef\x00");
        let text = String::from_utf8_lossy(&image[root..root + SECTOR]).into_owned();
        assert!(text.contains("user-data") && text.contains("USER_DATA.;1"));
    }

    #[test]
    fn many_entries_fill_several_sectors() {
        let files: Vec<File> = (0..100)
            .map(|n| File::new(&format!("dir/file-{n:03}"), format!("{n}")))
            .collect();
        let image = image("X", &files);
        assert_eq!(
            image.windows(8).filter(|w| w.starts_with(b"file-")).count(),
            100
        );
    }
}
