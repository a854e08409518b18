//! Tables of `coreos` for programs this version does not configure. Named, so
//! that an old file still tells its user what is not applied.

use super::read::{Fields, Reader};

/// The tables, with what to do in their place.
pub const TABLES: &[(&str, &str)] = &[
    (
        "etcd",
        "etcd 0.4 is gone; run etcd v3 from a unit in coreos.units",
    ),
    ("etcd2", "run etcd v3 from a unit in coreos.units"),
    ("fleet", "fleet is gone; write the units into coreos.units"),
    ("flannel", "run flannel from a unit in coreos.units"),
    ("oem", ""),
];

pub(super) fn read(coreos: &Fields<'_>, r: &mut Reader) {
    for (name, spot, _) in coreos.iter() {
        if let Some((_, hint)) = TABLES.iter().find(|(t, _)| *t == name) {
            r.warn(
                spot,
                &coreos.key(name),
                "accepted, not applied by this version",
                hint,
            );
        }
    }
}
