//! What can still be read of broken YAML, block by block: a block is a key at the
//! left margin with all lines up to the next. `hostname` and `ssh_authorized_keys`
//! are applied; nothing else is safe to apply from half a file, but what is wrong
//! in it is told all the same.

use super::diag::{At, Diagnostic, Spot};
use super::node::{self, Count, Kind, Node};
use super::read::Reader;
use super::{CloudConfig, read_tables, ssh_keys};
use std::rc::Rc;

/// Blocks read; each costs a parser.
const MAX_BLOCKS: usize = 500;
/// Those that are read beyond, if they are among what is applied.
const MORE: usize = 8;

pub(super) fn read_into(config: &mut CloudConfig, text: &str, r: &mut Reader, left: &mut Count) {
    let mut saved = Saved {
        entries: Vec::new(),
        bare: Vec::new(),
        broken: Vec::new(),
        blocks: 0,
        left,
    };
    let mut open: Option<(&str, u32, usize)> = None;
    let mut at = 0;
    for (above, line) in (0..).zip(text.split_inclusive('\n')) {
        if let Some(name) = key_of(line)
            && let Some((name, above, from)) = open.replace((name, above, at))
        {
            saved.block(name, above, &text[from..at]);
        }
        at += line.len();
    }
    if let Some((name, above, from)) = open {
        saved.block(name, above, &text[from..]);
    }
    // The first is what the whole text was found broken for.
    saved.broken.drain(..).skip(1).for_each(|d| r.report(d));
    let root = Node::new(Spot { line: 1, column: 1 }, Kind::Map(saved.entries));
    let mut rest = CloudConfig::default();
    read_tables(&root, &mut rest, r);
    config.hostname = rest.hostname;
    config.ssh_authorized_keys = match rest.ssh_authorized_keys {
        keys if keys.is_empty() => saved.bare,
        keys => keys,
    };
    let host = config.hostname.iter().map(|h| ("hostname", h.spot));
    let keys = config.ssh_authorized_keys.first();
    let keys = keys.map(|k| ("ssh_authorized_keys", k.spot));
    let mut applied: Vec<(&str, Spot)> = host.chain(keys).collect();
    applied.sort_by_key(|(_, spot)| *spot);
    if let Some((_, spot)) = applied.first() {
        let names: Vec<&str> = applied.iter().map(|(name, _)| *name).collect();
        let message = format!(
            "the text is broken elsewhere; only {} applied",
            names.join(" and ")
        );
        r.warn(*spot, "", message, "");
    }
}

/// The key of a line that starts a block.
fn key_of(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(':')?;
    let name = name.trim_end().trim_matches(['"', '\'']);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(plain)
        && (rest.is_empty() || rest.starts_with(char::is_whitespace));
    good.then_some(name)
}

/// What the blocks hold.
struct Saved<'c> {
    entries: Vec<(Rc<Node>, Rc<Node>)>,
    /// Keys of a block that is no YAML.
    bare: Vec<At<String>>,
    broken: Vec<Diagnostic>,
    blocks: usize,
    left: &'c mut Count,
}

impl Saved<'_> {
    /// Reads a block that has `above` lines above it.
    fn block(&mut self, name: &str, above: u32, text: &str) {
        let hostname = name == "hostname";
        let keys = ["ssh_authorized_keys", "ssh-authorized-keys"].contains(&name);
        let most = MAX_BLOCKS + if hostname || keys { MORE } else { 0 };
        if self.blocks >= most || self.left.is_used_up() {
            return;
        }
        self.blocks += 1;
        let Err(broken) = self.parse(text, above) else {
            return;
        };
        if hostname {
            // Its own line may be good.
            let line = text.lines().next().unwrap_or_default();
            let _ = self.parse(line, above);
        }
        if keys && self.bare.is_empty() {
            self.bare = bare_keys(text, above);
        }
        // What an alias stands for may be in another block.
        if !broken.message.contains("anchor") {
            self.broken.push(broken);
        }
    }

    fn parse(&mut self, text: &str, above: u32) -> Result<(), Diagnostic> {
        if let Some(root) = node::parse_below(text, above, &mut Vec::new(), self.left)?
            && let Kind::Map(entries) = &root.kind
        {
            self.entries.extend(entries.iter().cloned());
        }
        Ok(())
    }
}

/// Lines that are keys, though what stands between them is not YAML.
fn bare_keys(text: &str, above: u32) -> Vec<At<String>> {
    let key = |(above, line): (u32, &str)| {
        let text = line
            .trim()
            .trim_start_matches('-')
            .trim()
            .trim_matches(['"', '\'']);
        let spot = Spot {
            line: above.saturating_add(1),
            column: 1,
        };
        ssh_keys::looks_like_key(text).then(|| At {
            spot,
            value: text.to_owned(),
        })
    };
    (above..).zip(text.lines()).filter_map(key).collect()
}
