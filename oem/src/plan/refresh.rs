//! Services that are to see files that were written for them.

use super::{Action, Builder, Input, Origin};

pub(super) fn add(b: &mut Builder<'_>, inputs: &[&Input]) {
    for input in inputs {
        for refresh in &input.config.refreshes {
            let origin = Origin::at(input.sender, refresh.spot);
            let r = &refresh.value;
            let action = Action::Refresh {
                unit: r.unit.to_owned(),
                verb: r.verb,
                paths: r.paths.clone(),
            };
            b.push(format!("refresh {}", r.unit), origin, action);
        }
    }
}
