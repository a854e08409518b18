//! `oem status`.

use super::{print, print_json};
use crate::apply::{Bus, Systemd as _};
use crate::error::Result;
use crate::root::Root;
use crate::status::drift::Drift;
use crate::status::{Report, State};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  oem status\n  oem status --json | jq '.resources[] | select(.state != \"done\")'\n  oem status --drift\n\nExit status: 3 when something is not in place; with --drift, when the machine no longer looks as the last run left it, or nothing was applied yet."
)]
pub(super) struct Args {
    /// Compare the machine with what the last run left: what is unchanged, changed by somebody, or missing
    #[arg(long)]
    drift: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Directory that stands for /
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let root = Root::open(&args.root)?;
    if args.drift {
        let drift = Drift::see(&root)?;
        if args.json {
            print_json(&drift)?;
        } else {
            print(&drift.render())?;
        }
        return Ok(if drift.is_none() { 0 } else { 3 });
    }
    let mut report = Report::read(&root)?;
    if root.is_live() {
        // Anyone may read the report; asking systemd is a courtesy on top.
        if let Ok(Some(bus)) = Bus::connect() {
            ask(&mut report, &bus);
        }
    }
    if args.json {
        print_json(&report)?;
    } else {
        print(&report.render())?;
    }
    Ok(if report.is_good() { 0 } else { 3 })
}

/// Adds the present state of started units.
fn ask(report: &mut Report, bus: &Bus) {
    for r in report
        .resources
        .iter_mut()
        .filter(|r| matches!(r.state, State::Done | State::Unchanged))
    {
        let mut words = r.resource.split(' ');
        let (Some("start" | "restart" | "try-restart" | "reload-or-restart"), Some(unit)) =
            (words.next(), words.next())
        else {
            continue;
        };
        if let Ok(Some(state)) = bus.active_state(unit) {
            r.detail = Some(format!("now {state}"));
            if state == "failed" {
                r.state = State::Failed;
                r.hint = Some(format!("journalctl -u {unit}"));
            }
        }
    }
}
