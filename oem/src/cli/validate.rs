//! `oem validate`.

use super::{input, print, print_json};
use crate::cloudconfig::{Diagnostic, render};
use crate::configure::Intake;
use crate::error::Result;
use crate::plan::Layer;
use crate::userdata::unpack;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  oem validate user-data.yml\n  oem validate --json - < user-data.yml\n\nExit status 1 when anything would not be applied."
)]
pub(super) struct Args {
    /// User-data file, `-` for standard input
    file: PathBuf,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
}

#[derive(Serialize)]
struct Output<'a> {
    file: String,
    valid: bool,
    findings: &'a [Diagnostic],
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let bytes = input::read_file(&args.file)?;
    let mut intake = Intake::default();
    intake.add(Layer::UserData, &bytes);
    let findings: Vec<Diagnostic> = intake.findings.into_iter().map(|(_, d)| d).collect();
    let valid = !findings.iter().any(|d| args.strict || d.is_error());
    let file = args.file.display().to_string();
    if args.json {
        print_json(&Output {
            file,
            valid,
            findings: &findings,
        })?;
    } else {
        let text = unpack::unpack(&bytes)
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .unwrap_or_default();
        print(&render(&file, &text, &findings))?;
        let errors = findings.iter().filter(|d| d.is_error()).count();
        print(&format!(
            "{file}: {}, {errors} errors, {} warnings\n",
            if valid { "valid" } else { "not valid" },
            findings.len() - errors
        ))?;
    }
    Ok(u8::from(!valid))
}
