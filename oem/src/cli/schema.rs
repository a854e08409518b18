//! `oem schema`.

use super::{print, print_json};
use crate::cloudconfig::schema;
use crate::error::Result;
use serde::Serialize;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  oem schema --json | jq -r '.keys[].name'\n  oem schema --json-schema > cloud-config.schema.json"
)]
#[group(multiple = false)]
pub(super) struct Args {
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Print a JSON Schema (draft 2020-12), for editors
    #[arg(long)]
    json_schema: bool,
    /// Print a document in Markdown, with an example of every key
    #[arg(long)]
    markdown: bool,
}

#[derive(Serialize)]
struct Key {
    name: &'static str,
    #[serde(rename = "type")]
    kind: String,
    required: bool,
    about: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency: Option<&'static str>,
    since: &'static str,
    /// Its section's title.
    section: &'static str,
}

#[derive(Serialize)]
struct Output {
    keys: Vec<Key>,
    sections: Vec<Section>,
    /// Keys that are known and not applied on this system.
    not_applied: Vec<Refused>,
}

#[derive(Serialize)]
struct Section {
    title: &'static str,
    /// A piece of a cloud-config with its keys.
    example: &'static str,
}

#[derive(Serialize)]
struct Refused {
    name: String,
    instead: &'static str,
}

fn output() -> Output {
    let keys = schema::sections().flat_map(|section| {
        section.keys.iter().map(|k| Key {
            name: k.name,
            kind: k.kind.to_string(),
            required: k.required,
            about: k.about,
            state: k.fate.as_str(),
            frequency: k.frequency.map(|f| f.as_str()),
            since: k.since,
            section: section.title,
        })
    });
    let sections = schema::sections().map(|s| Section {
        title: s.title,
        example: s.example,
    });
    Output {
        keys: keys.collect(),
        sections: sections.collect(),
        not_applied: schema::refused()
            .map(|(name, instead)| Refused { name, instead })
            .collect(),
    }
}

fn table() -> String {
    let names = schema::keys().map(|k| k.name.len());
    let width = names.max().unwrap_or_default();
    let mut text: String = schema::keys()
        .map(|k| format!("{:<width$}  {:<22}  {}\n", k.name, k.kind_told(), k.told()))
        .collect();
    text += "\n`-` may be written for `_`. Placeholders: $public_ipv4 $private_ipv4 $public_ipv6 $private_ipv6, also ${...}; \\$ keeps one.\n";
    text += "\nKnown, not applied on this system, and what to use instead:\n";
    for (name, instead) in schema::refused() {
        text += &format!("{name:<width$}  {instead}\n");
    }
    text
}

pub(super) fn run(args: &Args) -> Result<u8> {
    if args.json {
        print_json(&output())?;
    } else if args.json_schema {
        print_json(&schema::json_schema())?;
    } else if args.markdown {
        print(&schema::markdown())?;
    } else {
        print(&table())?;
    }
    Ok(0)
}
