//! Microsoft Azure.

use super::Provider;
use crate::detect::{Clue, Evidence};

pub(super) static PROVIDER: Provider = Provider {
    name: "azure",
    title: "Microsoft Azure",
    aliases: &[],
    detect,
    ..Provider::NONE
};

/// Chassis asset tag of every Azure machine.
pub(super) const ASSET_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

fn detect(evidence: &Evidence) -> Option<Clue> {
    let dmi = &evidence.dmi;
    Clue::is("chassis_asset_tag", &dmi.chassis_asset_tag, &[ASSET_TAG])
}
