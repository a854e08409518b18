//! `oem plan`.

use super::input::InputArgs;
use super::{apply, print, print_json};
use crate::configure::{Heard, Intake, Reach, Remote};
use crate::error::Result;
use crate::plan::{Action, Change, Plan, Sealed, Work, change};
use crate::root::Root;
use crate::status::Finding;
use serde::Serialize;
use std::fmt::Write as _;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  oem plan --user-data user-data.yml\n  oem plan --user-data user-data.yml --metadata meta.json --root tree --json\n\nWithout files: what the provider sent at the last fetch.\nWhat earlier runs made and this would not ask for is in it as `remove`, or as `keep` with the reason."
)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

/// One step as printed.
#[derive(Serialize)]
struct Line {
    resource: String,
    origin: String,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Serialize)]
struct Output {
    findings: Vec<Finding>,
    steps: Vec<Line>,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let root = args.input.open_root()?;
    let fetched = apply::fetched(&args.input, &root)?;
    let oem = args.input.oem(&root)?;
    let instance = fetched.metadata.instance_id.as_deref();
    let mut remote = Remote::new(&root, instance, Reach::Look);
    let intake = Intake::of(oem.as_deref(), &fetched, &mut remote);
    let obtained = intake.obtained(Heard::Whole, oem.as_deref(), &fetched, &remote.warnings);
    let plan = intake.plan(&fetched.metadata, &root, &obtained)?;
    let output = Output {
        findings: intake.report_findings(),
        steps: lines(&plan, &root),
    };
    if args.json {
        print_json(&output)?;
    } else {
        print(&text(&output))?;
    }
    Ok(u8::from(
        output.findings.iter().any(|f| f.severity == "error"),
    ))
}

fn lines(plan: &Plan, root: &Root) -> Vec<Line> {
    plan.steps
        .iter()
        .map(|step| {
            let mut line = Line {
                resource: step.resource.clone(),
                origin: step.origin.to_string(),
                change: "skip",
                diff: None,
                why: step.note.clone(),
                hint: None,
            };
            match &step.work {
                Work::Skip { why, hint } => {
                    (line.why, line.hint) = (Some(why.clone()), hint.clone())
                }
                Work::Keep { why, hint, .. } => {
                    line.change = "keep";
                    (line.why, line.hint) = (Some(why.clone()), hint.clone());
                }
                Work::Sealed(sealed) => (line.change, line.diff) = sealed_change(sealed, root),
                Work::Do(action) => match change(action, root) {
                    Ok(Change::Unchanged) => line.change = "unchanged",
                    Ok(Change::Update(_)) if matches!(action, Action::Withdraw { .. }) => {
                        line.change = "remove";
                    }
                    Ok(Change::Create(diff)) => (line.change, line.diff) = ("create", Some(diff)),
                    Ok(Change::Update(diff)) => (line.change, line.diff) = ("update", Some(diff)),
                    Ok(Change::Run) => line.change = "run",
                    Err(e) => {
                        (line.change, line.why) = ("fail", Some(e.chain()));
                        line.hint = e.hint_text().map(str::to_owned);
                    }
                },
            }
            line
        })
        .collect()
}

/// What can be told of something without its secret.
fn sealed_change(sealed: &Sealed, root: &Root) -> (&'static str, Option<String>) {
    match (&sealed.action, change(&sealed.action, root)) {
        (Action::File { .. }, Ok(Change::Create(_))) => ("create", None),
        (Action::File { .. }, _) => ("run", None),
        (_, Ok(Change::Unchanged)) if sealed.is_once() => ("unchanged", None),
        (_, Ok(Change::Create(diff) | Change::Update(diff))) => ("update", Some(diff)),
        _ => ("run", None),
    }
}

fn text(output: &Output) -> String {
    let mut out = String::new();
    for f in &output.findings {
        let _ = writeln!(out, "{}: {}: {} {}", f.origin, f.severity, f.key, f.message);
    }
    for line in &output.steps {
        let _ = write!(
            out,
            "{:<9} {} ({})",
            line.change, line.resource, line.origin
        );
        let _ = writeln!(
            out,
            "{}",
            line.why
                .as_ref()
                .map(|w| format!(": {w}"))
                .unwrap_or_default()
        );
        if let Some(hint) = &line.hint {
            let _ = writeln!(out, "    hint: {hint}");
        }
        for l in line.diff.iter().flat_map(|d| d.lines()) {
            let _ = writeln!(out, "    {l}");
        }
    }
    let changes = output
        .steps
        .iter()
        .filter(|l| matches!(l.change, "create" | "update" | "remove"))
        .count();
    let _ = writeln!(out, "{changes} changes");
    out
}

#[cfg(test)]
mod secrets;
