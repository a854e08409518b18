//! The cloud-config language: text in, a [`CloudConfig`] and findings out. Pure.
//!
//! One file per top-level key or table; [`schema`] lists them all. Most keys come
//! to the same few things (files, links, units, tasks...), so a [`CloudConfig`]
//! has these, and the plan need not know which key asked.

mod accepted;
mod bootcmd;
mod ca_certs;
pub mod credential;
pub mod diag;
mod disks;
mod etcd;
mod fence;
mod file_source;
mod final_message;
mod flannel;
mod groups;
mod hostname;
mod hosts;
mod keyboard;
mod locale;
mod mounts;
pub(crate) mod node;
mod ntp;
mod oem_release;
mod passwords;
mod phone_home;
mod power_state;
mod random_seed;
pub(crate) mod read;
mod refused;
mod resolv_conf;
mod retired;
mod runcmd;
mod salvage;
pub mod schema;
mod shell;
mod ssh;
mod ssh_import;
mod ssh_keys;
mod swap;
mod tasks;
mod timezone;
mod units;
mod updates;
mod users;
mod wireguard;
mod write_files;

pub use diag::{At, Diagnostic, Lines, Severity, Snippet, Spot, render};
pub use groups::Group;
pub(crate) use node::{Kind, MAX_NODES, Node, parse as parse_yaml};
pub use passwords::{
    Password, Secret, fault as password_fault, looks_hashed as password_looks_hashed,
};
pub use shell::environment;
pub use ssh_keys::looks_like_key;
pub use tasks::{Frequency, Phase, Task};
pub use units::{DropIn, Refresh, Unit, Verb, is_file_name, is_unit_name, network_unit};
pub use updates::{NO_SERVER, Updates, Window, name_fault, server_fault};
pub use users::{User, is_name as is_account_name};
pub use write_files::{Base, Directory, Encoding, Link, Need, WriteFile};

pub(crate) use read::{Fields, Reader};
use std::collections::BTreeMap;
use std::rc::Rc;

/// First line of every cloud-config.
pub const HEADER: &str = "#cloud-config";

/// Everything one cloud-config asks for, checked item by item. Placeholders
/// (`$public_ipv4`...) are still in place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudConfig {
    /// `hostname`.
    pub hostname: Option<At<String>>,
    /// `fqdn`: the name with its domain, for /etc/hosts.
    pub fqdn: Option<At<String>>,
    /// The machine's name is its `fqdn`.
    pub prefer_fqdn: bool,
    /// A name that the machine already has stays.
    pub preserve_hostname: Option<Spot>,
    /// `manage_etc_hosts`.
    pub manage_etc_hosts: Option<Spot>,
    /// `ssh_authorized_keys`, for user `core`.
    pub ssh_authorized_keys: Vec<At<String>>,
    /// The provider's keys are not for this machine's users.
    pub ignore_provider_keys: bool,
    /// Root may log in, with the keys of `core`.
    pub open_root: bool,
    /// The provider's vendor-data are not applied.
    pub ignore_vendor_data: bool,
    /// Groups to add.
    pub groups: Vec<At<Group>>,
    /// Users to add.
    pub users: Vec<At<User>>,
    /// Passwords to set once.
    pub passwords: Vec<At<Password>>,
    /// Files to write.
    pub write_files: Vec<At<WriteFile>>,
    /// Directories to make.
    pub directories: Vec<At<Directory>>,
    /// Symbolic links to make.
    pub links: Vec<At<Link>>,
    /// Units to place, and what to do with them.
    pub units: Vec<At<Unit>>,
    /// Services that are to see files of [`CloudConfig::write_files`].
    pub refreshes: Vec<At<Refresh>>,
    /// Programs to run.
    pub tasks: Vec<At<Task>>,
    /// `coreos.update` and `coreos.locksmith`.
    pub updates: Updates,
}

/// Parses the text of a cloud-config (header line included, so that lines
/// count as in the file). Never fails: what cannot be read is a finding, and
/// `hostname` and `ssh_authorized_keys` survive even broken YAML.
pub fn parse(text: &str) -> (CloudConfig, Vec<Diagnostic>) {
    parse_without(text, &BTreeMap::new(), &mut Allowance::default())
}

/// How much may be read of all texts of one sender together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowance {
    whole: node::Count,
    /// What can still be read of those that are too large, or broken.
    broken: node::Count,
}

/// Parses all but some top-level keys, each with the reason it is left out.
pub fn parse_without(
    text: &str,
    left_out: &BTreeMap<String, String>,
    allowance: &mut Allowance,
) -> (CloudConfig, Vec<Diagnostic>) {
    let mut config = CloudConfig::default();
    let mut notes = Vec::new();
    match node::parse_below(text, 0, &mut notes, &mut allowance.whole) {
        Ok(None) => (config, notes),
        Ok(Some(root)) => {
            let mut r = Reader::of_cloud_config();
            notes.drain(..).for_each(|n| r.report(n));
            let root = without(root, left_out, &mut r);
            read_tables(&root, &mut config, &mut r);
            (config, r.finish())
        }
        Err(broken) => {
            let mut r = Reader::of_cloud_config();
            r.report(broken);
            salvage::read_into(&mut config, text, &mut r, &mut allowance.broken);
            (config, r.finish())
        }
    }
}

/// Leaves keys out, and tells why.
fn without(root: Rc<Node>, left_out: &BTreeMap<String, String>, r: &mut Reader) -> Rc<Node> {
    let Kind::Map(entries) = &root.kind else {
        return root;
    };
    if left_out.is_empty() {
        return root;
    }
    let stays = |(k, _): &&(Rc<Node>, Rc<Node>)| {
        let Kind::Scalar { text, .. } = &k.kind else {
            return true;
        };
        let why = left_out.get(&text.replace('-', "_"));
        if let Some(why) = why {
            r.warn(k.spot, text, format!("not applied: {why}"), "");
        }
        why.is_none()
    };
    let entries = entries.iter().filter(stays).cloned().collect();
    Rc::new(Node::new(root.spot, Kind::Map(entries)))
}

/// Reads a whole cloud-config, or some tables of one.
pub(crate) fn read_tables(root: &Node, config: &mut CloudConfig, r: &mut Reader) {
    let mut known = schema::names_of(schema::SECTIONS, "");
    known.push("coreos");
    let Some(fields) = r.fields_or_refused(root, "", &known, refused::KEYS) else {
        return;
    };
    for section in schema::SECTIONS {
        schema::look(&fields, section.keys, "", r);
        (section.read)(&fields, config, r);
    }
    let Some(coreos) = fields.get("coreos") else {
        return;
    };
    let known = schema::names_of(schema::COREOS, schema::COREOS_PREFIX);
    if let Some(table) = r.fields_or_refused(coreos, "coreos", &known, refused::COREOS) {
        for section in schema::COREOS {
            schema::look(&table, section.keys, schema::COREOS_PREFIX, r);
            (section.read)(&table, config, r);
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

    #[test]
    fn binary_values_are_decoded() {
        let text = "#cloud-config\nwrite_files:\n- {path: /a, content: !!binary aGk=}\n";
        let (config, findings) = parse(text);
        assert_eq!(config.write_files[0].value.content, b"hi", "{findings:?}");
    }

    proptest! {
        #[test]
        fn other_keys_never_panic(text in "(runcmd|mounts|swap|size|maxsize|chpasswd|list|expiredate|ntp|servers|wireguard|interfaces|content|disk_setup|fs_setup|device|layout|partition|ssh_keys|final_message|phone_home|url|power_state|mode|delay|random_seed|data|groups|etcd2|source|uri|data:|/dev/x|/a|\\[Peer\\]|=|%4|9999-12-31|18446744073709551615|2G|[-:\\[\\]{},'\" \n|]|é|\\$uptime){0,60}") {
            let (_, findings) = parse(&text);
            let _ = render("x", &text, &findings);
        }
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
