//! mkosi's configuration: the files of `tests/bench/mkosi` and what only the run
//! knows, the package list and the mirror.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use image_build::archive::mirror::Mirrors;

/// Path below the configuration's folder, content.
const FILES: [(&str, &str); 6] = [
    (
        "mkosi.conf",
        include_str!("../../../bench/mkosi/mkosi.conf"),
    ),
    (
        "mkosi.profiles/cloud-init/mkosi.conf",
        include_str!("../../../bench/mkosi/mkosi.profiles/cloud-init/mkosi.conf"),
    ),
    (
        "mkosi.repart/00-esp.conf",
        include_str!("../../../bench/mkosi/mkosi.repart/00-esp.conf"),
    ),
    (
        "mkosi.repart/10-usr-verity.conf",
        include_str!("../../../bench/mkosi/mkosi.repart/10-usr-verity.conf"),
    ),
    (
        "mkosi.repart/11-usr.conf",
        include_str!("../../../bench/mkosi/mkosi.repart/11-usr.conf"),
    ),
    (
        "mkosi.repart/30-root.conf",
        include_str!("../../../bench/mkosi/mkosi.repart/30-root.conf"),
    ),
];

/// Where Debian's keys are in the tools tree.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// All files with their contents, for suite `trixie`.
pub fn files(packages: &[String], mirrors: &Mirrors) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = FILES
        .iter()
        .map(|(path, text)| ((*path).into(), (*text).into()))
        .collect();
    files.push(("mkosi.conf.d/packages.conf".into(), package_list(packages)));
    files.push((
        "mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources".into(),
        sources(mirrors),
    ));
    files
}

/// Replaces `dir` by `files`.
pub fn write(dir: &Path, files: &[(String, String)]) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    for (name, text) in files {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn package_list(packages: &[String]) -> String {
    let mut text = String::from("[Content]\nPackages=\n");
    for name in packages {
        let _ = writeln!(text, "        {name}");
    }
    text
}

fn sources(mirrors: &Mirrors) -> String {
    let source = |url: &str, suites: &str| {
        format!(
            "Types: deb\nURIs: {url}\nSuites: {suites}\nComponents: main\nSigned-By: {KEYRING}\n"
        )
    };
    format!(
        "{}\n{}",
        source(&mirrors.main, "trixie trixie-updates"),
        source(&mirrors.security, "trixie-security")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_sources() {
        assert_eq!(
            package_list(&["docker.io".into(), "systemd".into()]),
            "[Content]\nPackages=\n        docker.io\n        systemd\n"
        );
        let mirrors = Mirrors {
            main: "http://mirror.invalid/debian".into(),
            security: "http://mirror.invalid/s".into(),
            keyring: None,
        };
        let text = sources(&mirrors);
        assert!(
            text.contains("URIs: http://mirror.invalid/s\nSuites: trixie-security\n"),
            "{text}"
        );
        assert_eq!(text.matches("Types: deb\n").count(), 2);
    }
}
