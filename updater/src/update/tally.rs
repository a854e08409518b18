//! What the events of an installation come to.

use super::Event;
use crate::install::Step;
use crate::state::Stage;

/// Bytes of an installation so far, of all that it fetches.
#[derive(Debug)]
pub struct Tally {
    kernel: u64,
    uki: u64,
    usr: u64,
    way: u64,
}

impl Tally {
    /// Of a kernel image of `uki` bytes, and `download` bytes in all.
    pub fn new(uki: u64, download: u64) -> Self {
        Tally {
            kernel: 0,
            uki,
            usr: 0,
            way: download.saturating_sub(uki),
        }
    }

    /// Takes note of an event. How far it is, if the event tells.
    pub fn stage(&mut self, event: &Event<'_>) -> Option<Stage> {
        match event {
            Event::Kernel { done, .. } => self.kernel = *done,
            Event::Way { bytes, .. } => {
                (self.usr, self.way) = (0, *bytes);
            }
            Event::Otherwise { .. } => return None,
            Event::Step { step, done, total } => match step {
                // What is written, of all that is written: what is fetched goes along.
                Step::Write => {
                    self.kernel = self.uki;
                    let part = u128::from(*done) * u128::from(self.way);
                    let part = part.checked_div(u128::from(*total)).unwrap_or(0);
                    self.usr = u64::try_from(part).unwrap_or(u64::MAX);
                }
                Step::Check | Step::Prepare => return None,
                Step::Tree | Step::ReadBack => return Some(Stage::Verifying),
                Step::Name | Step::Boot => return Some(Stage::Finalizing),
            },
        }
        Some(Stage::Downloading(
            self.kernel.saturating_add(self.usr),
            self.uki.saturating_add(self.way),
        ))
    }
}
