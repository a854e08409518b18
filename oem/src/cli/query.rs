//! `oem query`.

use super::{print, print_json, stage};
use crate::agent;
use crate::error::{Error, Result};
use crate::net;
use crate::root::Root;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  oem query\n  oem query instance-id\n  oem query --json\n\nUnits find the same in /run/holdfast/metadata.env, as HOLDFAST_INSTANCE_ID and so on.\nExit status 1 when the provider told no such thing."
)]
pub(super) struct Args {
    /// Name of a value, e.g. hostname, public-ipv4, region; without it, all are listed
    key: Option<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Directory that stands for /
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let root = Root::open(&args.root)?;
    let mut fetched = stage::last(&root)?.ok_or_else(|| {
        Error::environment("nothing was fetched in this boot")
            .hint("`oem detect --explain` tells which providers are considered and why")
    })?;
    if root.is_live() {
        agent::complete(&mut fetched.metadata, &net::addresses());
    }
    let values = fetched.metadata.values();
    let Some(key) = &args.key else {
        if args.json {
            print_json(&values)?;
        } else {
            let lines = values
                .iter()
                .map(|(name, value)| format!("{name}: {value}\n"));
            print(&lines.collect::<String>())?;
        }
        return Ok(0);
    };
    let Some(value) = values.get(key) else {
        let known: Vec<&str> = values.keys().map(String::as_str).collect();
        return Err(Error::input(format!("the provider told no `{key}`"))
            .hint(format!("there are: {}", known.join(", "))));
    };
    if args.json {
        print_json(value)?;
    } else {
        print(&format!("{value}\n"))?;
    }
    Ok(0)
}
