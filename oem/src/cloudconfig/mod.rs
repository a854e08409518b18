//! The cloud-config language: text in, a [`CloudConfig`] and findings out. Pure.
//! One file per top-level key or table; [`schema`] lists them all.

pub mod diag;
mod foreign;
mod hostname;
mod hosts;
pub(crate) mod node;
pub(crate) mod read;
mod retired;
mod salvage;
pub mod schema;
mod ssh_keys;
mod units;
mod updates;
mod users;
mod write_files;

pub use diag::{At, Diagnostic, Severity, Spot, render};
pub(crate) use node::{Kind, Node, parse as parse_yaml};
pub use ssh_keys::looks_like_key;
pub use units::{DropIn, Unit, Verb, network_unit};
pub use updates::{NO_SERVER, Updates, Window, name_fault, server_fault};
pub use users::User;
pub use write_files::{Encoding, WriteFile};

use read::Reader;

/// First line of every cloud-config.
pub const HEADER: &str = "#cloud-config";

/// Everything one cloud-config asks for, checked item by item. Placeholders
/// (`$public_ipv4`...) are still in place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudConfig {
    /// `hostname`.
    pub hostname: Option<At<String>>,
    /// `ssh_authorized_keys`, for user `core`.
    pub ssh_authorized_keys: Vec<At<String>>,
    /// `users`.
    pub users: Vec<At<User>>,
    /// `write_files`.
    pub write_files: Vec<At<WriteFile>>,
    /// `manage_etc_hosts: localhost`.
    pub manage_etc_hosts: Option<Spot>,
    /// `coreos.units`.
    pub units: Vec<At<Unit>>,
    /// `coreos.update` and `coreos.locksmith`.
    pub updates: Updates,
}

/// Parses the text of a cloud-config (header line included, so that lines
/// count as in the file). Never fails: what cannot be read is a finding, and
/// `hostname` and `ssh_authorized_keys` survive even broken YAML.
pub fn parse(text: &str) -> (CloudConfig, Vec<Diagnostic>) {
    let mut config = CloudConfig::default();
    let mut notes = Vec::new();
    match node::parse(text, &mut notes) {
        Ok(None) => (config, notes),
        Ok(Some(root)) => {
            let mut r = Reader::default();
            notes.drain(..).for_each(|n| r.report(n));
            read_into(&mut config, &root, &mut r);
            (config, r.finish())
        }
        Err(broken) => {
            let mut r = Reader::default();
            r.report(broken);
            salvage::read_into(&mut config, text, &mut r);
            (config, r.finish())
        }
    }
}

fn read_into(config: &mut CloudConfig, root: &node::Node, r: &mut Reader) {
    let known: Vec<&str> = schema::top_level().collect();
    let Some(fields) = r.fields(root, "", &known, foreign::KEYS) else {
        return;
    };
    if let Some(n) = fields.get("hostname") {
        config.hostname = hostname::read(n, r);
    }
    if let Some(n) = fields.get("ssh_authorized_keys") {
        config.ssh_authorized_keys = ssh_keys::read(n, "ssh_authorized_keys", r);
    }
    if let Some(n) = fields.get("users") {
        config.users = users::read(n, r);
    }
    if let Some(n) = fields.get("write_files") {
        config.write_files = write_files::read(n, "write_files", r);
    }
    if let Some(n) = fields.get("manage_etc_hosts") {
        config.manage_etc_hosts = hosts::read(n, r);
    }
    if let Some(n) = fields.get("coreos") {
        let known: Vec<&str> = schema::coreos().collect();
        if let Some(table) = r.fields(n, "coreos", &known, &[]) {
            retired::read(&table, r);
            if let Some(n) = table.get("units") {
                config.units = units::read(n, r);
            }
            if let Some(n) = table.get("update") {
                updates::read_update(n, &mut config.updates, r);
            }
            if let Some(n) = table.get("locksmith") {
                updates::read_locksmith(n, &mut config.updates, r);
            }
        }
    }
}

/// What is wrong with a host name, if anything.
pub fn host_name_fault(name: &str) -> Option<String> {
    hostname::check(name).err()
}

/// What is wrong with a path to write to, and what to do.
pub fn path_fault(path: &str) -> Option<(String, &'static str)> {
    write_files::check_path(path).err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_coreos_read() {
        let text = "#cloud-config\nbase: &b {name: a.service, command: start}\n\
            coreos:\n  units:\n    - <<: *b\n      enable: yes\n    - *b\n";
        let (config, findings) = parse(text);
        let [merged, alias] = &config.units[..] else {
            panic!("{findings:?}")
        };
        assert!(merged.value.enable && !alias.value.enable);
        assert_eq!(alias.value.command, Some(Verb::Start));
        assert_eq!((merged.spot.line, findings.len()), (5, 1));
    }

    #[test]
    fn keys_survive_broken_text_before_and_after() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA";
        for text in [
            format!("#cloud-config\nbad: [\nssh_authorized_keys:\n- {key}\nhostname: a\n"),
            format!("#cloud-config\nhostname: a\nssh-authorized-keys:\n  - {key}\n\tbad\n}}\n"),
        ] {
            let (config, findings) = parse(&text);
            assert_eq!(
                config.hostname.map(|h| h.value).as_deref(),
                Some("a"),
                "{findings:?}"
            );
            assert_eq!(config.ssh_authorized_keys.len(), 1, "{text}: {findings:?}");
            assert!(findings.iter().any(Diagnostic::is_error));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(hostname|users|coreos|units|name|write_files|[-:?&*!|>%@{}\\[\\],#'\" \n\t\\\\]|a|é|~|<<|\\$public_ipv4|0644){0,60}") {
            let (_, findings) = parse(&text);
            let _ = render("x", &text, &findings);
        }
        #[test]
        fn any_text_is_taken(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
