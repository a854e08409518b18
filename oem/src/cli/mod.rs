//! Command line. One file per command; each prints and returns an exit status.

mod apply;
mod detect;
mod fetch;
mod input;
pub mod per;
mod plan;
mod query;
mod refresh;
mod schema;
mod stage;
mod status;
mod validate;

#[cfg(test)]
pub(crate) use validate::validated;

use crate::error::{Context as _, Result};
use clap::{Parser, Subcommand};
use std::io::Write as _;

/// Configures this machine from user-data and provider metadata.
#[derive(Debug, Parser)]
#[command(
    name = "oem",
    version,
    after_help = "Exit status: 0 done, 1 the input is wrong, 2 usage, 3 the environment failed, 4 refused."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell which provider this machine runs on
    Detect(detect::Args),
    /// Ask the provider for metadata and user-data
    Fetch(fetch::Args),
    /// Print what the provider told of this machine, e.g. its region
    Query(query::Args),
    /// Take over keys and addresses that the provider changed since the boot
    Refresh(refresh::Args),
    /// Check a user-data file: every finding with line, column and a suggestion
    Validate(validate::Args),
    /// Show what applying would change, as a diff; changes nothing
    Plan(plan::Args),
    /// Apply user-data and metadata; a second run changes nothing
    Apply(apply::Args),
    /// Tell what the last run did, resource by resource
    Status(status::Args),
    /// List every key of the cloud-config language
    Schema(schema::Args),
}

/// Runs a parsed command line. Returns the exit status.
pub fn run(cli: Cli) -> Result<u8> {
    match cli.command {
        Command::Detect(args) => detect::run(&args),
        Command::Fetch(args) => fetch::run(&args),
        Command::Query(args) => query::run(&args),
        Command::Refresh(args) => refresh::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Schema(args) => schema::run(&args),
    }
}

/// Prints to standard output; a reader that went away is not an error.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.environment(|| "cannot write to standard output".to_owned()),
    }
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).environment(|| "cannot write JSON".to_owned())?;
    print(&(text + "\n"))
}
