//! Command line. One file per verb: its `Args` and a `run` that prints and returns
//! an exit status. Verbs that change something ask the service where it runs, and do
//! it themselves where it does not, under the same lock.

mod check;
mod daemon;
mod deadline;
mod factory_reset;
mod failure;
mod hold;
mod mark_good;
mod output;
mod pin;
mod place;
mod progress;
mod reboot;
mod rollback;
mod service;
mod status;
mod tuf;
mod update;

use clap::{Parser, Subcommand};

pub use failure::{Exit, Failure};

/// Keeps this machine up to date, and tells how it stands.
#[derive(Debug, Parser)]
#[command(
    name = "updater",
    version,
    after_help = "Exit status: 0 done, 1 the input is wrong, 2 usage, 3 the environment failed, 4 refused."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the booted release, both slots, and what boots next
    Status(status::Args),
    /// Look for a newer release
    Check(check::Args),
    /// Install a newer release into the slot that is not running
    Update(update::Args),
    /// Reboot into the release that is installed
    Reboot(reboot::Args),
    /// Install nothing and reboot for nothing until told otherwise
    Hold(hold::HoldArgs),
    /// Let a release be tried again that this machine went back from
    Allow(hold::AllowArgs),
    /// Stay at one release, or go to it, whatever the channel offers
    Pin(pin::Args),
    /// Follow the channel again
    Unpin(pin::NoArgs),
    /// Go back to the other slot
    Rollback(rollback::Args),
    /// Declare the booted slot good
    MarkGood(mark_good::Args),
    /// Make / anew at the next boot
    FactoryReset(factory_reset::Args),
    /// Run the service that keeps the machine up to date
    Daemon(daemon::Args),
    /// End a trial boot that hangs
    #[command(hide = true)]
    Deadline(deadline::Args),
    /// Read a repository's metadata as a bare client
    Tuf(tuf::Args),
}

/// Runs a parsed command line. Returns the exit status.
pub fn run(cli: Cli) -> Result<u8, Failure> {
    match cli.verb {
        Verb::Status(args) => status::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Update(args) => update::run(&args),
        Verb::Reboot(args) => reboot::run(&args),
        Verb::Hold(args) => hold::hold(&args),
        Verb::Allow(args) => hold::allow(&args),
        Verb::Pin(args) => pin::run(&args),
        Verb::Unpin(args) => pin::undo(&args),
        Verb::Rollback(args) => rollback::run(&args),
        Verb::MarkGood(args) => mark_good::run(&args),
        Verb::FactoryReset(args) => factory_reset::run(&args),
        Verb::Daemon(args) => daemon::run(&args),
        Verb::Deadline(args) => deadline::run(&args),
        Verb::Tuf(args) => tuf::run(&args),
    }
}
