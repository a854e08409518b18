//! Apache CloudStack on KVM. Under VMware and XenServer hosts the firmware
//! shows the hypervisor's name instead: those rest on the guess or on a pin.

use crate::detect::{Clue, Evidence, Provider};
use crate::source::Source;

pub(super) const PROVIDER: Provider = Provider {
    name: "cloudstack",
    title: "Apache CloudStack",
    aliases: &["cloudstack-metadata", "cloudstack-configdrive", "interoute"],
    detect,
    sources: &[Source::ConfigDrive, Source::CloudStack],
    guess: true,
};

fn detect(evidence: &Evidence) -> Option<Clue> {
    let product = &evidence.dmi.product_name;
    if product.starts_with("CloudStack") {
        return Clue::certain(format!("DMI product_name is `{product}`"));
    }
    None
}
