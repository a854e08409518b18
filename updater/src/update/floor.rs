//! The place in the order below which a machine does not go.
//!
//! An image says its own place (`HOLDFAST_SEQUENCE`), by its newest package: releases
//! that were built one after the other from the same packages say the same. What the
//! repository signed for a release tells them apart, so it is kept here when a release is
//! installed, or seen to be the running one; and the highest of those that ran well is
//! the floor. When the file is lost, the image's own word is the bound.
//!
//! A downgrade needs the channel's permit or an operator, and moves the floor down once
//! the older release proved good.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Identity;
use crate::release::Digest;
use crate::state::{StoreError, read, write};

/// The file, in the state's folder.
const FILE: &str = "floor.json";
/// Releases that are remembered: those of both slots, and some that came to nothing.
const MOST: usize = 8;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    /// The highest sequence of those that ran well.
    #[serde(default)]
    floor: u64,
    /// What was installed here, the newest last.
    #[serde(default)]
    known: Vec<Known>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    root_hash: Digest,
    sequence: u64,
    /// It was installed although it is older.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    downgrade: bool,
}

/// The floor of a machine.
#[derive(Debug)]
pub struct Floor {
    content: Content,
    rest: serde_json::Map<String, serde_json::Value>,
}

impl Floor {
    /// Reads it. One that is not there is 0.
    pub fn read(state: &Path) -> Result<Self, StoreError> {
        let (content, rest) = read(&state.join(FILE))?;
        Ok(Floor { content, rest })
    }

    /// The highest sequence of a release that ran well here; 0 if none is known.
    pub fn floor(&self) -> u64 {
        self.content.floor
    }

    /// The running release's place in the order.
    pub fn running(&self, machine: &Identity) -> u64 {
        let known = self.find(Digest(machine.root_hash.0));
        known.map_or(machine.sequence, |known| {
            machine.sequence.max(known.sequence)
        })
    }

    /// Whether the repository's word for a release is kept.
    pub fn knows(&self, root_hash: Digest) -> bool {
        self.find(root_hash).is_some()
    }

    fn find(&self, root_hash: Digest) -> Option<&Known> {
        let mut known = self.content.known.iter();
        known.find(|known| known.root_hash == root_hash)
    }

    /// Keeps what is signed of a release that is about to be installed, or runs.
    pub fn note(
        &mut self,
        state: &Path,
        root_hash: Digest,
        sequence: u64,
        downgrade: bool,
    ) -> Result<(), StoreError> {
        let known = Known {
            root_hash,
            sequence,
            downgrade,
        };
        let list = &mut self.content.known;
        if list.last() == Some(&known) {
            return Ok(());
        }
        list.retain(|known| known.root_hash != root_hash);
        list.push(known);
        let much = list.len().saturating_sub(MOST);
        list.drain(..much);
        self.save(state)
    }

    /// The running release is good: nothing below it is taken from now on.
    pub fn ran_well(&mut self, state: &Path, machine: &Identity) -> Result<(), StoreError> {
        let running = self.running(machine);
        let hash = Digest(machine.root_hash.0);
        let mut known = self.content.known.iter_mut();
        let entry = known.find(|known| known.root_hash == hash);
        // Once: a later boot of it says nothing new.
        let down = entry.is_some_and(|known| std::mem::take(&mut known.downgrade));
        if !down && self.content.floor >= running {
            return Ok(());
        }
        self.content.floor = running;
        self.save(state)
    }

    fn save(&self, state: &Path) -> Result<(), StoreError> {
        write(&state.join(FILE), self.content.clone(), &self.rest)
    }
}

#[cfg(test)]
mod tests {
    use init::cmdline::RootHash;

    use super::*;

    fn machine(release: u8, sequence: u64) -> Identity {
        Identity {
            image: "docker".into(),
            architecture: "amd64".into(),
            version: release.to_string(),
            root_hash: RootHash([release; 32]),
            sequence,
        }
    }

    fn hash(release: u8) -> Digest {
        Digest([release; 32])
    }

    #[test]
    fn a8_the_highest_that_ran_well_counts() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path();
        let mut floor = Floor::read(state).unwrap();
        assert_eq!((floor.floor(), floor.running(&machine(1, 100))), (0, 100));
        floor.ran_well(state, &machine(1, 100)).unwrap();
        // 2 and 3 have the same newest package as 1.
        floor.note(state, hash(2), 101, false).unwrap();
        floor.note(state, hash(3), 102, false).unwrap();
        let mut floor = Floor::read(state).unwrap();
        assert_eq!(floor.running(&machine(3, 100)), 102);
        assert_eq!(
            floor.floor(),
            100,
            "3 was installed, and did not run well yet"
        );
        floor.ran_well(state, &machine(3, 100)).unwrap();
        floor.ran_well(state, &machine(2, 100)).unwrap();
        let mut floor = Floor::read(state).unwrap();
        assert_eq!(
            floor.floor(),
            102,
            "an older one that runs again does not lower it"
        );
        // Unless it was meant.
        floor.note(state, hash(2), 101, true).unwrap();
        assert_eq!(floor.floor(), 102);
        floor.ran_well(state, &machine(2, 100)).unwrap();
        assert_eq!(Floor::read(state).unwrap().floor(), 101);
        floor.ran_well(state, &machine(3, 100)).unwrap();
        floor.ran_well(state, &machine(2, 100)).unwrap();
        assert_eq!(Floor::read(state).unwrap().floor(), 102);
    }

    /// A17, F13: without the file the image's own word is the bound; a damaged file is
    /// no missing one.
    #[test]
    fn f13_a_lost_file_leaves_the_images_own_word() {
        let dir = tempfile::tempdir().unwrap();
        let floor = Floor::read(dir.path()).unwrap();
        assert_eq!(floor.running(&machine(3, 100)), 100);
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(Floor::read(dir.path()).is_err());
    }

    #[test]
    fn few_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let mut floor = Floor::read(dir.path()).unwrap();
        for release in 0..20 {
            floor.note(dir.path(), hash(release), 1, false).unwrap();
        }
        let floor = Floor::read(dir.path()).unwrap();
        assert!(floor.knows(hash(19)) && floor.knows(hash(12)) && !floor.knows(hash(11)));
    }
}
