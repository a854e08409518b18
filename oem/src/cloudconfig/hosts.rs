//! `manage_etc_hosts`.

use super::schema::Type::{Either, Flag, Word};
use super::schema::{Section, key};

pub(super) const SECTION: Section = Section {
    title: "Hosts file",
    keys: &[key(
        "manage_etc_hosts",
        Either(&[Word(&["localhost", "template"]), Flag]),
        "writes /etc/hosts with this machine's name",
    )],
    example: EXAMPLE,
    read: |f, config, r| {
        let Some(value) = f.line("manage_etc_hosts", r) else {
            return;
        };
        match value.value.to_ascii_lowercase().as_str() {
            "localhost" | "true" | "yes" | "on" => config.manage_etc_hosts = Some(value.spot),
            // cloud-init's old word for the template it has for a distribution.
            "template" => config.manage_etc_hosts = Some(value.spot),
            "false" | "no" | "off" => {}
            _ => r.error(
                value.spot,
                "manage_etc_hosts",
                "expected `localhost`, `true` or `false`",
                "write `manage_etc_hosts: localhost`, or write /etc/hosts with write_files",
            ),
        }
    },
};

const EXAMPLE: &str = "\
manage_etc_hosts: localhost
";
