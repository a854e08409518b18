//! `oem schema`.

use super::{print, print_json};
use crate::cloudconfig::schema;
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
    /// Keys that are known and not applied on this system.
    not_applied: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    name: &'static str,
    instead: &'static str,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let keys: Vec<Key> = schema::keys()
        .map(|k| Key {
            name: k.name,
            kind: k.kind,
            about: k.about,
        })
        .collect();
    let not_applied: Vec<Refused> = schema::refused()
        .map(|(name, instead)| Refused { name, instead })
        .collect();
    if args.json {
        print_json(&Output { keys, not_applied })?;
        return Ok(0);
    }
    let width = keys.iter().map(|k| k.name.len()).max().unwrap_or_default();
    let mut text: String = keys
        .iter()
        .map(|k| format!("{:<width$}  {:<22}  {}\n", k.name, k.kind, k.about))
        .collect();
    text += "\n`-` may be written for `_`. Placeholders: $public_ipv4 $private_ipv4 $public_ipv6 $private_ipv6, also ${...}; \\$ keeps one.\n";
    text += "\nKnown, not applied on this system, and what to use instead:\n";
    for r in &not_applied {
        text += &format!("{:<width$}  {}\n", r.name, r.instead);
    }
    print(&text)?;
    Ok(0)
}
