//! What can still be read of broken YAML: `hostname` and `ssh_authorized_keys`,
//! each from its own lines at the left margin. Nothing else is safe to apply
//! from half a file.

use super::diag::{At, Spot};
use super::node::{self, Kind, Node};
use super::read::Reader;
use super::{CloudConfig, hostname, ssh_keys};
use std::rc::Rc;

/// Blocks looked at; each costs a pass over the text.
const MAX_TRIES: usize = 8;

pub(super) fn read_into(config: &mut CloudConfig, text: &str, r: &mut Reader) {
    let lines: Vec<&str> = text.lines().collect();
    let mut saved = Vec::new();
    let mut tries = 0;
    for (at, line) in lines.iter().enumerate() {
        let Some((name, _)) = line.split_once(':') else {
            continue;
        };
        match name.trim_end().replace('-', "_").as_str() {
            "hostname" if config.hostname.is_none() => {
                config.hostname =
                    value(&lines, at, at + 1).and_then(|v| hostname::read(&v, "hostname", r));
                saved.extend(config.hostname.as_ref().map(|h| ("hostname", h.spot)));
            }
            "ssh_authorized_keys" if config.ssh_authorized_keys.is_empty() => {
                let next = lines[at + 1..].iter().position(|l| starts_key(l));
                let end = next.map_or(lines.len(), |n| at + 1 + n);
                config.ssh_authorized_keys = match value(&lines, at, end) {
                    Some(v) => ssh_keys::read(&v, "ssh_authorized_keys", r),
                    None => bare_keys(&lines, at, end),
                };
                let first = config.ssh_authorized_keys.first();
                saved.extend(first.map(|k| ("ssh_authorized_keys", k.spot)));
            }
            _ => continue,
        }
        tries += 1;
        if saved.len() == 2 || tries == MAX_TRIES {
            break;
        }
    }
    if let Some((_, spot)) = saved.first() {
        let names: Vec<&str> = saved.iter().map(|(name, _)| *name).collect();
        let message = format!(
            "the text is broken elsewhere; only {} applied",
            names.join(" and ")
        );
        r.warn(*spot, "", message, "");
    }
}

/// The value of the one key in a range of lines, if they are YAML.
fn value(lines: &[&str], from: usize, to: usize) -> Option<Rc<Node>> {
    // Empty lines in front keep the line numbers.
    let block = "\n".repeat(from) + &lines[from..to].join("\n");
    let root = node::parse(&block, &mut Vec::new()).ok()??;
    let Kind::Map(entries) = &root.kind else {
        return None;
    };
    entries.first().map(|(_, value)| value.clone())
}

/// Lines that are keys, though what stands between them is not YAML.
fn bare_keys(lines: &[&str], from: usize, to: usize) -> Vec<At<String>> {
    let key = |(i, line): (usize, &&str)| {
        let text = line
            .trim()
            .trim_start_matches('-')
            .trim()
            .trim_matches(['"', '\'']);
        let spot = Spot {
            line: u32::try_from(i + 1).unwrap_or(u32::MAX),
            column: 1,
        };
        ssh_keys::looks_like_key(text).then(|| At {
            spot,
            value: text.to_owned(),
        })
    };
    lines
        .iter()
        .enumerate()
        .take(to)
        .skip(from)
        .filter_map(key)
        .collect()
}

/// Whether a new key (or a broken line) starts at the left margin. List items
/// may stand there too.
fn starts_key(line: &str) -> bool {
    line.starts_with(|c: char| !c.is_whitespace() && c != '-' && c != '#')
}
