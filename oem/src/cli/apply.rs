//! `oem apply`.

use super::input::InputArgs;
use super::{print, print_json};
use crate::configure::configure;
use crate::error::{Error, Result};
use crate::metadata::Fetched;
use crate::root::Root;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  oem apply --user-data user-data.yml\n  oem apply --user-data user-data.yml --metadata meta.json --root tree\n\nExit status 3 when something could not be done; the rest is applied all the same.")]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let root = args.input.open_root()?;
    let fetched = fetched(&args.input, &root)?;
    let oem = args.input.oem(&root)?;
    let report = configure(&root, "manual", oem.as_deref(), &fetched)?;
    if args.json {
        print_json(&report)?;
    } else {
        print(&report.render())?;
    }
    Ok(if report.is_good() { 0 } else { 3 })
}

/// What to apply: the named files, else what was fetched in this boot.
pub(super) fn fetched(input: &InputArgs, _root: &Root) -> Result<Fetched> {
    if !input.names_files() {
        return Err(Error::usage("nothing to apply").hint("give --user-data or --metadata"));
    }
    let mut fetched = input.fetched()?;
    input.override_hostname(&mut fetched.metadata);
    Ok(fetched)
}
