//! `oem schema`.

use super::{print, print_json};
use crate::cloudconfig::schema::{KEYS, not_applied};
use crate::error::Result;
use serde::Serialize;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  oem schema --json | jq -r '.keys[].name'")]
pub(super) struct Args {
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Key {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    about: &'static str,
}

#[derive(Serialize)]
struct Output {
    keys: Vec<Key>,
    /// Tables that are recognised, warned about and not applied.
    not_applied: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let keys: Vec<Key> = KEYS
        .iter()
        .map(|k| Key {
            name: k.name,
            kind: k.kind,
            about: k.about,
        })
        .collect();
    if args.json {
        let not_applied = not_applied().map(|t| format!("coreos.{t}")).collect();
        print_json(&Output { keys, not_applied })?;
        return Ok(0);
    }
    let width = keys.iter().map(|k| k.name.len()).max().unwrap_or_default();
    let mut text: String = keys
        .iter()
        .map(|k| format!("{:<width$}  {:<22}  {}\n", k.name, k.kind, k.about))
        .collect();
    text += "\n`-` may be written for `_`. Placeholders: $public_ipv4 $private_ipv4 $public_ipv6 $private_ipv6, also ${...}; \\$ keeps one.\n";
    text += "Recognised, not applied by this version: ";
    text += &not_applied()
        .map(|t| format!("coreos.{t}"))
        .collect::<Vec<_>>()
        .join(", ");
    print(&(text + "\n"))?;
    Ok(0)
}
