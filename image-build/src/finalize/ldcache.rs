//! The dynamic loader's cache (what ldconfig makes), in glibc's format
//! `glibc-ld.so.cache1.1` (sysdeps/generic/dl-cache.h): a header, entries sorted by
//! name in descending order of [`compare`], then strings. Offsets count from the
//! start of the file.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Context, made};
use crate::error::Result;
use crate::tree::{Content, Kind, Tree};

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// FLAG_ELF_LIBC6 | FLAG_X8664_LIB64
const FLAGS: u32 = 0x0303;
/// cache_file_new_flags_endian_little
const LITTLE_ENDIAN: u8 = 2;

/// Directories of the default search path, the preferred one first.
const DIRS: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "usr/lib"];

pub fn run(tree: &mut Tree, _: &mut Context<'_>) -> Result<()> {
    let mut libraries: BTreeMap<String, String> = BTreeMap::new();
    for dir in DIRS
        .iter()
        .map(|d| (*d).to_owned())
        .chain(configured(tree)?)
    {
        for (name, _) in tree.children(&dir) {
            // Debian ships every library under its soname, as a file or a link; other
            // names of the same library cost nothing.
            let path = format!("{dir}/{name}");
            let is_library =
                (name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so.");
            if is_library
                && tree
                    .resolve(&path)
                    .and_then(|p| tree.get(&p))
                    .is_some_and(|n| matches!(n.kind, Kind::File(_)))
            {
                libraries
                    .entry(name.to_owned())
                    .or_insert(format!("/{path}"));
            }
        }
    }
    let mut node = made("ldcache", "", 0o644);
    node.kind = Kind::File(Content::Bytes(encode(&libraries).into()));
    tree.insert("etc/ld.so.cache", node)
}

/// Directories named in /etc/ld.so.conf.d.
fn configured(tree: &Tree) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for (path, _) in tree
        .below("etc/ld.so.conf.d")
        .filter(|(p, _)| p.ends_with(".conf"))
    {
        for line in tree.text(path)?.unwrap_or_default().lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(dir) = line.strip_prefix('/') {
                out.push(crate::tree::canonical(dir.trim_end_matches('/')));
            }
        }
    }
    Ok(out)
}

fn encode(libraries: &BTreeMap<String, String>) -> Vec<u8> {
    let mut sorted: Vec<(&String, &String)> = libraries.iter().collect();
    sorted.sort_by(|a, b| compare(b.0, a.0).then_with(|| b.0.cmp(a.0)));
    let start = HEADER + sorted.len() * ENTRY;
    let mut strings: Vec<u8> = Vec::new();
    let mut entries = Vec::new();
    let mut put = |text: &str| {
        let at = (start + strings.len()) as u32;
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        at
    };
    for (name, path) in &sorted {
        let (key, value) = (put(name), put(path));
        for field in [FLAGS, key, value, 0] {
            entries.extend(field.to_le_bytes());
        }
        entries.extend(0_u64.to_le_bytes());
    }
    let mut out = MAGIC.to_vec();
    out.extend((sorted.len() as u32).to_le_bytes());
    out.extend((strings.len() as u32).to_le_bytes());
    out.extend([LITTLE_ENDIAN, 0, 0, 0]);
    out.resize(HEADER, 0);
    out.extend(entries);
    out.extend(strings);
    out
}

/// glibc's `_dl_cache_libcmp`: runs of digits compare as numbers, and come after
/// everything else.
fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.bytes().peekable(), b.bytes().peekable());
    loop {
        match (a.peek().copied(), b.peek().copied()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => match (x.is_ascii_digit(), y.is_ascii_digit()) {
                (true, false) => return Ordering::Greater,
                (false, true) => return Ordering::Less,
                (false, false) if x != y => return x.cmp(&y),
                (false, false) => {
                    a.next();
                    b.next();
                }
                (true, true) => {
                    let number = |it: &mut std::iter::Peekable<std::str::Bytes<'_>>| {
                        let mut n = 0_u64;
                        while let Some(d) = it.next_if(u8::is_ascii_digit) {
                            n = n.saturating_mul(10).saturating_add(u64::from(d - b'0'));
                        }
                        n
                    };
                    match number(&mut a).cmp(&number(&mut b)) {
                        Ordering::Equal => {}
                        other => return other,
                    }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_like_glibc() {
        assert_eq!(compare("libx.so.9", "libx.so.10"), Ordering::Less);
        assert_eq!(compare("libx-1.so", "libx.so"), Ordering::Less);
        assert_eq!(compare("lib1.so", "liba.so"), Ordering::Greater);
        assert_eq!(compare("a", "ab"), Ordering::Less);
    }

    #[test]
    fn writes_the_format() {
        let libraries = [("liba.so.1", "/l/liba.so.1"), ("libb.so.2", "/l/libb.so.2")];
        let bytes = encode(
            &libraries
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
        );
        assert!(bytes.starts_with(MAGIC));
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(word(20), 2);
        assert_eq!(bytes.len(), HEADER + 2 * ENTRY + word(24));
        let text = |at: usize| bytes[at..].split(|b| *b == 0).next().unwrap();
        assert_eq!(text(word(HEADER + 4)), b"libb.so.2");
        assert_eq!(text(word(HEADER + ENTRY + 8)), b"/l/liba.so.1");
    }
}
