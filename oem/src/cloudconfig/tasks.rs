//! Programs that user-data want run: what they are, when, and how often.

use super::diag::{At, Spot};

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What it is called, e.g. `runcmd`; part of its unit's name.
    pub name: String,
    /// For people, without a full stop.
    pub about: String,
    /// All of it, with its `#!` line.
    pub program: Vec<u8>,
    /// How often.
    pub frequency: Frequency,
    /// When in a boot.
    pub phase: Phase,
    /// Placeholders in it are replaced.
    pub expand: bool,
    /// Units that start only after it.
    pub before: Vec<String>,
    /// It does no harm when it runs again after it was cut short.
    pub repeats: bool,
}

/// How often a [`Task`] runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequency {
    /// In every boot.
    Boot,
    /// Once on an instance: again where the same disk is another machine.
    Instance,
    /// Once.
    Once,
}

impl Frequency {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Frequency::Boot => "in every boot",
            Frequency::Instance => "once on an instance",
            Frequency::Once => "once",
        }
    }
}

/// When in a boot a [`Task`] runs: one after the other in this order, and in one
/// phase in the order asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// As soon as there are file systems.
    Early,
    /// Once the system is up and the network too.
    Late,
    /// After all others.
    Last,
}

impl Task {
    /// A shell script of the agent's own making.
    pub(super) fn shell(
        name: &str,
        about: &str,
        body: &str,
        frequency: Frequency,
        phase: Phase,
    ) -> Task {
        Task {
            name: name.to_owned(),
            about: about.to_owned(),
            program: format!("#!/bin/sh\n{body}").into_bytes(),
            frequency,
            phase,
            expand: false,
            before: Vec::new(),
            repeats: false,
        }
    }
    /// The same, to be run again when it was cut short.
    pub(super) fn repeated(self) -> Task {
        Task {
            repeats: true,
            ..self
        }
    }
    /// The same, with the place it was asked for.
    pub(super) fn at(self, spot: Spot) -> At<Task> {
        At { spot, value: self }
    }
}
