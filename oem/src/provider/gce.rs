//! Google Compute Engine.

use super::Provider;
use crate::detect::{Clue, Evidence};

pub(super) static PROVIDER: Provider = Provider {
    name: "gce",
    title: "Google Compute Engine",
    aliases: &["gcp"],
    detect,
    ..Provider::NONE
};

fn detect(evidence: &Evidence) -> Option<Clue> {
    let dmi = &evidence.dmi;
    Clue::is(
        "product_name",
        &dmi.product_name,
        &["Google Compute Engine"],
    )
    .or_else(|| Clue::starts("product_serial", &dmi.product_serial, "GoogleCloud-"))
}
