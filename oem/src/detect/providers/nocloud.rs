//! NoCloud: a disk labelled `cidata`, or a seed named by the command line or
//! the SMBIOS serial number. The operator made it on purpose.

use crate::detect::cmdline::seed;
use crate::detect::{Certainty, Clue, Evidence, Provider};
use crate::source::Source;

pub(super) const PROVIDER: Provider = Provider {
    name: "nocloud",
    title: "NoCloud",
    aliases: &["no-cloud", "nocloud-net", "proxmoxve", "kubevirt-nocloud"],
    detect,
    sources: &[Source::NoCloudDisk, Source::NoCloudSeed],
    guess: false,
};

fn detect(evidence: &Evidence) -> Option<Clue> {
    if evidence.cmdline.nocloud.is_some() {
        let reason = "kernel command line `ds=nocloud`".to_owned();
        return Some(Clue {
            certainty: Certainty::Pinned,
            reason,
        });
    }
    let serial = &evidence.dmi.product_serial;
    if serial.strip_prefix("ds=").and_then(seed).is_some() {
        return Clue::certain("DMI product_serial holds `ds=nocloud`");
    }
    let disk = evidence.disk(&["cidata"])?;
    Clue::likely(format!(
        "{} has the label {} ({})",
        disk.device, disk.label, disk.kind
    ))
}
