//! PID 1 of a container: runs one program, forwards signals to it, reaps what is left over.
//!
//! Flags, environment and exit codes are those of `tini`, which Docker's `--init` expects:
//!
//! | situation | exit code |
//! |---|---|
//! | the program exits with N | N (0 if N is given with `-e`) |
//! | the program is ended by signal N | 128 + N |
//! | the program does not exist | 127 |
//! | the program may not be run | 126 |
//! | wrong usage, or another failure | 1 |

mod arguments;
mod reaper;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use arguments::{Action, parse};

/// Says the version in the form `dockerd` parses: the part after `tini version ` up to ` - git.`.
fn version() -> String {
    format!("tini version {} - git.holdfast", env!("CARGO_PKG_VERSION"))
}

/// Runs container mode with the arguments and the environment of this process.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let set = |name: &str| std::env::var_os(name).is_some();
    match parse(&arguments) {
        Ok(Action::Version) => say(&version()),
        Ok(Action::Help) => say(&arguments::usage(&version())),
        Ok(Action::Run(mut options)) => {
            options.subreaper |= set("TINI_SUBREAPER");
            options.group |= set("TINI_KILL_PROCESS_GROUP");
            if let Some(level) = std::env::var("TINI_VERBOSITY")
                .ok()
                .and_then(|level| level.parse().ok())
            {
                options.verbosity = level;
            }
            reaper::run(&options)
        }
        Err(problem) => {
            eprintln!("init: {problem}");
            eprintln!("{}", arguments::usage(&version()));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
