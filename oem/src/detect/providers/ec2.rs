//! Amazon EC2 and the clouds that offer the same metadata service.

use crate::detect::{Clue, Evidence, Provider};
use crate::source::Source;

pub(super) const PROVIDER: Provider = Provider {
    name: "ec2",
    title: "Amazon EC2 or compatible",
    aliases: &[
        "ec2-compat",
        "ec2-compatible",
        "aws",
        "brightbox",
        "zstack",
        "e24cloud",
        "outscale",
    ],
    detect,
    sources: &[Source::Ec2],
    guess: true,
};

fn detect(evidence: &Evidence) -> Option<Clue> {
    let dmi = &evidence.dmi;
    let starts_ec2 = |s: &str| s.get(..3).is_some_and(|p| p.eq_ignore_ascii_case("ec2"));
    for (name, value) in [
        ("bios_vendor", &dmi.bios_vendor),
        ("sys_vendor", &dmi.sys_vendor),
    ] {
        if value == "Amazon EC2" {
            return Clue::certain(format!("DMI {name} is `{value}`"));
        }
    }
    // Old Xen instances.
    if starts_ec2(&evidence.hypervisor_uuid) {
        return Clue::certain("/sys/hypervisor/uuid starts with `ec2`");
    }
    if dmi.bios_version.to_ascii_lowercase().ends_with(".amazon") {
        return Clue::certain(format!("DMI bios_version is `{}`", dmi.bios_version));
    }
    if let Some(reason) = compatible(evidence) {
        return Clue::certain(reason);
    }
    if starts_ec2(&dmi.product_uuid) || swapped(&dmi.product_uuid) {
        if dmi.product_serial.eq_ignore_ascii_case(&dmi.product_uuid) {
            return Clue::certain("DMI product_uuid and product_serial start with `ec2`");
        }
        // One random UUID in 4096 does.
        return Clue::likely("DMI product_uuid starts with `ec2`");
    }
    None
}

/// SMBIOS before 2.6 leaves the byte order of a UUID's first fields open:
/// `45E12AEC-...` is `EC2AE145-...`.
fn swapped(uuid: &str) -> bool {
    let group = uuid.split('-').next().unwrap_or_default().as_bytes();
    group.len() == 8 && group[4] == b'2' && group[6..].eq_ignore_ascii_case(b"ec")
}

fn compatible(evidence: &Evidence) -> Option<String> {
    let dmi = &evidence.dmi;
    if dmi.product_serial.ends_with(".brightbox.com") {
        return Some("DMI product_serial ends with `.brightbox.com` (Brightbox)".into());
    }
    if dmi.chassis_asset_tag.ends_with(".zstack.io") {
        return Some("DMI chassis_asset_tag ends with `.zstack.io` (ZStack)".into());
    }
    let outscale = dmi.sys_vendor == "3DS Outscale" && dmi.product_name == "3DS Outscale VM";
    if outscale || matches!(dmi.sys_vendor.as_str(), "e24cloud" | "Tilaa") {
        return Some(format!("DMI sys_vendor is `{}`", dmi.sys_vendor));
    }
    None
}
