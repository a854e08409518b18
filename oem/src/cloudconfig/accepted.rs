//! Keys of cloud-init that are met by what this system is, or that one line meets.

use super::CloudConfig;
use super::read::{Fields, Reader};
use super::schema::Type::{Any, Flag, List, Table, Text};
use super::schema::{Section, key};
use super::tasks::{Frequency, Phase, Task};

pub(super) const SECTION: Section = Section {
    title: "Around cloud-init",
    keys: &[
        key(
            "disable_ec2_metadata",
            Flag,
            "nothing on the machine reaches 169.254.169.254 once it is configured",
        )
        .each(Frequency::Boot),
        key(
            "vendor_data",
            Table,
            "`enabled: false`: the provider's vendor-data are not applied",
        ),
        key(
            "vendor_data.enabled",
            Flag,
            "whether the provider's vendor-data are applied",
        ),
        key(
            "vendor_data.prefix",
            Any,
            "scripts of vendor-data run as they are",
        )
        .not_applied(),
        key(
            "updates",
            Table,
            "network cards that are plugged in later are set up at once",
        )
        .accepted(),
        key("updates.network", Table, "the same").accepted(),
        key("updates.network.when", List(&Text), "the same").accepted(),
        key(
            "manual_cache_clean",
            Flag,
            "what belongs to an instance is kept by its id",
        )
        .accepted(),
        key(
            "merge_how",
            Any,
            "how this part meets those before it; by default items add up, and a later single value wins",
        ),
        key("merge_type", Any, "older word for `merge_how`"),
        key("version", Text, "for tools that write it").accepted(),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
disable_ec2_metadata: true
vendor_data:
  enabled: false
merge_how: list(append)+dict(recurse_array)+str()
merge_type: list(append)+dict(recurse_array)+str()
manual_cache_clean: false
updates:
  network:
    when: [boot]
version: v1
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    if let Some((spot, _)) = f.entry("disable_ec2_metadata")
        && f.boolean("disable_ec2_metadata", r) == Some(true)
    {
        // By now it has been read; the next boot starts without the route.
        let body = "exec ip route replace prohibit 169.254.169.254/32\n";
        let about = "Close the way to the metadata service";
        let task = Task::shell("no-metadata", about, body, Frequency::Boot, Phase::Last);
        config.tasks.push(task.at(spot));
    }
    let Some(node) = f.get("vendor_data") else {
        return;
    };
    let Some(f) = r.table(node, "vendor_data", SECTION.keys, "vendor_data.") else {
        return;
    };
    config.ignore_vendor_data = f.boolean("enabled", r) == Some(false);
    if let Some((spot, _)) = f.entry("prefix") {
        let why = "not applied: scripts of vendor-data run as they are";
        r.warn(spot, "vendor_data.prefix", why, "leave it out");
    }
}
