//! When a repository last answered with metadata that can be trusted: an attacker who
//! has no keys can still keep a machine from hearing of releases, and that has to show.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::state::{StoreError, read, write};
use crate::tuf::Time;

/// The file, in the state's folder.
const FILE: &str = "answered.json";

/// What is kept. Seconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The last answer; none yet.
    #[serde(default)]
    pub last: Option<i64>,
    /// Since when an answer is waited for: the last one, or the first time that
    /// somebody asked this.
    #[serde(default)]
    pub since: i64,
}

impl Answered {
    /// Reads it. Waiting begins `now` if it has not yet.
    pub fn read_or_begin(state: &Path, now: Time) -> Result<Self, StoreError> {
        let path = state.join(FILE);
        let (kept, rest) = read::<Answered>(&path)?;
        if kept != Answered::default() {
            return Ok(kept);
        }
        let begun = Answered {
            last: None,
            since: now.0,
        };
        write(&path, begun, &rest)?;
        Ok(begun)
    }

    /// There was an answer.
    pub(super) fn note(state: &Path, now: Time) -> Result<(), StoreError> {
        let path = state.join(FILE);
        let (_, rest) = read::<Answered>(&path)?;
        let answered = Answered {
            last: Some(now.0),
            since: now.0,
        };
        write(&path, answered, &rest)
    }
}
