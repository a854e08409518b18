//! OpenStack: firmware tables, or a disk labelled `config-2`.

use crate::detect::{Clue, Evidence, Provider};
use crate::source::Source;

pub(super) const PROVIDER: Provider = Provider {
    name: "openstack",
    title: "OpenStack",
    aliases: &[
        "openstack-metadata",
        "configdrive",
        "config-drive",
        "rackspace-onmetal",
        "ironic",
    ],
    detect,
    // The service carries nothing the drive does not.
    sources: &[Source::ConfigDrive, Source::OpenStack],
    guess: true,
};

const PRODUCTS: [&str; 2] = ["OpenStack Nova", "OpenStack Compute"];
const ASSET_TAGS: [&str; 6] = [
    "OpenTelekomCloud",
    "SAP CCloud VM",
    "HUAWEICLOUD",
    "Samsung Cloud Platform",
    "OpenStack Nova",
    "OpenStack Compute",
];

fn detect(evidence: &Evidence) -> Option<Clue> {
    let dmi = &evidence.dmi;
    if PRODUCTS.contains(&dmi.product_name.as_str()) {
        return Clue::certain(format!("DMI product_name is `{}`", dmi.product_name));
    }
    if ASSET_TAGS.contains(&dmi.chassis_asset_tag.as_str()) {
        return Clue::certain(format!(
            "DMI chassis_asset_tag is `{}`",
            dmi.chassis_asset_tag
        ));
    }
    let disk = evidence.disk(&["config-2"])?;
    Clue::likely(format!(
        "{} has the label {} ({})",
        disk.device, disk.label, disk.kind
    ))
}
