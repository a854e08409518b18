//! What the updater does next: a pure function from a state and an event to a new
//! state and effects. No clock, no file, no network; who calls [`State::step`] says
//! what time it is and carries the effects out.
//!
//! ```text
//! Starting -> Assessing -> Blessing ------------------------+
//!                |  unhealthy on trial -> Rebooting          v
//!                +- unhealthy, known good -> Unhealthy      resting <-> Checking
//!   resting is one of Idle, Available, Staged, Backoff       ^    |
//!                                                            |    v
//!            Staged -> Locking -> Planned -> Rebooting       +- Downloading -> Verifying -> Finalizing
//!            resting -> Undoing -> Staged or resting
//! ```
//!
//! Rules that hold in every state (each is a test):
//! - a slot on trial that turns out unhealthy is rebooted; one that was good before is
//!   not, and update activity stops instead, so there are never two bad slots;
//! - a release that was rolled back from is not installed again until a newer one runs
//!   or an operator allows it;
//! - no reboot without an operator while held, while the configuration has problems,
//!   outside the windows, while something inhibits it, or without the lock;
//! - an event that does not fit the state changes nothing, except that a lock granted
//!   too late is given back.

mod effect;
mod event;
mod memory;
mod phase;
mod reboot;
mod step;
mod store;
mod why;

pub use effect::{Delay, Effect, Reboot, Timer};
pub use event::{Event, Facts, Found, Gates, Request, Stage, Trouble, TroubleKind, Wish};
pub use memory::{Attempt, Cause, Memory, Refused};
pub use phase::{Known, Offer, Phase, Plan, Policy, Staged, State, Undo, Wait, Withheld};
pub use store::{Store, StoreError};
pub(crate) use store::{read, replace, replace_with_mode, write};

#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
