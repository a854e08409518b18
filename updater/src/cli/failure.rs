//! Why a verb failed, and the exit status that says so.

use std::fmt;

use crate::cause::chain;

/// Exit statuses of failures, the same in every program of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What the user gave is wrong.
    Input = 1,
    /// Network, disk, bus.
    Environment = 3,
    /// Policy or verification said no.
    Refused = 4,
}

/// A failure: what failed, and where possible what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure told in one line.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    /// An error with all its causes, in one line.
    pub fn because(exit: Exit, error: &dyn std::error::Error) -> Self {
        Self::new(exit, chain(error))
    }

    /// Adds what the user can do.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The program's exit status.
    pub fn exit_code(&self) -> u8 {
        self.exit as u8
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_every_cause_once() {
        let error = crate::fetch::Error::Sink(std::io::Error::other("disk full"));
        assert_eq!(
            Failure::because(Exit::Environment, &error).to_string(),
            "writing what was fetched: disk full"
        );
    }
}
