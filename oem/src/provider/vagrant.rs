//! Vagrant: an image that says so itself (its OEM partition names the provider). Vagrant
//! leaves user-data in a file, logs in with a key whose private half everybody has, and
//! puts a key of its own in its place.
//!
//! That insecure key is given to a machine that is pinned to Vagrant until its user has
//! another one; anywhere else it is refused, whoever sends it.

use super::Provider;
use crate::detect::{Clue, Evidence};
use crate::error::{Context, Error, Result};
use crate::http::MAX_BODY;
use crate::source::document::{data, text};
use crate::source::{Found, Raw, Scene, Source, keys};
use std::fs::{self, File};
use std::io::Read;

pub(super) static PROVIDER: Provider = Provider {
    name: NAME,
    title: "Vagrant",
    aliases: &["vagrant-key", "vagrant-virtualbox"],
    detect,
    files: &FILES,
    sources: &[&HOST],
    ..Provider::NONE
};

static HOST: Source = Source {
    name: NAME,
    title: "Vagrant's files",
    local: true,
    fetch: |scene, _, _| Box::pin(std::future::ready(read(scene))),
    parse,
};

const NAME: &str = "vagrant";
/// Where a Vagrantfile copies user-data to: the names of CoreOS and of Flatcar.
const FILES: [&str; 2] = [
    "var/lib/coreos-vagrant/vagrantfile-user-data",
    "var/lib/flatcar-vagrant/vagrantfile-user-data",
];
/// Keys of the user whom Vagrant logs in as.
const AUTHORIZED: &str = "home/core/.ssh/authorized_keys";
const USER_DATA: &str = "user-data";
const KEY: &str = "insecure-key";
/// The public halves of Vagrant's two insecure keys.
const INSECURE: [(&str, &str); 2] = [
    (
        "ssh-rsa",
        "AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ==",
    ),
    (
        "ssh-ed25519",
        "AAAAC3NzaC1lZDI1NTE5AAAAIN1YdxBpNlzxDqfJyw/QKow1F+wvG9hXGoqiysfJOn5Y",
    ),
];
/// Reads the configuration again once the user's own keys change: the insecure one goes.
const WATCH: &str = "#cloud-config
coreos:
  units:
    - name: vagrant-key.path
      command: start
      content: |
        [Unit]
        Description=Wait for a key in place of Vagrant's insecure one
        [Path]
        PathChanged=/home/core/.ssh/authorized_keys
    - name: vagrant-key.service
      content: |
        [Unit]
        Description=Take back Vagrant's insecure key
        [Service]
        Type=oneshot
        ExecStart=/usr/bin/oem apply --stage local
";

/// Whether a line of `authorized_keys` is one of the keys whose private half everybody
/// has, whatever options and comment are around it.
pub(crate) fn is_insecure(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.any(|word| INSECURE.iter().any(|(_, key)| *key == word))
}

/// Whether metadata of this provider may hold such a key.
pub(crate) fn may_be_insecure(provider: &str) -> bool {
    provider == NAME
}

fn is_pinned(evidence: &Evidence) -> bool {
    let names = |name: &str| {
        let mut all = std::iter::once(&PROVIDER.name).chain(PROVIDER.aliases);
        all.any(|n| n.eq_ignore_ascii_case(name))
    };
    evidence.pin().is_some_and(|(name, _)| names(&name))
}

/// A pin is nobody's business but the operator's; the file is what Vagrant leaves on an
/// image of whatever name.
fn detect(evidence: &Evidence) -> Option<Clue> {
    let file = FILES.iter().find(|f| evidence.has(f))?;
    Clue::likely(format!("there is /{file}"))
}

fn read(scene: &Scene) -> Result<Option<Found>> {
    let mut raw = Raw::new();
    for path in FILES.iter().filter(|f| scene.evidence.has(f)) {
        let what = || format!("cannot read /{path}");
        let file = File::open(scene.root.join(path)).environment(what)?;
        let mut bytes = Vec::new();
        let limit = MAX_BODY as u64;
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .environment(what)?;
        if bytes.len() as u64 > limit {
            return Err(Error::input(format!("/{path} is over {limit} bytes")));
        }
        raw.entry(USER_DATA.to_owned()).or_insert(bytes);
    }
    let own = fs::read_to_string(scene.root.join(AUTHORIZED)).unwrap_or_default();
    let replaced = keys::lines(&own).iter().any(|key| !is_insecure(key));
    if is_pinned(&scene.evidence) && !replaced {
        let lines =
            INSECURE.map(|(kind, key)| format!("{kind} {key} vagrant insecure public key\n"));
        raw.insert(KEY.to_owned(), lines.concat().into_bytes());
    }
    // A machine that is Vagrant's is so without user-data.
    let known = is_pinned(&scene.evidence) || !raw.is_empty();
    Ok(known.then(|| parse(&raw, "/var/lib/coreos-vagrant")))
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = Found::default();
    let fetched = &mut found.fetched;
    fetched.provider = NAME.into();
    fetched.source = source.into();
    fetched.user_data = data(raw, USER_DATA);
    let insecure = text(raw, KEY).map(keys::lines).unwrap_or_default();
    if !insecure.is_empty() {
        fetched.vendor_data = Some(WATCH.into());
    }
    let metadata = &mut fetched.metadata;
    metadata.provider = NAME.into();
    metadata.ssh_keys = insecure;
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(pinned: bool) -> (tempfile::TempDir, Scene) {
        let root = tempfile::tempdir().unwrap();
        let evidence = Evidence {
            oem_provider: pinned.then(|| "Vagrant-Key".to_owned()),
            files: vec![FILES[0].to_owned()],
            ..Evidence::default()
        };
        let file = root.path().join(FILES[0]);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "#cloud-config\n").unwrap();
        let scene = Scene {
            root: root.path().into(),
            evidence,
        };
        (root, scene)
    }

    #[test]
    fn the_insecure_key_lasts_until_there_is_another() {
        let (root, scene) = scene(true);
        let keys = || read(&scene).unwrap().unwrap().fetched.metadata.ssh_keys;
        assert_eq!(keys().len(), 2);
        assert!(keys().iter().all(|k| is_insecure(k)));
        let own = root.path().join(AUTHORIZED);
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        fs::write(&own, format!("{}\n", keys()[0])).unwrap();
        assert_eq!(keys().len(), 2);
        fs::write(
            &own,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDrLcTvqjRUA vagrant\n",
        )
        .unwrap();
        assert!(keys().is_empty());
        assert_eq!(read(&scene).unwrap().unwrap().fetched.vendor_data, None);
    }

    #[test]
    fn without_a_pin_there_is_user_data_only() {
        let (_root, scene) = scene(false);
        let fetched = read(&scene).unwrap().unwrap().fetched;
        assert!(fetched.user_data.is_some() && fetched.metadata.ssh_keys.is_empty());
        assert_eq!(
            detect(&scene.evidence).unwrap().reason,
            format!("there is /{}", FILES[0])
        );
    }

    #[test]
    fn known_by_the_key_alone() {
        let (kind, key) = INSECURE[1];
        assert!(is_insecure(&format!("no-pty {kind} {key} me@example")));
        assert!(!is_insecure(&format!("{kind} {}A", key)));
    }
}
