//! Ignition configurations, spec 3.0 to 3.6, as JSON or in Butane's YAML:
//! translated into what a cloud-config comes to, so that there is one way from
//! there to the machine. What Ignition does before there is a system (disks,
//! LUKS, RAID, kernel arguments) is told by name and not applied.
//!
//! Unlike Ignition, which runs once and stops the boot when anything fails, this
//! is applied at each boot, item by item.

mod config;
mod json;
mod passwd;
pub mod resource;
mod storage;
mod systemd;

use crate::cloudconfig::{CloudConfig, Diagnostic, Node, Reader, Spot, parse_yaml};
use crate::userdata::fetch::Meter;
use std::rc::Rc;

/// How a configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Ignition's own.
    Json,
    /// Butane's.
    Butane,
}

/// A configuration that has been read.
#[derive(Debug, Default)]
pub struct Read {
    /// What it asks for.
    pub config: CloudConfig,
    /// What is wrong with it.
    pub findings: Vec<Diagnostic>,
    /// Configurations to apply above this one, in rising precedence.
    pub merge: Vec<Vec<u8>>,
    /// The configuration to apply instead of this one.
    pub replace: Option<Vec<u8>>,
}

/// The work on one configuration.
struct Reading<'r, 'm> {
    r: Reader,
    meter: &'r mut Meter<'m>,
    config: CloudConfig,
    butane: bool,
    merge: Vec<Vec<u8>>,
    replace: Option<Vec<u8>>,
}

/// Top-level tables.
const TABLES: &[&str] = &[
    "ignition",
    "storage",
    "systemd",
    "passwd",
    "kernel_arguments",
];
/// Further ones of Butane's.
const BUTANE: &[&str] = &[
    "variant",
    "version",
    "boot_device",
    "grub",
    "openshift",
    "extensions",
    "metadata",
];

/// Reads a configuration, fetching what it refers to. Never fails: what cannot
/// be read is a finding.
pub fn read(text: &str, language: Language, meter: &mut Meter<'_>) -> Read {
    let mut notes = Vec::new();
    let root = match language {
        Language::Json => json::parse(text).map(Some),
        Language::Butane => parse_yaml(text, &mut notes),
    };
    let root = match root {
        // What aliases stand for counts as if it were sent.
        Ok(Some(root)) if meter.take(root.text_size().saturating_sub(text.len())) => root,
        Ok(Some(_)) => {
            let e = meter.too_large();
            let broken = Diagnostic::error(Spot::default(), "", e.chain());
            return Read {
                findings: vec![broken.hint(e.hint_text().unwrap_or_default())],
                ..Read::default()
            };
        }
        Ok(None) => return Read::default(),
        Err(broken) => {
            return Read {
                findings: vec![broken],
                ..Read::default()
            };
        }
    };
    let mut c = Reading {
        r: Reader::default(),
        meter,
        config: CloudConfig::default(),
        butane: language == Language::Butane,
        merge: Vec::new(),
        replace: None,
    };
    notes.into_iter().for_each(|n| c.r.report(n));
    c.document(&root);
    let mut findings = c.r.finish();
    if language == Language::Json {
        findings.iter_mut().for_each(in_json);
    }
    Read {
        config: c.config,
        findings,
        merge: c.merge,
        replace: c.replace,
    }
}

/// Names as JSON has them.
fn in_json(d: &mut Diagnostic) {
    d.key = json::camel(&d.key);
    if let Some(hint) = &mut d.hint
        && hint.starts_with("did you mean")
    {
        *hint = json::camel(hint);
    }
}

impl Reading<'_, '_> {
    fn document(&mut self, root: &Rc<Node>) {
        let known = match self.butane {
            true => [TABLES, BUTANE].concat(),
            false => TABLES.to_vec(),
        };
        let Some(f) = self.r.fields(root, "", &known, &[]) else {
            return;
        };
        if !config::version(&f, self) {
            return;
        }
        if let Some(n) = f.get("ignition") {
            config::read(n, self);
        }
        if let Some(n) = f.get("passwd") {
            passwd::read(n, self);
        }
        if let Some(n) = f.get("storage") {
            storage::read(n, self);
        }
        if let Some(n) = f.get("systemd") {
            systemd::read(n, self);
        }
        for (name, why, hint) in [
            (
                "kernel_arguments",
                "kernel arguments are part of the signed image here",
                "put them into the recipe's `cmdline`",
            ),
            (
                "boot_device",
                "the boot device is not laid out anew",
                "use RAID or encryption below the virtual machine",
            ),
            (
                "grub",
                "there are no users of GRUB here",
                "leave the table out",
            ),
            (
                "openshift",
                "it is for OpenShift's nodes",
                "leave the table out",
            ),
            (
                "extensions",
                "packages are not installed on a running system",
                "add them to the recipe, or use a container",
            ),
        ] {
            if let Some(n) = f.get(name) {
                self.unsupported(n.spot, &f.key(name), why, hint);
            }
        }
    }

    /// Tells that something is known, and not applied.
    fn unsupported(&mut self, spot: Spot, key: &str, why: &str, hint: &str) {
        self.r.error(spot, key, format!("not applied: {why}"), hint);
    }

    /// A list of mappings: each item with its path.
    fn items<'n>(&mut self, node: &'n Node, at: &str) -> Vec<(String, &'n Rc<Node>)> {
        let items = self.r.list(node, at).iter().enumerate();
        items.map(|(i, n)| (format!("{at}[{i}]"), n)).collect()
    }
}

#[cfg(test)]
mod tests;
