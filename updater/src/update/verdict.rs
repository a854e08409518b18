//! What becomes of releases once somebody has judged them, on ESP and in the state's
//! folder together.

use std::path::Path;

use super::floor::Floor;
use super::{Error, Identity, trial};
use crate::boot::BootControl;
use crate::state::Known;

/// Records the running release as good. See [`BootControl::mark_good`].
pub fn bless(
    state: &Path,
    machine: &Identity,
    boot: &BootControl<'_>,
    force: bool,
) -> Result<(), Error> {
    boot.mark_good(force)?;
    // It is good, whatever becomes of this file; who reads it next tells what is wrong.
    if let Err(e) = Floor::read(state).and_then(|mut floor| floor.ran_well(state, machine)) {
        tracing::warn!(hint = e.hint(), "the floor for releases is not kept: {e}");
    }
    let version = boot.state()?.running.version;
    trial::end(state, version.as_str()).map_err(|e| Error::State(state.to_owned(), e))
}

/// Makes the other slot the next to boot, and tells its release. See
/// [`BootControl::rollback`].
pub fn roll_back(boot: &BootControl<'_>) -> Result<Known, Error> {
    boot.rollback()?;
    let other = boot.state()?.other;
    let version = other.map(|other| other.version.to_string());
    Ok(Known {
        version: version.unwrap_or_default(),
        sequence: 0,
    })
}
