//! cloud-init's keys about sshd: host keys, passwords, root.

use super::diag::{At, Spot};
use super::read::{Fields, Reader};
use super::schema::{Section, key};
use super::tasks::{Frequency, Phase, Task};
use super::units::{DropIn, Refresh, Unit, Verb};
use super::{CloudConfig, WriteFile};

/// Read before sshd's own file, and the first value of a setting counts.
const CONFIG: &str = "/etc/ssh/sshd_config.d/50-cloud-config.conf";
const UNIT: &str = "ssh.service";
/// No image has host keys: they are made when sshd first starts. A disk that has been
/// another instance's brings that one's along.
const NEW_KEYS: &str = "\
set -eu
[ \"$(ls /var/lib/oem/instances | wc -l)\" -gt 1 ] || exit 0
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
systemctl --no-block try-restart ssh.service
";
/// The kind of host key that every machine has.
const DEFAULT: &str = "ed25519";

pub(super) const SECTION: Section = Section {
    keys: &[
        key(
            "ssh_pwauth",
            "true|false|unchanged",
            "whether sshd takes passwords; default false",
        ),
        key(
            "disable_root",
            "true|false",
            "false: root may log in with the keys of core; default true",
        ),
        key(
            "disable_root_opts",
            "text",
            "accepted; root cannot log in at all where it is disabled",
        ),
        key(
            "allow_public_ssh_keys",
            "true|false",
            "false: the provider's keys are not applied",
        ),
        key(
            "ssh_keys",
            "mapping of text",
            "host keys: `TYPE_private`, `TYPE_public`, `TYPE_certificate` for rsa, ecdsa, ed25519",
        ),
        key(
            "ssh_genkeytypes",
            "list of rsa|ecdsa|ed25519",
            "kinds of host keys to make; ed25519 is always made",
        ),
        key(
            "ssh_deletekeys",
            "true|false",
            "true: a copy of another machine's disk gets host keys of its own; default false",
        ),
        key(
            "ssh_quiet_keygen",
            "true|false",
            "accepted; keys are made quietly",
        ),
        key(
            "ssh_publish_hostkeys",
            "mapping",
            "accepted; host keys are not sent to the provider",
        ),
        key(
            "ssh",
            "mapping",
            "accepted; host keys are not shown on the console",
        ),
        key(
            "ssh_key_console_blacklist",
            "list of text",
            "accepted; host keys are not shown on the console",
        ),
        key(
            "ssh_fp_console_blacklist",
            "list of text",
            "accepted; host keys are not shown on the console",
        ),
        key(
            "no_ssh_fingerprints",
            "true|false",
            "accepted; keys of users are not shown on the console",
        ),
        key(
            "authkey_hash",
            "text",
            "accepted; keys of users are not shown on the console",
        ),
    ],
    read,
};

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let mut text = String::new();
    let mut spot = None;
    if let Some(word) = f.line("ssh_pwauth", r) {
        match word.value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => {
                text += "PasswordAuthentication yes\n";
                spot = Some(word.spot);
            }
            "false" | "no" | "off" | "0" => {
                text += "PasswordAuthentication no\n";
                spot = Some(word.spot);
            }
            "unchanged" | "" => {}
            _ => r.error(
                word.spot,
                "ssh_pwauth",
                "expected true, false or unchanged",
                "",
            ),
        }
    }
    config.ignore_provider_keys = f.boolean("allow_public_ssh_keys", r) == Some(false);
    if f.boolean("disable_root", r) == Some(false) {
        config.open_root = true;
        text += "PermitRootLogin prohibit-password\n";
        spot = spot.or(f.entry("disable_root").map(|(s, _)| s));
    }
    if let Some((at, _)) = f.entry("disable_root_opts") {
        let why = "not applied: root cannot log in at all unless `disable_root: false`";
        r.warn(at, "disable_root_opts", why, "leave the key out");
    }
    if let Some((at, node)) = f.entry("ssh_keys") {
        spot = spot.or(Some(at));
        text += &given(node, config, r);
    }
    if let Some((at, _)) = f.entry("ssh_deletekeys")
        && f.boolean("ssh_deletekeys", r) == Some(true)
        && f.get("ssh_keys").is_none()
    {
        let about = "Make host keys anew on a copied disk";
        let task = Task::shell(
            "host-keys",
            about,
            NEW_KEYS,
            Frequency::Instance,
            Phase::Early,
        );
        config.tasks.push(task.at(at));
    }
    if let Some((at, node)) = f.entry("ssh_genkeytypes") {
        let more = made(at, &r.words(node, "ssh_genkeytypes"), config, r);
        if !more.is_empty() {
            spot = spot.or(Some(at));
        }
        for line in more.lines() {
            if !text.lines().any(|l| l == line) {
                text += &format!("{line}\n");
            }
        }
    }
    let Some(spot) = spot.filter(|_| !text.is_empty()) else {
        return;
    };
    config
        .write_files
        .push(WriteFile::text(CONFIG, text, spot).at(spot));
    let mut paths = vec![CONFIG.to_owned()];
    paths.extend(
        config
            .write_files
            .iter()
            .filter(|w| w.value.path.value.starts_with("/etc/ssh/ssh_host_"))
            .map(|w| w.value.path.value.clone()),
    );
    config.refreshes.push(At {
        spot,
        value: Refresh {
            unit: UNIT,
            verb: Verb::ReloadOrTryRestart,
            paths,
        },
    });
}

/// `ssh_keys`: writes them, and gives what sshd must be told.
fn given(node: &super::node::Node, config: &mut CloudConfig, r: &mut Reader) -> String {
    const FIELDS: &[&str] = &[
        "rsa_private",
        "rsa_public",
        "rsa_certificate",
        "ecdsa_private",
        "ecdsa_public",
        "ecdsa_certificate",
        "ed25519_private",
        "ed25519_public",
        "ed25519_certificate",
    ];
    const OLD: &[super::refused::Refused] = &[
        super::refused::Refused {
            name: "dsa_private",
            instead: "OpenSSH has no DSA keys any more; use ed25519",
        },
        super::refused::Refused {
            name: "dsa_public",
            instead: "OpenSSH has no DSA keys any more; use ed25519",
        },
        super::refused::Refused {
            name: "dsa_certificate",
            instead: "OpenSSH has no DSA keys any more; use ed25519",
        },
    ];
    let mut text = String::new();
    let Some(f) = r.fields_or_refused(node, "ssh_keys", FIELDS, OLD) else {
        return text;
    };
    for (name, spot, node) in f.iter() {
        let Some((kind, part)) = name.split_once('_') else {
            continue;
        };
        let Some(value) = r.string(node, &f.key(name)) else {
            continue;
        };
        let body = value.value.trim();
        let base = format!("/etc/ssh/ssh_host_{kind}_key");
        let (path, mode) = match part {
            "private" => (base.clone(), 0o600),
            "public" => (format!("{base}.pub"), 0o644),
            _ => (format!("{base}-cert.pub"), 0o644),
        };
        if part == "private" && !body.contains("PRIVATE KEY-----") {
            let hint = "the text from `-----BEGIN OPENSSH PRIVATE KEY-----` to the end";
            r.error(spot, &f.key(name), "not a private key", hint);
            continue;
        }
        match part {
            "private" if kind != DEFAULT => text += &format!("HostKey {path}\n"),
            "certificate" => text += &format!("HostCertificate {path}\n"),
            _ => {}
        }
        let mut file = WriteFile::text(path, format!("{body}\n"), spot);
        file.mode = Some(mode);
        config.write_files.push(file.at(spot));
    }
    text
}

/// `ssh_genkeytypes`: a drop-in that makes the further kinds when sshd starts.
fn made(spot: Spot, kinds: &[At<String>], config: &mut CloudConfig, r: &mut Reader) -> String {
    let (mut lines, mut text) = (String::new(), String::new());
    for kind in kinds {
        match kind.value.as_str() {
            DEFAULT => {}
            "rsa" | "ecdsa" => {
                let path = format!("/etc/ssh/ssh_host_{}_key", kind.value);
                lines += &format!(
                    "ExecStartPre=/usr/bin/sh -c 'test -s {path} || {{ rm -f {path}; exec ssh-keygen -q -t {} -N \"\" -C \"\" -f {path}; }}'\n",
                    kind.value
                );
                text += &format!("HostKey {path}\n");
            }
            _ => r.error(
                kind.spot,
                "ssh_genkeytypes",
                "unknown kind of key",
                "rsa, ecdsa or ed25519",
            ),
        }
    }
    if !lines.is_empty() {
        let mut unit = Unit::named(UNIT, spot);
        unit.drop_ins.push(At {
            spot,
            value: DropIn {
                name: "20-cloud-config.conf".to_owned(),
                content: format!("[Service]\n{lines}"),
            },
        });
        config.units.push(At { spot, value: unit });
    }
    text
}
