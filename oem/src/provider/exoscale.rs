//! Exoscale.

use super::Provider;
use crate::detect::{Clue, Evidence};

pub(super) static PROVIDER: Provider = Provider {
    name: "exoscale",
    title: "Exoscale",
    aliases: &[],
    detect,
    ..Provider::NONE
};

fn detect(evidence: &Evidence) -> Option<Clue> {
    let dmi = &evidence.dmi;
    Clue::starts("product_name", &dmi.product_name, "Exoscale")
}
