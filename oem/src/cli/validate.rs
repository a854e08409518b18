//! `oem validate`.

use super::{input, print, print_json};
use crate::cloudconfig::{Diagnostic, Lines, Snippet, render};
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
    /// The piece of its line.
    #[serde(skip_serializing_if = "Option::is_none")]
    snippet: Option<Snippet>,
}

/// A file's parts and what was found in them.
struct Checked {
    parts: Vec<Part>,
    findings: Vec<(Sender, Diagnostic)>,
}

fn check(bytes: &[u8], metadata: &Metadata, fetch: &mut dyn Fetch) -> Checked {
    let mut parts = userdata::open(bytes, &mut Around::new(metadata, fetch));
    let mut intake = Intake::default();
    intake.take(Layer::UserData, &mut parts);
    Checked {
        parts,
        findings: intake.findings,
    }
}

impl Checked {
    /// For each part, what was found in it.
    fn by_part(&self) -> Vec<Vec<&(Sender, Diagnostic)>> {
        let mut out = vec![Vec::new(); self.parts.len()];
        for found in &self.findings {
            if let Some(list) = out.get_mut(found.0.number()) {
                list.push(found);
            }
        }
        out
    }

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
        for (part, found) in self.parts.iter().zip(self.by_part()) {
            let found = found.iter().map(|(_, d)| d);
            out += &render(&named(file, part), &part.text(), found);
        }
        out
    }

    fn is_valid(&self, strict: bool) -> bool {
        !self.findings.iter().any(|(_, d)| strict || d.is_error())
    }

    /// All that is printed for people.
    fn text(&self, file: &str, strict: bool) -> String {
        let what = match &self.parts[..] {
            [] => "empty".to_owned(),
            [part] => part.format.name().to_owned(),
            parts => format!("{} parts", parts.len()),
        };
        let findings = self.findings.iter().map(|(_, d)| d);
        self.render(file) + &summary(file, &what, self.is_valid(strict), findings)
    }

    /// All that is printed for programs.
    fn json<'a>(&'a self, file: &'a str, strict: bool) -> Output<'a> {
        let mut findings = Vec::new();
        for (part, found) in self.parts.iter().zip(self.by_part()) {
            let text = part.text();
            let name = found.first().copied().and_then(|(s, _)| Sender::name(s));
            let of_part = found.into_iter().map(|(_, d)| d);
            findings.extend(with_snippets(name, &text, of_part));
        }
        Output {
            file,
            valid: self.is_valid(strict),
            parts: self.parts.iter().map(PartLine::from).collect(),
            findings,
        }
    }
}

fn with_snippets<'a>(
    part: Option<&'a str>,
    text: &str,
    found: impl Iterator<Item = &'a Diagnostic>,
) -> Vec<PartFinding<'a>> {
    let mut lines: Option<Lines<'_>> = None;
    let with = |finding: &'a Diagnostic| {
        let lines = lines.get_or_insert_with(|| Lines::new(text));
        PartFinding {
            part,
            finding,
            snippet: lines.snippet(finding.spot),
        }
    };
    found.map(with).collect()
}

/// The last line.
fn summary<'d>(
    file: &str,
    what: &str,
    valid: bool,
    findings: impl Iterator<Item = &'d Diagnostic>,
) -> String {
    let (mut errors, mut warnings) = (0, 0);
    findings.for_each(|d| match d.is_error() {
        true => errors += 1,
        false => warnings += 1,
    });
    let count = |n: usize, what: &str| match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    let valid = if valid { "valid" } else { "not valid" };
    format!(
        "{file}: {what}: {valid}, {}, {}\n",
        count(errors, "error"),
        count(warnings, "warning")
    )
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
    findings: Vec<PartFinding<'a>>,
}

/// The same for a network configuration.
fn network(args: &Args, bytes: &[u8]) -> Result<u8> {
    let parsed = network::parse(bytes);
    let findings = &parsed.findings;
    let valid = !findings.iter().any(|d| args.strict || d.is_error());
    let file = args.file.display().to_string();
    let format = parsed.format.map(|f| f.to_string());
    let text = String::from_utf8_lossy(bytes);
    if args.json {
        print_json(&NetworkOutput {
            file: &file,
            valid,
            format,
            findings: with_snippets(None, &text, findings.iter()),
        })?;
    } else {
        let what = format.as_deref().unwrap_or("nothing to configure");
        print(&render(&file, &text, findings))?;
        print(&summary(&file, what, valid, findings.iter()))?;
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
    let file = args.file.display().to_string();
    if args.json {
        print_json(&checked.json(&file, args.strict))?;
    } else {
        print(&checked.text(&file, args.strict))?;
    }
    Ok(u8::from(!checked.is_valid(args.strict)))
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod tests;
