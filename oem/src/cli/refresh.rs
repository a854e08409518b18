//! `oem refresh`.

use super::input::OEM_CONFIG;
use super::{print, print_json, stage};
use crate::agent::{Origin, Stage};
use crate::configure::refresh;
use crate::detect;
use crate::error::{Error, Result};
use crate::root::{Root, SystemView as _};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  oem refresh\n  oem refresh --json\n\nA timer runs it. Everything else that the provider changed waits for the next boot.\nExit status 3 when the provider is silent, or what it sent is not all there."
)]
pub(super) struct Args {
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Directory that stands for /
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let root = Root::open(&args.root)?;
    let (_, detection) = detect::run(root.path());
    // Nobody is looked for again and again who was not there at boot.
    if !detection.is_known() {
        return print("no provider to ask\n").map(|()| 0);
    }
    let outcome = stage::read(Stage::Network, &root)?;
    let data = outcome
        .data
        .filter(|d| d.origin == Origin::Fresh && d.whole);
    let Some(data) = data else {
        return Err(
            Error::environment("the provider is silent, or what it sent is not all there")
                .hint("keys and addresses stay as they are; `oem fetch` tells more"),
        );
    };
    // Another machine's: that is for its boot.
    if data.new_instance {
        return Err(
            Error::environment("the provider takes this machine for another one")
                .hint("reboot to configure it anew"),
        );
    }
    let oem = root.read(OEM_CONFIG)?;
    let done = refresh(&root, oem.as_deref(), &data.fetched)?;
    if args.json {
        print_json(&done)?;
    } else {
        let lines = done
            .iter()
            .map(|r| format!("{:?} {}\n", r.state, r.resource).to_lowercase());
        print(&lines.collect::<String>())?;
    }
    Ok(0)
}
