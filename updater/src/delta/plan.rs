//! Which way to a new /usr costs least, and what it takes.

use super::index::{self, Index, MAX_INDEX, Piece, digest};
use super::reuse::Blocks;
use crate::fetch::{self, Source};
use crate::release::{Artefact, Digest, Stream, Usr};
use crate::verity::{BLOCK, DIGEST, HashTree, Stored};

/// A way to a new /usr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A patch: its number in [`Usr::patches`].
    Patch(usize),
    /// What the machine has, and the rest of the full stream.
    Reuse,
    /// All of the full stream.
    Full,
}

/// A way and the most bytes that it can take, all of them signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The way.
    pub way: Way,
    /// Bytes to fetch at most.
    pub bytes: u64,
}

/// What a machine has.
#[derive(Debug, Clone, Copy)]
pub struct Have<'a> {
    /// Root hash of its /usr.
    pub root_hash: Digest,
    /// Bytes of its /usr.
    pub size: u64,
    /// Its stored hash tree, if that could be read.
    pub stored: Option<&'a Stored>,
}

/// The ways that a machine can go, the best first. The last one is always
/// [`Way::Full`], which needs nothing of the machine.
///
/// What [`Way::Reuse`] takes is only known when the leaves were fetched. So it comes
/// after a patch that is smaller than the full stream, and before the full stream
/// if the leaves are small beside that.
pub fn choices(usr: &Usr, have: Option<&Have<'_>>) -> Vec<Choice> {
    let total = |stream: &Stream| stream.index.length.saturating_add(stream.data.length);
    let full = total(&usr.full);
    let mut choices = Vec::new();
    if let Some(have) = have {
        let patches = usr.patches.iter().enumerate();
        choices.extend(
            patches
                .filter(|(_, patch)| patch.from_root_hash == have.root_hash)
                .map(|(number, patch)| Choice {
                    way: Way::Patch(number),
                    bytes: total(&patch.stream),
                })
                .filter(|choice| choice.bytes < full)
                .min_by_key(|choice| choice.bytes),
        );
        let same_salt = |stored: &Stored| {
            init::verity::hex(&stored.salt) == usr.salt && stored.root_hash == have.root_hash.0
        };
        if let Some(leaves) = &usr.leaves
            && have.stored.is_some_and(same_salt)
            && leaves.length < full / 4
        {
            choices.push(Choice {
                way: Way::Reuse,
                bytes: full.saturating_add(leaves.length),
            });
        }
    }
    choices.push(Choice {
        way: Way::Full,
        bytes: full,
    });
    choices
}

/// What to do for each window of the new /usr.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The way.
    pub way: Way,
    /// The file that frames are fetched from.
    pub data: Artefact,
    /// Its index.
    pub index: Index,
    /// For each window the pieces that it can be put together from.
    copies: Vec<Option<Vec<Piece>>>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A document did not come.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// Nobody has the document that was signed.
    #[error("{0} is not what the release says, wherever it was fetched from")]
    Wrong(String),
    /// An index that cannot be read.
    #[error("the index {name}")]
    Index {
        /// The index.
        name: String,
        /// What is wrong with it.
        #[source]
        source: index::Error,
    },
    /// Documents of one release that do not fit each other, or the machine.
    #[error("{name}: {what}")]
    Mismatch {
        /// The document.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Fetch(_) => None,
            Self::Wrong(_) => Some("check the mirrors: their files differ from what was published"),
            Self::Index { source, .. } => Some(source.hint()),
            Self::Mismatch { .. } => Some("publish the release again"),
        }
    }
}

impl Plan {
    /// Fetches what is needed to know what to fetch, and checks that it fits.
    pub fn prepare(
        way: Way,
        usr: &Usr,
        have: Option<&Have<'_>>,
        source: &mut dyn Source,
    ) -> Result<Self, Error> {
        let stream = match way {
            Way::Patch(number) => match usr.patches.get(number) {
                Some(patch) => &patch.stream,
                None => return Err(mismatch(&usr.full.index, "there is no such patch")),
            },
            Way::Reuse | Way::Full => &usr.full,
        };
        let bytes = document(source, &stream.index, MAX_INDEX)?;
        let index = Index::decode(&bytes).map_err(|source| Error::Index {
            name: stream.index.name.clone(),
            source,
        })?;
        if index.size() != usr.size || index.data_len() != stream.data.length {
            let what = "its sizes are not those of the release";
            return Err(mismatch(&stream.index, what));
        }
        let old_size = match (way, have) {
            (Way::Patch(_), Some(have)) => have.size,
            _ => 0,
        };
        if index.old_size() > old_size {
            let what = "it needs more of the older /usr than there is";
            return Err(mismatch(&stream.index, what));
        }
        let copies = match (way, have.and_then(|have| have.stored)) {
            (Way::Reuse, Some(stored)) => copies(&index, usr, stored, source)?,
            _ => index
                .windows()
                .iter()
                .map(|window| (window.length == 0).then(|| window.pieces.clone()))
                .collect(),
        };
        Ok(Self {
            way,
            data: stream.data.clone(),
            index,
            copies,
        })
    }

    /// Bytes of frames that are needed from window `start` on.
    pub fn bytes(&self, start: usize) -> u64 {
        (start..self.index.len())
            .filter(|number| self.copies[*number].is_none())
            .map(|number| u64::from(self.index.windows()[number].length))
            .sum()
    }

    /// The pieces that window `number` can be put together from, if it can.
    pub fn copy(&self, number: usize) -> Option<&[Piece]> {
        self.copies[number].as_deref()
    }

    #[cfg(test)]
    pub(super) fn replace_index(&mut self, index: Index) {
        let windows = index.windows().iter();
        self.copies = windows
            .map(|window| (window.length == 0).then(|| window.pieces.clone()))
            .collect();
        self.index = index;
    }

    /// The window after the last of those that are fetched in one piece with
    /// window `number`.
    pub(super) fn run_end(&self, number: usize) -> usize {
        let copies = &self.copies[number + 1..];
        let run = copies.iter().take_while(|copy| copy.is_none()).count();
        number + 1 + run
    }
}

/// For each window of the full stream, where the machine has it.
fn copies(
    index: &Index,
    usr: &Usr,
    stored: &Stored,
    source: &mut dyn Source,
) -> Result<Vec<Option<Vec<Piece>>>, Error> {
    let Some(artefact) = &usr.leaves else {
        return Err(mismatch(&usr.full.index, "the release has no leaves"));
    };
    let expected = usr.size / BLOCK as u64 * DIGEST as u64;
    if artefact.length != expected {
        let what = "there is not one leaf for each block";
        return Err(mismatch(artefact, what));
    }
    let leaves = document(source, artefact, expected)?;
    // The signed digest says that these are the publisher's, this that they are
    // the release's.
    let tree = HashTree::from_leaves(leaves, &stored.salt);
    let tree = tree.ok().filter(|tree| tree.root_hash == usr.root_hash.0);
    let Some(tree) = tree else {
        let what = "the leaves do not lead to the root hash of the release";
        return Err(mismatch(artefact, what));
    };
    let blocks = Blocks::new(stored.leaves.clone());
    let per_window = index.window() as usize / BLOCK * DIGEST;
    Ok(tree
        .leaves()
        .chunks(per_window)
        .map(|wanted| blocks.pieces(wanted))
        .collect())
}

/// A whole file with a signed digest; asks the next mirror as long as it is wrong.
fn document(source: &mut dyn Source, artefact: &Artefact, cap: u64) -> Result<Vec<u8>, Error> {
    if artefact.length > cap {
        return Err(mismatch(artefact, "it is larger than its kind may be"));
    }
    let path = artefact.path();
    for _ in 0..super::apply::MAX_ATTEMPTS {
        let bytes = source.document(&path, artefact.length)?;
        if let Some(bytes) = bytes
            && bytes.len() as u64 == artefact.length
            && digest(&bytes) == artefact.sha256
        {
            return Ok(bytes);
        }
        if !source.blame(&path) {
            break;
        }
    }
    Err(Error::Wrong(artefact.name.clone()))
}

fn mismatch(artefact: &Artefact, what: &'static str) -> Error {
    Error::Mismatch {
        name: artefact.name.clone(),
        what,
    }
}
