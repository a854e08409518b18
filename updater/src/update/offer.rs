//! What a machine takes. Everything here is signed data against what the machine
//! knows of itself: pure decisions.

use init::cmdline::RootHash;

use super::Identity;
use crate::delta::plan::{Have, choices};
use crate::release::{Channel, Digest, FORMAT, Release};
use crate::state::Memory;
use crate::tuf::Time;
use crate::verity::BLOCK;
use crate::version::{Version, VersionError};

/// Largest kernel image in bytes: it passes through memory.
pub const MAX_KERNEL: u64 = 128 << 20;
/// Longest salt of a hash tree in bytes, by the superblock's format.
const MAX_SALT: usize = 256;

/// A release that this machine should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its document.
    pub release: Release,
    /// Its version.
    pub version: Version,
    /// Its root hash.
    pub root_hash: RootHash,
    /// Salt of its hash tree.
    pub salt: Vec<u8>,
    /// What runs may not be run any more.
    pub urgent: bool,
    /// It is older than what runs, or ran well.
    pub downgrade: bool,
}

/// How old a release may be: places in the order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of what runs.
    pub running: u64,
    /// The highest of those that ran well here.
    pub floor: u64,
    /// Of the oldest release that the channel allows.
    pub oldest: Option<u64>,
    /// The first two do not count: the channel permits it, or an operator.
    pub downgrade: bool,
}

impl Offer {
    /// Bytes to fetch at most, by what is signed. Blocks that can be used again are not
    /// known yet.
    pub fn download(&self, machine: &Identity) -> u64 {
        let have = Have {
            root_hash: Digest(machine.root_hash.0),
            size: 0,
            stored: None,
        };
        let ways = choices(&self.release.usr, Some(&have));
        let usr = ways.iter().map(|way| way.bytes).min().unwrap_or(0);
        usr.saturating_add(self.release.uki.length)
    }
}

/// Why what is signed is not for this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A document of a later kind.
    #[error("{what} has format {format}; this updater reads up to {FORMAT}")]
    Format {
        /// The document.
        what: &'static str,
        /// Its format.
        format: u32,
    },
    /// One document in the place of another.
    #[error("the {what} is {found:?} where {expected:?} must be")]
    Other {
        /// What of it.
        what: &'static str,
        /// In the document.
        found: String,
        /// By its place, or by the machine.
        expected: String,
    },
    /// The version cannot be a file's name.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// Sizes or salt that no release has.
    #[error("release {0}: {1}")]
    Impossible(Version, &'static str),
    /// It is older than what runs.
    #[error(
        "release {version} (sequence {sequence}) is not newer than the running one ({running})"
    )]
    Older {
        /// What is offered.
        version: Version,
        /// Its place in the order.
        sequence: u64,
        /// The running one's.
        running: u64,
    },
    /// It is older than one that ran well.
    #[error(
        "release {version} (sequence {sequence}) is older than one that ran well here ({floor})"
    )]
    BelowBest {
        /// What is offered.
        version: Version,
        /// Its place in the order.
        sequence: u64,
        /// That of the highest that ran well.
        floor: u64,
    },
    /// The channel forbids it itself.
    #[error("release {0} is below the oldest that its channel allows")]
    BelowFloor(Version),
    /// It is not there.
    #[error("the repository has no release {0}, to which this machine is pinned")]
    NoPin(Version),
    /// It was tried.
    #[error("release {version} is not tried again: it {cause}")]
    GivenUp {
        /// Which.
        version: Version,
        /// In words, after "it".
        cause: &'static str,
    },
}

impl Refused {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Refused::Format { .. } => "update by way of an older release, or write the image again",
            Refused::Other { .. } | Refused::Version(_) | Refused::Impossible(..) => {
                "the repository is damaged or not meant for this machine: publish the release again"
            }
            Refused::Older { .. } | Refused::BelowBest { .. } => {
                "nothing to do if this machine is ahead of its channel; to go back: `updater update --allow-downgrade`"
            }
            Refused::BelowFloor(_) => "publish the channel again, with a newer release",
            Refused::NoPin(_) => "`updater unpin`, or pin a release that the repository has",
            Refused::GivenUp { .. } => {
                "wait for a newer release, or try it once more with `updater update --again`"
            }
        }
    }
}

/// Checks a channel's document, which was asked for as `name`. Returns the version.
pub fn channel(document: &Channel, name: &str) -> Result<Version, Refused> {
    format("the channel's document", document.format)?;
    expect("channel", &document.channel, name)?;
    Ok(document.version.parse()?)
}

/// Checks a release that was asked for as `version`, against this machine.
pub fn release(document: &Release, version: &str, machine: &Identity) -> Result<Version, Refused> {
    format("the release's document", document.format)?;
    expect("image", &document.image, &machine.image)?;
    expect(
        "architecture",
        &document.architecture,
        &machine.architecture,
    )?;
    expect("version", &document.version, version)?;
    Ok(document.version.parse()?)
}

/// Refuses a release that was made after its metadata expires: its place in the order
/// is a time, and a machine that ran it would take no other for as long.
pub fn is_of_its_time(document: &Release, version: &Version, expires: Time) -> Result<(), Refused> {
    let made = i64::try_from(document.sequence).unwrap_or(i64::MAX);
    if made > expires.0 {
        let why = "its place in the order lies in the future";
        return Err(Refused::Impossible(version.clone(), why));
    }
    Ok(())
}

/// Decides. `None`: it runs already. With `again`, what was given up is tried once more.
pub fn judge(
    document: Release,
    version: &Version,
    limits: &Limits,
    machine: &Identity,
    memory: &Memory,
    again: bool,
) -> Result<Option<Offer>, Refused> {
    let root_hash = RootHash(document.usr.root_hash.0);
    if root_hash == machine.root_hash {
        return Ok(None);
    }
    let sequence = document.sequence;
    let downgrade = sequence <= limits.running || sequence < limits.floor;
    if sequence <= limits.running && !limits.downgrade {
        return Err(Refused::Older {
            version: version.clone(),
            sequence,
            running: limits.running,
        });
    }
    if downgrade && !limits.downgrade {
        return Err(Refused::BelowBest {
            version: version.clone(),
            sequence,
            floor: limits.floor,
        });
    }
    if limits.oldest.is_some_and(|oldest| sequence < oldest) {
        return Err(Refused::BelowFloor(version.clone()));
    }
    if !again && memory.refuses(version.as_str()) {
        let mut given_up = memory.refused.iter();
        let entry = given_up.find(|entry| entry.release.version == version.as_str());
        return Err(Refused::GivenUp {
            version: version.clone(),
            cause: entry.map_or("was given up", |entry| entry.cause.in_words()),
        });
    }
    let impossible = |what| Refused::Impossible(version.clone(), what);
    if document.usr.size == 0 || !document.usr.size.is_multiple_of(BLOCK as u64) {
        return Err(impossible("its /usr is not a whole number of blocks"));
    }
    if document.uki.length == 0 || document.uki.length > MAX_KERNEL {
        return Err(impossible(
            "its kernel image is empty or larger than 128 MiB",
        ));
    }
    let salt = unhex(&document.usr.salt).filter(|salt| salt.len() <= MAX_SALT);
    Ok(Some(Offer {
        salt: salt.ok_or_else(|| impossible("its salt is not hexadecimal, or too long"))?,
        version: version.clone(),
        root_hash,
        urgent: limits.oldest.is_some_and(|oldest| limits.running < oldest),
        downgrade,
        release: document,
    }))
}

fn format(what: &'static str, format: u32) -> Result<(), Refused> {
    if (1..=FORMAT).contains(&format) {
        return Ok(());
    }
    Err(Refused::Format { what, format })
}

fn expect(what: &'static str, found: &str, expected: &str) -> Result<(), Refused> {
    if found == expected {
        return Ok(());
    }
    Err(Refused::Other {
        what,
        found: found.chars().take(64).collect(),
        expected: expected.to_owned(),
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect()
}
