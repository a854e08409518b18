//! `oem validate`.

use super::{input, print, print_json};
use crate::cloudconfig::{Diagnostic, render};
use crate::configure::Intake;
use crate::error::Result;
use crate::metadata::Metadata;
use crate::network;
use crate::plan::{Layer, Sender};
use crate::userdata::{self, Around, Fetch, Offline, Part};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  oem validate user-data.yml\n  oem validate --json - < user-data.yml\n  oem validate --network network-config\n\nExit status 1 when anything would not be applied."
)]
pub(super) struct Args {
    /// User-data file, `-` for standard input
    file: PathBuf,
    /// Metadata as JSON, for templates, in the form `oem fetch --json` prints
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// It is a network configuration: cloud-init's version 1 or 2, network_data.json, or Debian's interfaces
    #[arg(long)]
    network: bool,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
}

#[derive(Serialize)]
struct Output<'a> {
    file: &'a str,
    valid: bool,
    parts: Vec<PartLine>,
    findings: Vec<PartFinding<'a>>,
}

/// One part as printed.
#[derive(Serialize)]
struct PartLine {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    format: &'static str,
    /// Line of the file it starts on, unless it is wrapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
struct PartFinding<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a str>,
    #[serde(flatten)]
    finding: &'a Diagnostic,
}

/// A file's parts and what was found in them.
struct Checked {
    parts: Vec<Part>,
    findings: Vec<(Sender, Diagnostic)>,
}

fn check(bytes: &[u8], metadata: &Metadata, fetch: &mut dyn Fetch) -> Checked {
    let mut parts = userdata::open(bytes, &mut Around { metadata, fetch });
    let mut intake = Intake::default();
    intake.take(Layer::UserData, &mut parts);
    Checked {
        parts,
        findings: intake.findings,
    }
}

impl Checked {
    /// Findings with their lines, and the list of parts when there are several.
    fn render(&self, file: &str) -> String {
        let mut out = String::new();
        if self.parts.len() > 1 {
            for part in &self.parts {
                let line = PartLine::from(part);
                let at = line.line.map(|l| format!(", from line {l}"));
                let name = named(file, part);
                let _ = writeln!(out, "{name}: {}{}", line.format, at.unwrap_or_default());
            }
        }
        for (number, part) in self.parts.iter().enumerate() {
            let of_part = |(s, _): &&(Sender, Diagnostic)| s.number() == number;
            let found: Vec<Diagnostic> = self
                .findings
                .iter()
                .filter(of_part)
                .map(|(_, d)| d.clone())
                .collect();
            out += &render(&named(file, part), &part.text(), &found);
        }
        out
    }
}

/// A part's name in messages.
fn named(file: &str, part: &Part) -> String {
    match part.name.as_str() {
        "" => file.to_owned(),
        name => format!("{file}({name})"),
    }
}

impl From<&Part> for PartLine {
    fn from(part: &Part) -> Self {
        PartLine {
            name: part.name.clone(),
            format: part.format.name(),
            line: Some(part.line).filter(|l| *l > 0),
        }
    }
}

/// What is printed about user-data.
#[cfg(test)]
pub(crate) fn validated(bytes: &[u8], metadata: &Metadata, file: &str) -> String {
    check(bytes, metadata, &mut Offline).render(file)
}

#[derive(Serialize)]
struct NetworkOutput<'a> {
    file: &'a str,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    findings: &'a [Diagnostic],
}

/// The same for a network configuration.
fn network(args: &Args, bytes: &[u8]) -> Result<u8> {
    let parsed = network::parse(bytes);
    let findings = &parsed.findings;
    let valid = !findings.iter().any(|d| args.strict || d.is_error());
    let file = args.file.display().to_string();
    let format = parsed.format.map(|f| f.to_string());
    if args.json {
        print_json(&NetworkOutput {
            file: &file,
            valid,
            format,
            findings,
        })?;
    } else {
        print(&render(&file, &String::from_utf8_lossy(bytes), findings))?;
        let errors = findings.iter().filter(|d| d.is_error()).count();
        print(&format!(
            "{file}: {}: {}, {errors} errors, {} warnings\n",
            format.as_deref().unwrap_or("nothing to configure"),
            if valid { "valid" } else { "not valid" },
            findings.len() - errors
        ))?;
    }
    Ok(u8::from(!valid))
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let bytes = input::read_file(&args.file)?;
    if args.network {
        return network(args, &bytes);
    }
    let metadata = match &args.metadata {
        Some(path) => input::read_metadata(path)?,
        None => Metadata::default(),
    };
    let checked = check(&bytes, &metadata, &mut Offline);
    let findings = || checked.findings.iter().map(|(_, d)| d);
    let valid = !findings().any(|d| args.strict || d.is_error());
    let file = args.file.display().to_string();
    if args.json {
        let named = |(s, d)| PartFinding {
            part: Sender::name(s),
            finding: d,
        };
        print_json(&Output {
            file: &file,
            valid,
            parts: checked.parts.iter().map(PartLine::from).collect(),
            findings: checked
                .findings
                .iter()
                .map(|(s, d)| named((s, d)))
                .collect(),
        })?;
    } else {
        print(&checked.render(&file))?;
        let errors = findings().filter(|d| d.is_error()).count();
        let what = match &checked.parts[..] {
            [] => "empty".to_owned(),
            [part] => part.format.name().to_owned(),
            parts => format!("{} parts", parts.len()),
        };
        print(&format!(
            "{file}: {what}: {}, {errors} errors, {} warnings\n",
            if valid { "valid" } else { "not valid" },
            checked.findings.len() - errors
        ))?;
    }
    Ok(u8::from(!valid))
}
