//! `updater status`.

use std::path::Path;

use serde::Serialize;

use super::hold::when;
use super::output::{print, print_json};
use super::service::{Service, View};
use super::{Exit, Failure};
use crate::boot::{Machine, NoMachine};
use crate::cause::chain;
use crate::install::{Journal, Status};
use crate::state::Store;
use crate::status::Booted;
use crate::tuf::Time;
use crate::update::JOURNAL;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  updater status\n  updater status --why\n  updater status --json\n\n\
    What the slots hold only root can see; `core` and root can ask the service."
)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Tell when what will happen, and why not yet
    #[arg(long)]
    why: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    booted: &'a Booted,
    /// The slots and what boots next; none where they cannot be read.
    machine: Option<&'a Status>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
    /// The service; none if it does not run.
    service: Option<&'a View>,
    /// Why it does not answer, if it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_unknown: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let root = Path::new("/");
    let booted = Booted::read(root)
        .map_err(|e| Failure::new(Exit::Environment, format!("reading what is booted: {e}")))?;
    let machine = slots(root);
    // One that does not answer must not hide the rest.
    let service = Service::find().map(|service| service.view());
    if args.json {
        print_json(&Answer {
            booted: &booted,
            machine: machine.as_ref().ok(),
            unknown: machine.as_ref().err().map(|e| chain(e)),
            service: service.as_ref().and_then(|view| view.as_ref().ok()),
            service_unknown: match &service {
                Some(Err(e)) => Some(e.to_string()),
                _ => None,
            },
        })?;
        return Ok(0);
    }
    let told = match &machine {
        Ok(status) => status.to_string(),
        Err(e) => format!("slots: not known: {}; {}\n", chain(e), e.hint()),
    };
    let mut text = format!(
        "version: {}\nusrhash: {}\n{told}",
        booted.version.as_deref().unwrap_or("unknown"),
        booted
            .usr_hash
            .as_deref()
            .unwrap_or("none (this system was not booted from a verified /usr)")
    );
    match &service {
        Some(Ok(view)) => text.push_str(&explain(view, args.why)),
        Some(Err(e)) => text.push_str(&format!("service: {e}\n")),
        None if args.why => text.push_str(&by_hand(root)?),
        None => text.push_str("service: does not run\n"),
    }
    print(&text)?;
    Ok(0)
}

/// What the service says.
fn explain(view: &View, why: bool) -> String {
    let mut text = format!("service: {}\n", view.phase);
    if !view.hold_reason.is_empty() && !why {
        let until = match view.held_until {
            0 => String::new(),
            at => format!(" (until {})", when(at)),
        };
        text.push_str(&format!("held: {}{until}\n", view.hold_reason));
    }
    if view.stale && !why {
        text.push_str("stale: no repository has answered for too long; `updater status --why`\n");
    }
    for problem in &view.problems {
        text.push_str(&format!("problem: {problem}\n"));
    }
    let failure = match why {
        true => view.last_failure.as_str(),
        false => view.last_failure.lines().next().unwrap_or_default(),
    };
    if !failure.is_empty() {
        text.push_str(&format!("last failure: {failure}\n"));
    }
    if why {
        text.extend(view.why.iter().map(|line| format!("why: {line}\n")));
    }
    text
}

/// What is known without the service.
fn by_hand(root: &Path) -> Result<String, Failure> {
    let state = root.join(crate::STATE);
    let (_, memory) = Store::open(&state)
        .map_err(|e| Failure::because(Exit::Environment, &e).with_hint(e.hint()))?;
    let mut text = String::new();
    let mut reports = crate::health::reports(&state).into_iter().rev();
    if let Some(report) = reports.find(|report| !report.healthy) {
        text.push_str(&format!("last failure: {}\n", report.told()));
    }
    text.push_str("why: The service does not run, so nothing happens by itself: `systemctl status updater` tells why.\n");
    text.extend(
        memory
            .why(Time::now().0)
            .iter()
            .map(|line| format!("why: {line}\n")),
    );
    Ok(text)
}

fn slots(root: &Path) -> Result<Status, NoMachine> {
    let machine = Machine::open(root)?;
    let journal = Journal::new(&root.join(crate::STATE).join(JOURNAL));
    Ok(Status::read(&machine.disk, &machine.boot(), &journal)?)
}
