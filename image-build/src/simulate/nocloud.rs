//! NoCloud: a CD-ROM labelled `cidata`, as libvirt, Proxmox VE and many scripts
//! attach it.

use serde_json::json;

use super::http::Response;
use super::iso::{self, File};
use super::{Look, Provider, Scenario};

/// What `nocloud` means.
pub(super) static NOCLOUD: Provider = Provider {
    name: "nocloud",
    about: "NoCloud: CD-ROM labelled cidata",
    endpoints: &[],
    look: |scenario| Look {
        cdroms: vec![drive(scenario)],
        ..Look::default()
    },
    respond: |_, _, _, _| Response::status(404),
};

/// The image of the drive.
pub(super) fn drive(scenario: &Scenario) -> Vec<u8> {
    // JSON is YAML, and needs no quoting rules.
    let meta = json!({
        "instance-id": scenario.instance_id_or("iid-holdfast01"),
        "local-hostname": scenario.hostname,
        "public-keys": scenario.ssh_keys,
    });
    iso::image(
        "cidata",
        &[
            File::new("meta-data", format!("{meta:#}\n")),
            File::new("user-data", scenario.user_data.clone().unwrap_or_default()),
        ],
    )
}
