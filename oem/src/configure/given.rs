//! Passwords that a provider gives: on top of what user-data sets once, because a reset
//! at the provider is the newest wish there is.

use crate::apply::apply;
use crate::cloudconfig::{At, CloudConfig, Password, Spot};
use crate::error::Result;
use crate::metadata::Metadata;
use crate::plan::{self, Action, Input, Layer, Work};
use crate::root::Root;
use crate::status::Resource;

/// As an input above all others; `None` when there are none.
pub(super) fn input(passwords: &[Password]) -> Option<Input> {
    let at = |password: &Password| At {
        spot: Spot::default(),
        value: password.clone(),
    };
    let config = CloudConfig {
        passwords: passwords.iter().map(at).collect(),
        ..CloudConfig::default()
    };
    (!passwords.is_empty()).then(|| Input {
        sender: Layer::Metadata.into(),
        config,
        script: None,
    })
}

/// Sets passwords, and nothing else, on the machine below `root`. What became of them.
///
/// # Errors
/// The machine's state cannot be read.
pub fn set_passwords(
    root: &Root,
    metadata: &Metadata,
    passwords: &[Password],
) -> Result<Vec<Resource>> {
    let Some(input) = input(passwords) else {
        return Ok(Vec::new());
    };
    let mut plan = plan::build(&[input], metadata, root)?;
    plan.steps
        .retain(|s| matches!(s.work, Work::Do(Action::Password { .. })));
    Ok(apply(&plan, root, None)?.resources)
}
