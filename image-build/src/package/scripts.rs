//! Audit of maintainer scripts. They never run; what debhelper generated is known
//! and done by finalizers, and anything written by hand is shown to the user until
//! a recipe accepts it by package name (`accept_scripts`).

use std::collections::BTreeSet;

use super::Package;
use crate::tree::matches;

/// Scripts that run when a package is installed for the first time.
const SCRIPTS: [&str; 2] = ["preinst", "postinst"];

/// Helpers whose generated code finalizers or the running system cover: units,
/// tmpfiles, sysusers, the linker cache, leftovers of upgrades, things removed.
const COVERED: [&str; 16] = [
    "dh_apparmor",
    "dh_bugfiles",
    "dh_installdeb",
    "dh_installinit",
    "dh_installinitramfs",
    "dh_installmenu",
    "dh_installsystemd",
    "dh_installsystemduser",
    "dh_installsysusers",
    "dh_installtmpfiles",
    "dh_installudev",
    "dh_installmime",
    "dh_makeshlibs",
    "dh_runit",
    "dh_systemd_enable",
    "dh_ucf",
];

/// How many lines of a script a report shows.
const SHOWN: usize = 5;

/// A package with hand-written code in its scripts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// Package name.
    pub package: String,
    /// Script name.
    pub script: String,
    /// How many lines of code were written by hand.
    pub count: usize,
    /// The first of them.
    pub lines: Vec<String>,
}

/// What a package's scripts have beyond generated code; `None` if that is nothing
/// or the package is accepted (patterns, [`matches()`]).
pub fn audit(package: &Package, accepted: &BTreeSet<&str>) -> Option<Skipped> {
    if accepted
        .iter()
        .any(|pattern| matches(pattern, &package.name))
    {
        return None;
    }
    SCRIPTS.iter().find_map(|script| {
        let lines = by_hand(package.scripts.get(*script)?);
        (!lines.is_empty()).then(|| Skipped {
            package: package.name.clone(),
            script: (*script).to_owned(),
            count: lines.len(),
            lines: lines.into_iter().take(SHOWN).map(str::to_owned).collect(),
        })
    })
}

/// Lines of code outside blocks of covered helpers.
fn by_hand(script: &str) -> Vec<&str> {
    let mut covered = false;
    let mut out = Vec::new();
    for line in script.lines() {
        let text = line.trim();
        if let Some(rest) = text.strip_prefix("# Automatically added by ") {
            covered = COVERED.contains(&rest.split('/').next().unwrap_or(rest));
        } else if text.starts_with("# End automatically added section") {
            covered = false;
        } else if !covered && !is_noise(text) {
            out.push(line);
        }
    }
    out
}

/// Lines that do nothing by themselves.
fn is_noise(line: &str) -> bool {
    line.is_empty()
        || line.starts_with('#')
        || matches!(line, "set -e" | "set -eu" | "exit 0" | ":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_written_by_hand() {
        let generated = "#!/bin/sh\nset -e\n# Automatically added by dh_installsystemd/13.24\nif true; then\n  x\nfi\n# End automatically added section\nexit 0\n";
        assert!(by_hand(generated).is_empty());
        let mixed = format!("{generated}addgroup --system docker\n");
        assert_eq!(by_hand(&mixed), ["addgroup --system docker"]);
        let alternatives = generated.replace("dh_installsystemd", "dh_installalternatives");
        assert_eq!(by_hand(&alternatives).len(), 3);
    }
}
