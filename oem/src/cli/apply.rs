//! `oem apply`.

use super::input::InputArgs;
use super::stage;
use super::{print, print_json};
use crate::agent::Stage;
use crate::configure::{Heard, Reach, configure};
use crate::error::{Error, Result};
use crate::metadata::Fetched;
use crate::root::Root;
use crate::status::Report;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  oem apply --user-data user-data.yml\n  oem apply --user-data user-data.yml --metadata meta.json --root tree\n  oem apply --stage network\n\nWithout files and stage: what the provider sent at the last fetch.\nWhat earlier runs made and this one does not ask for is removed, unless somebody changed it. Nothing is removed without user-data, or when they have errors.\nExit status: 1 when something could not be done (the rest is applied all the same), 3 when a known provider is silent."
)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Ask the provider first, as the units of a boot do
    #[arg(long, alias = "phase", value_enum, conflicts_with_all = ["user_data", "vendor_data", "network_config", "metadata"])]
    stage: Option<Stage>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let root = args.input.open_root()?;
    let (report, code) = match args.stage {
        Some(p) => stage::run(p, &args.input, &root)?,
        None => {
            let fetched = fetched(&args.input, &root)?;
            let oem = args.input.oem(&root)?;
            let news = Report {
                stage: "manual".to_owned(),
                ..Report::default()
            };
            let oem = oem.as_deref();
            let report = configure(&root, news, oem, &fetched, Reach::Ask, Heard::Whole)?;
            let code = u8::from(!report.is_good());
            (report, code)
        }
    };
    if args.json {
        print_json(&report)?;
    } else {
        print(&report.render())?;
    }
    Ok(code)
}

/// What to apply: the named files, else what was fetched in this boot, else
/// only what the OEM partition says.
pub(super) fn fetched(input: &InputArgs, root: &Root) -> Result<Fetched> {
    let mut fetched = if input.names_files() {
        input.fetched()?
    } else {
        match stage::last(root)? {
            Some(fetched) => fetched,
            None if input.hostname.is_some()
                || input.oem_config.is_some()
                || stage::has_oem(root)? =>
            {
                Fetched::default()
            }
            None => {
                return Err(Error::usage("nothing to apply: no file is named, and nothing was fetched in this boot")
                    .hint("give --user-data or --metadata, or ask the provider with `oem apply --stage network`"));
            }
        }
    };
    input.override_hostname(&mut fetched.metadata);
    Ok(fetched)
}
