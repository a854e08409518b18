//! An update from end to end: asks a repository, decides, installs.
//!
//! | part | does |
//! |---|---|
//! | [`Identity`] | what this machine runs, as the image itself says |
//! | [`check`] | refreshes metadata, reads the channel and its release, judges |
//! | [`offer`] | the rules of what a machine takes; no I/O |
//! | [`floor`] | the place in the order below which a machine does not go |
//! | [`Work`] | fetches a release into the slot that is not running |
//! | [`place`] | the repository, and the root of trust |
//! | [`Answered`] | when a repository last answered |
//! | [`trial`] | which releases are on trial |
//! | [`bless`], [`roll_back`] | what becomes of them |
//! | [`keep_or_bring_back`] | a second copy of the running kernel image |
//! | [`Lock`] | one at a time |
//!
//! Nothing of the machine is changed by [`check`] but the metadata that it trusts.
//! Everything works on plain files and folders, too: disk, ESP and state are given.
//!
//! What an interrupted [`Work::install`] leaves in the state's folder, and what
//! another one goes on with: `journal.json` (windows that are on the disk), `part`
//! (the start of a long frame), `kernel` (the start of the kernel image). None of it is
//! trusted. At most 1 MiB is fetched twice.

mod answered;
mod check;
mod error;
pub mod floor;
mod identity;
mod kernel;
mod lock;
pub mod offer;
mod part;
pub mod place;
mod running;
mod spare;
mod tally;
pub mod trial;
mod verdict;
mod windows;
mod work;

#[cfg(test)]
pub(crate) mod tests;

pub use answered::Answered;
pub use check::{Found, Setup, check, check_and_tell};
pub use error::Error;
pub use identity::{Identity, Unknown};
pub use lock::Lock;
pub use offer::{Limits, Offer, Refused};
pub use spare::{Spared, keep_or_bring_back};
pub use tally::Tally;
pub use verdict::{bless, roll_back};
pub use work::{Done, Event, Work};

/// The root of trust that an image ships, below `/`.
pub const ROOT: &str = "usr/share/holdfast/update/root.json";

/// The journal of an installation, in the state's folder.
pub const JOURNAL: &str = "journal.json";

/// Longest frame that is not kept while it is incomplete.
const SHORT: u64 = 128 << 10;
