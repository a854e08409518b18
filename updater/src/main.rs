//! `updater`: client of the A/B updater.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use updater::status::Booted;

/// Shows the booted release.
///
/// This version of Holdfast builds and boots images; it cannot update them in
/// place yet. `status` works; the other verbs say so and exit with 3.
#[derive(Debug, Parser)]
#[command(
    name = "updater",
    version,
    after_help = "Example:\n  updater status --json"
)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the booted release and its root hash
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look for a newer release (not in this version)
    Check,
    /// Install a newer release (not in this version)
    Update,
    /// Go back to the other slot (not in this version)
    Rollback,
    /// Declare the booted slot good (not in this version)
    MarkGood,
}

fn main() -> ExitCode {
    match Args::parse().verb {
        Verb::Status { json } => match Booted::read(Path::new("/")) {
            Ok(booted) => {
                print(&booted, json);
                ExitCode::SUCCESS
            }
            Err(e) => {
                eprintln!("error: reading what is booted: {e}");
                ExitCode::from(3)
            }
        },
        Verb::Check | Verb::Update | Verb::Rollback | Verb::MarkGood => {
            eprintln!("error: this version of Holdfast cannot update a machine in place");
            eprintln!("hint: build a new image and replace the machine");
            ExitCode::from(3)
        }
    }
}

fn print(booted: &Booted, json: bool) {
    if json {
        match serde_json::to_string(booted) {
            Ok(text) => println!("{text}"),
            Err(e) => eprintln!("error: {e}"),
        }
        return;
    }
    println!(
        "version: {}",
        booted.version.as_deref().unwrap_or("unknown")
    );
    println!(
        "usrhash: {}",
        booted
            .usr_hash
            .as_deref()
            .unwrap_or("none (this system was not booted from a verified /usr)")
    );
}
