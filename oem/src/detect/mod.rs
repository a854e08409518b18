//! Finds out which provider this machine runs on.
//!
//! [`Evidence::gather`] does the reading, [`detect`] is a pure function over
//! what it found. Who there is to be found is in [`crate::provider`].

pub mod cmdline;
mod drives;
mod evidence;

use crate::provider::{PROVIDERS, Provider, by_name};
use crate::source::Source;
use serde::Serialize;
use std::path::Path;

pub use drives::Drives;
pub use evidence::{Disk, Dmi, Evidence};

/// How sure a clue makes us. Later variants beat earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// Nothing speaks for it: probed because nothing speaks for another.
    Guess,
    /// A removable hint, such as a disk label, or an ambiguous one.
    Likely,
    /// The platform says so (firmware tables, hypervisor).
    Certain,
    /// The operator says so (kernel command line, OEM partition).
    Pinned,
}

/// One observation that speaks for a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clue {
    /// How much it weighs.
    pub certainty: Certainty,
    /// What was seen, for people.
    pub reason: String,
}

impl Clue {
    pub(crate) fn certain(reason: impl Into<String>) -> Option<Clue> {
        Some(Clue {
            certainty: Certainty::Certain,
            reason: reason.into(),
        })
    }
    pub(crate) fn likely(reason: impl Into<String>) -> Option<Clue> {
        Some(Clue {
            certainty: Certainty::Likely,
            reason: reason.into(),
        })
    }

    /// The SMBIOS string `name` has one of the values `wanted`.
    pub(crate) fn is(name: &str, value: &str, wanted: &[&str]) -> Option<Clue> {
        wanted
            .contains(&value)
            .then(|| Clue::certain(format!("DMI {name} is `{value}`")))?
    }

    /// The SMBIOS string `name` starts with `prefix`.
    pub(crate) fn starts(name: &str, value: &str, prefix: &str) -> Option<Clue> {
        value
            .starts_with(prefix)
            .then(|| Clue::certain(format!("DMI {name} is `{value}`")))?
    }
}

/// A provider the agent will ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Name of the provider.
    pub provider: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// How sure we are.
    pub certainty: Certainty,
    /// Why.
    pub reason: String,
    /// Where its data may be, in order of preference.
    pub sources: Vec<&'static Source>,
}

impl Candidate {
    /// Sources to read early, and those to ask once there is a network. What is local
    /// and yet comes after a service is not to beat it.
    pub fn sources(&self) -> (&[&'static Source], &[&'static Source]) {
        let network = self.sources.iter().position(|s| !s.local);
        self.sources.split_at(network.unwrap_or(self.sources.len()))
    }
}

/// A provider that will not be asked although something speaks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// Name of the provider.
    pub provider: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// What speaks for it.
    pub reason: String,
    /// Why it is not asked.
    pub why_not: String,
}

/// What detection concluded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Detection {
    /// Providers to ask, best first.
    pub candidates: Vec<Candidate>,
    /// Providers recognised but not asked.
    pub passed: Vec<Passed>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl Detection {
    /// Whether a drive that appears later could hold what is looked for.
    pub fn may_be_on_a_drive(&self) -> bool {
        let mut sources = self.candidates.iter().flat_map(|c| &c.sources);
        !self.is_known() || sources.any(|s| s.local)
    }

    /// Whether at least one candidate rests on evidence.
    pub fn is_known(&self) -> bool {
        self.candidates
            .iter()
            .any(|c| c.certainty > Certainty::Guess)
    }
}

/// Gathers evidence below `root` and concludes.
pub fn run(root: &Path) -> (Evidence, Detection) {
    let evidence = Evidence::gather(root);
    let detection = detect(&evidence);
    (evidence, detection)
}

/// Candidates in the order they are to be asked, with reasons.
///
/// A pin excludes everything else. A certain provider excludes what is merely
/// likely: a disk that somebody attached must not beat the platform's own
/// channel. A recognised provider without sources excludes nothing.
pub fn detect(evidence: &Evidence) -> Detection {
    let mut out = Detection {
        warnings: evidence.warnings.clone(),
        ..Detection::default()
    };
    let pin = evidence.pin().and_then(|(name, by)| match by_name(&name) {
        Some(provider) => Some((provider, by)),
        None => {
            out.warnings
                .push(format!("{by} names the unknown provider `{name}`: ignored"));
            None
        }
    });
    let mut clues: Vec<(&'static Provider, Clue)> = Vec::new();
    for provider in PROVIDERS.iter().copied() {
        let clue = match &pin {
            Some((pinned, by)) if pinned.name == provider.name => Some(Clue {
                certainty: Certainty::Pinned,
                reason: by.clone(),
            }),
            _ => (provider.detect)(evidence),
        };
        clues.extend(clue.map(|c| (provider, c)));
    }
    // Stable: the table's order decides among equals.
    clues.sort_by_key(|(_, clue)| std::cmp::Reverse(clue.certainty));
    let usable = |(p, _): &&(&Provider, Clue)| !p.sources.is_empty();
    let bar = clues
        .iter()
        .find(usable)
        .map(|(p, c)| (p.title, c.certainty));
    for (provider, clue) in clues {
        let why_not = match bar {
            _ if provider.sources.is_empty() => {
                Some("recognised, but not supported by this version".to_owned())
            }
            Some((title, best)) if clue.certainty < best => {
                Some(format!("{title} is {}", certainty_word(best)))
            }
            _ => None,
        };
        match why_not {
            Some(why_not) => out.passed.push(Passed {
                provider: provider.name,
                title: provider.title,
                reason: clue.reason,
                why_not,
            }),
            None => out.candidates.push(candidate(provider, clue)),
        }
    }
    if out.candidates.is_empty() {
        let reason = "nothing speaks for any provider: probing the usual addresses";
        let guesses = PROVIDERS.iter().filter(|p| p.guess).map(|p| {
            candidate(
                p,
                Clue {
                    certainty: Certainty::Guess,
                    reason: reason.into(),
                },
            )
        });
        out.candidates.extend(guesses);
    }
    out
}

fn candidate(provider: &'static Provider, clue: Clue) -> Candidate {
    Candidate {
        provider: provider.name,
        title: provider.title,
        certainty: clue.certainty,
        reason: clue.reason,
        sources: provider.sources.to_vec(),
    }
}

fn certainty_word(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Guess => "a guess",
        Certainty::Likely => "likely",
        Certainty::Certain => "certain",
        Certainty::Pinned => "pinned",
    }
}

#[cfg(test)]
mod speed;
#[cfg(test)]
mod tests;
