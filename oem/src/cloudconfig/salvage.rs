//! What can still be read of broken YAML: `hostname` and `ssh_authorized_keys`,
//! each from its own block at the left margin. Nothing else is safe to apply
//! from half a file.

use super::read::Reader;
use super::{CloudConfig, hostname, node, ssh_keys};
use super::node::Kind;

pub(super) fn read_into(config: &mut CloudConfig, text: &str, r: &mut Reader) {
    let lines: Vec<&str> = text.lines().collect();
    let mut saved = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((name, _)) = line.split_once(':') else { continue };
        let name = name.trim_end().replace('-', "_");
        if name != "hostname" && name != "ssh_authorized_keys" {
            continue;
        }
        let end = lines[at + 1..].iter().position(|l| starts_key(l)).map_or(lines.len(), |n| at + 1 + n);
        // Empty lines in front keep the line numbers.
        let block = "\n".repeat(at) + &lines[at..end].join("\n");
        let Ok(Some(root)) = node::parse(&block, &mut Vec::new()) else { continue };
        let Kind::Map(entries) = &root.kind else { continue };
        let Some((_, value)) = entries.first() else { continue };
        if name == "hostname" {
            config.hostname = hostname::read(value, r);
        } else {
            config.ssh_authorized_keys = ssh_keys::read(value, "ssh_authorized_keys", r);
        }
        saved.push(name);
        if saved.len() == 2 {
            break;
        }
    }
    if !saved.is_empty() {
        let spot = config.hostname.as_ref().map(|h| h.spot).or(config.ssh_authorized_keys.first().map(|k| k.spot));
        r.warn(spot.unwrap_or_default(), "", format!("the text is broken elsewhere; only {} applied", saved.join(" and ")), "");
    }
}

/// Whether a new key (or a broken line) starts at the left margin. List items
/// may stand there too.
fn starts_key(line: &str) -> bool {
    line.starts_with(|c: char| !c.is_whitespace() && c != '-' && c != '#')
}
