//! DigitalOcean.

use super::Provider;
use crate::detect::{Clue, Evidence};

pub(super) static PROVIDER: Provider = Provider {
    name: "digitalocean",
    title: "DigitalOcean",
    aliases: &[],
    detect,
    ..Provider::NONE
};

fn detect(evidence: &Evidence) -> Option<Clue> {
    let dmi = &evidence.dmi;
    Clue::is("sys_vendor", &dmi.sys_vendor, &["DigitalOcean"])
}
