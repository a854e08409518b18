//! The keys of the language. One file reads one key, or keys that belong
//! together, and has one line in a table here; what it says about its keys is
//! what [`super::parse`] accepts and what `oem schema` prints.

use super::CloudConfig;
use super::read::{Fields, Reader};
use super::{accepted, bootcmd, ca_certs, disks, final_message, groups, hostname, hosts, keyboard};
use super::{etcd, flannel, oem_release, retired, units, updates};
use super::{locale, mounts, ntp, passwords, phone_home, power_state, random_seed, refused};
use super::{
    resolv_conf, runcmd, ssh, ssh_import, ssh_keys, swap, timezone, users, wireguard, write_files,
};

/// One key.
pub struct Key {
    /// Full name, e.g. `coreos.units[].name`.
    pub name: &'static str,
    /// Type in words.
    pub kind: &'static str,
    /// Meaning.
    pub about: &'static str,
}

pub(super) const fn key(name: &'static str, kind: &'static str, about: &'static str) -> Key {
    Key { name, kind, about }
}

/// Keys that are read together.
pub(super) struct Section {
    /// What they are.
    pub keys: &'static [Key],
    /// Reads those that are there.
    pub read: fn(&Fields<'_>, &mut CloudConfig, &mut Reader),
}

/// The top level.
pub(super) const SECTIONS: &[&Section] = &[
    &hostname::SECTION,
    &ssh_keys::SECTION,
    &ssh_import::SECTION,
    &groups::SECTION,
    &users::SECTION,
    &passwords::SECTION,
    &write_files::SECTION,
    &hosts::SECTION,
    &ssh::SECTION,
    &disks::SECTION,
    &swap::SECTION,
    &mounts::SECTION,
    &timezone::SECTION,
    &locale::SECTION,
    &keyboard::SECTION,
    &ntp::SECTION,
    &ca_certs::SECTION,
    &resolv_conf::SECTION,
    &wireguard::SECTION,
    &random_seed::SECTION,
    &bootcmd::SECTION,
    &runcmd::SECTION,
    &accepted::SECTION,
    &phone_home::SECTION,
    &final_message::SECTION,
    &power_state::SECTION,
];

/// The table `coreos`.
pub(super) const COREOS: &[&Section] = &[
    &units::SECTION,
    &updates::UPDATE,
    &updates::LOCKSMITH,
    &etcd::SECTION,
    &flannel::SECTION,
    &oem_release::SECTION,
    &retired::SECTION,
];

/// Prefix of the names in [`COREOS`].
pub(super) const COREOS_PREFIX: &str = "coreos.";

/// Every key that is read. `-` may be written for `_`.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().chain(COREOS).flat_map(|s| s.keys)
}

/// Keys that are known and refused, each with what to use instead.
pub fn refused() -> impl Iterator<Item = (&'static str, &'static str)> {
    refused::KEYS.iter().map(|k| (k.name, k.instead))
}

/// Names directly below `prefix` in some keys: `users[].` has `name`, `gecos`...
pub(super) fn names(keys: &[Key], prefix: &str) -> Vec<&'static str> {
    let mut out: Vec<&'static str> = Vec::new();
    for key in keys {
        let Some(rest) = key.name.strip_prefix(prefix) else {
            continue;
        };
        let name = rest.split(['.', '[']).next().unwrap_or(rest);
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// The same over some sections.
pub(super) fn names_of(sections: &[&Section], prefix: &str) -> Vec<&'static str> {
    sections
        .iter()
        .flat_map(|s| names(s.keys, prefix))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_key_is_in_the_tables_twice() {
        let mut seen = HashSet::new();
        for key in keys() {
            assert!(seen.insert(key.name), "{}", key.name);
            assert!(
                !key.kind.is_empty() && !key.about.is_empty(),
                "{}",
                key.name
            );
        }
        for (name, instead) in refused() {
            assert!(seen.insert(name), "{name}");
            assert!(!instead.is_empty(), "{name}");
        }
    }

    #[test]
    fn names_are_those_of_one_level() {
        assert_eq!(
            names(units::SECTION.keys, "coreos.units[].drop_ins[]."),
            ["name", "content"]
        );
        assert_eq!(names(ssh_keys::SECTION.keys, ""), ["ssh_authorized_keys"]);
    }
}
