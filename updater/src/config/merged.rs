//! Which file wins, key by key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Problem, Raw, Spot, Value};

/// The keys of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `enabled`.
    Enabled,
    /// `servers`.
    Servers,
    /// `channel`.
    Channel,
    /// `pin`.
    Pin,
    /// `group`.
    Group,
    /// `poll-interval`.
    PollInterval,
    /// `stale-after`.
    StaleAfter,
    /// `rate-limit`.
    RateLimit,
    /// `proxy`.
    Proxy,
    /// `health-timeout`.
    HealthTimeout,
    /// `health-check-timeout`.
    HealthCheckTimeout,
    /// `reboot-strategy`.
    RebootStrategy,
    /// `reboot-windows`.
    RebootWindows,
    /// `reboot-warning`.
    RebootWarning,
}

impl Key {
    /// Every key.
    pub const ALL: [Key; 14] = [
        Key::Enabled,
        Key::Servers,
        Key::Channel,
        Key::Pin,
        Key::Group,
        Key::PollInterval,
        Key::StaleAfter,
        Key::RateLimit,
        Key::Proxy,
        Key::HealthTimeout,
        Key::HealthCheckTimeout,
        Key::RebootStrategy,
        Key::RebootWindows,
        Key::RebootWarning,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Key::Enabled => "enabled",
            Key::Servers => "servers",
            Key::Channel => "channel",
            Key::Pin => "pin",
            Key::Group => "group",
            Key::PollInterval => "poll-interval",
            Key::StaleAfter => "stale-after",
            Key::RateLimit => "rate-limit",
            Key::Proxy => "proxy",
            Key::HealthTimeout => "health-timeout",
            Key::HealthCheckTimeout => "health-check-timeout",
            Key::RebootStrategy => "reboot-strategy",
            Key::RebootWindows => "reboot-windows",
            Key::RebootWarning => "reboot-warning",
        }
    }
}

/// The value that won, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// File.
    pub file: PathBuf,
    /// Start of the value.
    pub spot: Spot,
    /// The value.
    pub value: Value,
}

/// All files in one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// The keys that some file has.
    pub keys: BTreeMap<Key, Origin>,
}

impl Merged {
    /// Merges files, later ones over earlier ones. Unknown keys are problems.
    pub(super) fn from_files(files: Vec<Raw>, problems: &mut Vec<Problem>) -> Self {
        let mut keys = BTreeMap::new();
        for Raw { file, entries } in files {
            for entry in entries {
                match Key::ALL.into_iter().find(|k| k.name() == entry.key) {
                    Some(key) => {
                        let origin = Origin {
                            file: file.clone(),
                            spot: entry.value_spot,
                            value: entry.value,
                        };
                        keys.insert(key, origin);
                    }
                    None => problems.push(unknown(
                        &file,
                        entry.spot,
                        &entry.key,
                        Key::ALL.map(Key::name),
                    )),
                }
            }
        }
        Merged { keys }
    }
}

/// A word that none of `known` is.
pub(super) fn unknown<'a>(
    file: &Path,
    spot: Spot,
    word: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Problem {
    let shown: String = word.chars().take(64).collect();
    let problem = Problem::new(file, spot, format!("{shown:?} is not known"));
    match crate::suggest::closest(word, known.clone()) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => {
            let all: Vec<&str> = known.into_iter().collect();
            problem.hint(format!("known are: {}", all.join(", ")))
        }
    }
}
