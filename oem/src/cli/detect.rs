//! `oem detect`.

use super::{print, print_json};
use crate::detect::{self, Detection};
use crate::error::Result;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  oem detect\n  oem detect --explain\n  oem detect --json\n\nExit status 3 when nothing speaks for any provider."
)]
pub(super) struct Args {
    /// Show the evidence, and the providers that were passed over
    #[arg(long)]
    explain: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Directory that stands for /
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let (_, detection) = detect::run(&args.root);
    if args.json {
        print_json(&detection)?;
    } else {
        print(&text(&detection, args.explain))?;
    }
    Ok(if detection.is_known() { 0 } else { 3 })
}

fn text(detection: &Detection, explain: bool) -> String {
    let mut out = String::new();
    if !explain {
        let best = detection.candidates.iter().find(|_| detection.is_known());
        let _ = writeln!(out, "{}", best.map_or("unknown", |c| c.provider));
        return out;
    }
    for c in &detection.candidates {
        let certainty = format!("{:?}", c.certainty).to_lowercase();
        let _ = writeln!(
            out,
            "{:<14} {certainty:<8} {} ({})",
            c.provider, c.reason, c.title
        );
        for s in &c.sources {
            let _ = writeln!(out, "{:<14} asks     {s}", "");
        }
    }
    for p in &detection.passed {
        let _ = writeln!(
            out,
            "{:<14} not asked: {}; seen: {}",
            p.provider, p.why_not, p.reason
        );
    }
    for w in &detection.warnings {
        let _ = writeln!(out, "warning: {w}");
    }
    out
}
