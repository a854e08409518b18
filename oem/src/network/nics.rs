//! The cards this machine has, and whether a text means any of them.

use super::model::{Card, Kind, Network};
use std::fs;
use std::path::Path;

/// A card.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nic {
    /// Its name now.
    pub name: String,
    /// Its hardware address.
    pub mac: String,
    /// Its driver, when sysfs tells.
    pub driver: Option<String>,
}

/// Cards below `root`, by name. Only hardware, and what stands for it: those
/// with a device behind them.
pub fn all(root: &Path) -> Vec<Nic> {
    let Ok(entries) = fs::read_dir(root.join("sys/class/net")) else {
        return Vec::new();
    };
    let mut found: Vec<Nic> = entries
        .flatten()
        .filter_map(|e| {
            let path = e.path();
            let device = fs::canonicalize(path.join("device")).ok()?;
            let driver = fs::read_link(device.join("driver")).ok();
            let driver = driver.and_then(|d| Some(d.file_name()?.to_str()?.to_owned()));
            let mac = fs::read_to_string(path.join("address")).unwrap_or_default();
            Some(Nic {
                name: e.file_name().to_str()?.to_owned(),
                mac: mac.trim().to_ascii_lowercase(),
                driver,
            })
        })
        .collect();
    found.sort();
    found
}

/// Whether some link of `network` is one of `nics`.
pub fn any_fits(network: &Network, nics: &[Nic]) -> bool {
    network.links.iter().any(|link| match &link.kind {
        Kind::Card(card) => nics.iter().any(|nic| fits(card, &link.id, nic)),
        _ => false,
    })
}

/// A card that has another name than `network` gives it: its name, the new
/// name, and the line that says so.
pub struct Rename<'a> {
    /// Its name now.
    pub from: &'a str,
    /// Its name to be.
    pub to: &'a str,
    /// Line of the text.
    pub line: u32,
}

/// Cards to rename, each once. What fits several cannot name them all.
pub fn renames<'a>(network: &'a Network, nics: &'a [Nic]) -> Vec<Rename<'a>> {
    let mut out: Vec<Rename<'a>> = Vec::new();
    for link in &network.links {
        let Kind::Card(card) = &link.kind else {
            continue;
        };
        let Some(to) = &card.rename else {
            continue;
        };
        let mut found = nics.iter().filter(|nic| fits(card, &link.id, nic));
        // Two cards may share an address (a virtual function and its stand-in).
        let (Some(nic), None) = (found.next(), found.next()) else {
            continue;
        };
        let taken = out.iter().any(|r| r.from == nic.name || r.to == to);
        if nic.name != *to && !taken {
            out.push(Rename {
                from: &nic.name,
                to,
                line: link.spot.line,
            });
        }
    }
    out
}

fn fits(card: &Card, id: &str, nic: &Nic) -> bool {
    let by_others = card.mac.is_some() || !card.drivers.is_empty();
    let name = match &card.name {
        Some(pattern) => glob(pattern, &nic.name) || card.rename.as_ref() == Some(&nic.name),
        None => by_others || nic.name == id,
    };
    let driver = card.drivers.is_empty()
        || nic
            .driver
            .as_ref()
            .is_some_and(|d| card.drivers.iter().any(|p| glob(p, d)));
    name && driver && card.mac.as_ref().is_none_or(|m| *m == nic.mac)
}

/// Shell patterns: `*`, `?` and sets in brackets.
fn glob(pattern: &str, text: &str) -> bool {
    let (p, t) = (pattern.as_bytes(), text.as_bytes());
    let (mut i, mut j) = (0, 0);
    // Where to go on after the last star, when what follows does not fit.
    let mut star: Option<(usize, usize)> = None;
    while j < t.len() {
        let step = match p.get(i) {
            Some(b'*') => {
                star = Some((i + 1, j));
                i += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => set(&p[i..], t[j]),
            Some(c) => (*c == t[j]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(step), _) => (i, j) = (i + step, j + 1),
            (None, Some((after, from))) => {
                star = Some((after, from + 1));
                (i, j) = (after, from + 1);
            }
            (None, None) => return false,
        }
    }
    p[i..].iter().all(|c| *c == b'*')
}

/// Length of the set at the start of `pattern` when `c` is in it.
fn set(pattern: &[u8], c: u8) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|b| *b == b']')? + 2;
    let inside = &pattern[1..end];
    let (not, inside) = match inside.split_first() {
        Some((b'!' | b'^', rest)) => (true, rest),
        _ => (false, inside),
    };
    let mut found = false;
    let mut i = 0;
    while i < inside.len() {
        match inside[i..] {
            [from, b'-', to, ..] => {
                found |= (from..=to).contains(&c);
                i += 3;
            }
            [one, ..] => {
                found |= one == c;
                i += 1;
            }
            [] => break,
        }
    }
    (found != not).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        for (pattern, text, fit) in [
            ("ens3", "ens3", true),
            ("en*", "ens3", true),
            ("*", "x", true),
            ("e*s*3", "enp0s13", true),
            ("eth?", "eth10", false),
            ("eth[0-2]", "eth1", true),
            ("eth[!0]", "eth0", false),
            ("eth[0", "eth0", false),
            ("ens", "ens3", false),
        ] {
            assert_eq!(glob(pattern, text), fit, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(pattern in "[a-c*?!^\\[\\]-]{0,12}", text in "[a-c]{0,12}") {
            glob(&pattern, &text);
        }
    }
}
