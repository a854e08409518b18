//! What verbs print.

use std::io::Write as _;

use super::{Exit, Failure};

/// Prints to standard output; a reader that went away is not an error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Environment,
            format!("writing to standard output: {e}"),
        )),
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    match serde_json::to_string(value) {
        Ok(text) => print(&(text + "\n")),
        Err(e) => Err(Failure::because(Exit::Environment, &e)),
    }
}
