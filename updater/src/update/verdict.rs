//! What becomes of releases once somebody has judged them, on ESP and in the state's
//! folder together.

use std::path::Path;

use super::{Error, trial};
use crate::boot::BootControl;
use crate::state::Known;

/// Records the running release as good. See [`BootControl::mark_good`].
pub fn bless(state: &Path, boot: &BootControl<'_>, force: bool) -> Result<(), Error> {
    boot.mark_good(force)?;
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
