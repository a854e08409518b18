//! Writer of kmod's binary indexes (`modules.dep.bin` and its siblings): a radix
//! tree from keys to lists of (priority, value), as kmod's shared/index.h describes
//! it. All numbers are big-endian; children come before their parents in the file.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xB007_F457;
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

/// Keys with their values.
#[derive(Debug, Default)]
pub struct Index {
    keys: BTreeMap<Vec<u8>, Vec<(u32, String)>>,
}

impl Index {
    /// Adds a value. Keys are ASCII; one with other bytes cannot match and is left out.
    pub fn insert(&mut self, key: &str, priority: u32, value: &str) {
        if key.bytes().all(|b| b.is_ascii() && b != 0) {
            self.keys
                .entry(key.as_bytes().to_vec())
                .or_default()
                .push((priority, value.to_owned()));
        }
    }

    /// The file.
    pub fn encode(mut self) -> Vec<u8> {
        for values in self.keys.values_mut() {
            values.sort_by_key(|(priority, _)| *priority);
        }
        let sorted: Vec<Key<'_>> = self
            .keys
            .iter()
            .map(|(k, v)| (k.as_slice(), v.as_slice()))
            .collect();
        let mut out = Vec::new();
        out.extend(MAGIC.to_be_bytes());
        out.extend(VERSION.to_be_bytes());
        out.extend([0; 4]);
        let root = node(&sorted, 0, &mut out);
        if let Some(place) = out.get_mut(8..12) {
            place.copy_from_slice(&root.to_be_bytes());
        }
        out
    }
}

type Key<'a> = (&'a [u8], &'a [(u32, String)]);

/// Writes the node for `keys`, which are sorted and share their first `depth` bytes.
/// Returns its offset with flags.
fn node(keys: &[Key<'_>], depth: usize, out: &mut Vec<u8>) -> u32 {
    let rest = |k: &Key<'_>| k.0.get(depth..).map(<[u8]>::to_vec).unwrap_or_default();
    // Sorted, so what the first and the last share, all share.
    let (first, last) = (
        keys.first().map(rest).unwrap_or_default(),
        keys.last().map(rest).unwrap_or_default(),
    );
    let shared = first.iter().zip(&last).take_while(|(a, b)| a == b).count();
    let end = depth + shared;
    // A key that ends here sorts before those that go on.
    let here = keys.first().filter(|k| k.0.len() == end);
    let below = keys.get(usize::from(here.is_some())..).unwrap_or_default();
    let label = |k: &Key<'_>| k.0.get(end).copied().unwrap_or(0);

    let mut children: Vec<(u8, u32)> = Vec::new();
    let mut at = 0;
    while let Some(key) = below.get(at) {
        let run = below.get(at..).unwrap_or_default();
        let len = run.iter().take_while(|k| label(k) == label(key)).count();
        children.push((
            label(key),
            node(run.get(..len).unwrap_or_default(), end + 1, out),
        ));
        at += len;
    }

    let mut offset = u32::try_from(out.len()).unwrap_or(u32::MAX);
    if shared > 0 {
        offset |= HAS_PREFIX;
        out.extend_from_slice(first.get(..shared).unwrap_or_default());
        out.push(0);
    }
    if let (Some((low, _)), Some((high, _))) = (children.first(), children.last()) {
        offset |= HAS_CHILDREN;
        out.extend([*low, *high]);
        let mut table = vec![0_u32; usize::from(high - low) + 1];
        for (label, child) in &children {
            if let Some(slot) = table.get_mut(usize::from(label - low)) {
                *slot = *child;
            }
        }
        out.extend(table.into_iter().flat_map(u32::to_be_bytes));
    }
    if let Some((_, values)) = here {
        offset |= HAS_VALUES;
        out.extend((values.len() as u32).to_be_bytes());
        for (priority, value) in *values {
            out.extend(priority.to_be_bytes());
            out.extend_from_slice(value.as_bytes());
            out.push(0);
        }
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Looks a key up as libkmod does.
    fn find(file: &[u8], key: &[u8]) -> Vec<(u32, String)> {
        let word = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
        let mut offset = word(8);
        let mut key = key;
        loop {
            let mut at = (offset & 0x0fff_ffff) as usize;
            if offset & HAS_PREFIX != 0 {
                let end = at + file[at..].iter().position(|b| *b == 0).unwrap();
                let Some(rest) = key.strip_prefix(&file[at..end]) else {
                    return vec![];
                };
                (key, at) = (rest, end + 1);
            }
            let mut children = None;
            if offset & HAS_CHILDREN != 0 {
                let (low, high) = (file[at], file[at + 1]);
                children = Some((low, high, at + 2));
                at += 2 + 4 * (usize::from(high - low) + 1);
            }
            let Some((label, rest)) = key.split_first() else {
                if offset & HAS_VALUES == 0 {
                    return vec![];
                }
                let count = word(at);
                at += 4;
                return (0..count)
                    .map(|_| {
                        let end = at + 4 + file[at + 4..].iter().position(|b| *b == 0).unwrap();
                        let value = (
                            word(at),
                            String::from_utf8(file[at + 4..end].to_vec()).unwrap(),
                        );
                        at = end + 1;
                        value
                    })
                    .collect();
            };
            let Some((low, high, table)) = children else {
                return vec![];
            };
            if *label < low || *label > high {
                return vec![];
            }
            offset = word(table + 4 * usize::from(label - low));
            if offset == 0 {
                return vec![];
            }
            key = rest;
        }
    }

    proptest! {
        #[test]
        fn finds_what_was_put(pairs in proptest::collection::vec(("[abc*:_]{0,6}", 0u32..5, "[xyz]{1,3}"), 0..30)) {
            let mut index = Index::default();
            let mut want: BTreeMap<String, Vec<(u32, String)>> = BTreeMap::new();
            for (key, priority, value) in &pairs {
                index.insert(key, *priority, value);
                want.entry(key.clone()).or_default().push((*priority, value.clone()));
            }
            let file = index.encode();
            for (key, values) in &mut want {
                values.sort_by_key(|v| v.0);
                prop_assert_eq!(&find(&file, key.as_bytes()), values);
            }
            prop_assert!(find(&file, b"nothing").is_empty());
        }
    }
}
