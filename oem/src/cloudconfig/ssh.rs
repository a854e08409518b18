//! cloud-init's keys about sshd: host keys, passwords, root.

use super::credential::{Reference, reference};
use super::diag::{At, Spot};
use super::read::{Fields, Reader};
use super::refused::Refused;
use super::schema::Type::{Either, Flag, List, Names, Table, Text, Word};
use super::schema::{Section, WORDS, key};
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

/// Fields of `ssh_keys`.
const FIELDS: &str = "rsa_private rsa_public rsa_certificate \
    ecdsa_private ecdsa_public ecdsa_certificate \
    ed25519_private ed25519_public ed25519_certificate";

const NO_DSA: &str = "OpenSSH has no DSA keys any more; use ed25519";

/// Older ones.
pub(super) const REFUSED: &[Refused] = &[
    Refused {
        name: "dsa_private",
        instead: NO_DSA,
    },
    Refused {
        name: "dsa_public",
        instead: NO_DSA,
    },
    Refused {
        name: "dsa_certificate",
        instead: NO_DSA,
    },
];

pub(super) const SECTION: Section = Section {
    title: "SSH server",
    keys: &[
        key(
            "ssh_pwauth",
            Either(&[Flag, Word(&["unchanged"])]),
            "whether sshd takes passwords; default false",
        ),
        key(
            "disable_root",
            Flag,
            "false: root may log in with the keys of core; default true",
        ),
        key(
            "disable_root_opts",
            Text,
            "root cannot log in at all unless `disable_root: false`",
        )
        .not_applied(),
        key(
            "allow_public_ssh_keys",
            Flag,
            "false: the provider's keys are not applied",
        ),
        key(
            "ssh_keys",
            Names(FIELDS),
            "host keys: `TYPE_private`, `TYPE_public`, `TYPE_certificate` for rsa, ecdsa and ed25519",
        ),
        key(
            "ssh_genkeytypes",
            WORDS,
            "kinds of host keys to make: rsa, ecdsa; ed25519 is always made",
        ),
        key(
            "ssh_deletekeys",
            Flag,
            "true: a copy of another machine's disk gets host keys of its own; default false",
        )
        .each(Frequency::Instance),
        key("ssh_quiet_keygen", Flag, "keys are made quietly").accepted(),
        key(
            "ssh_publish_hostkeys",
            Table,
            "host keys are not sent to the provider",
        )
        .accepted(),
        key(
            "ssh_publish_hostkeys.enabled",
            Flag,
            "host keys are not sent to the provider",
        )
        .accepted(),
        key(
            "ssh_publish_hostkeys.blacklist",
            List(&Text),
            "host keys are not sent to the provider",
        )
        .accepted(),
        key("ssh", Table, "host keys are not shown on the console").accepted(),
        key(
            "ssh.emit_keys_to_console",
            Flag,
            "host keys are not shown on the console",
        )
        .accepted(),
        key(
            "ssh_key_console_blacklist",
            WORDS,
            "host keys are not shown on the console",
        )
        .accepted(),
        key(
            "ssh_fp_console_blacklist",
            WORDS,
            "host keys are not shown on the console",
        )
        .accepted(),
        key(
            "no_ssh_fingerprints",
            Flag,
            "keys of users are not shown on the console",
        )
        .accepted(),
        key(
            "authkey_hash",
            Text,
            "keys of users are not shown on the console",
        )
        .accepted(),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
ssh_pwauth: false
disable_root: true
allow_public_ssh_keys: true
ssh_deletekeys: true
ssh_genkeytypes: [ed25519, rsa]
ssh_keys:
  ed25519_private: |
    -----BEGIN OPENSSH PRIVATE KEY-----
    b3BlbnNzaC1rZXktdjEAAAAA...
    -----END OPENSSH PRIVATE KEY-----
  ed25519_public: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample web-1
# Files of cloud-init's users have these, too:
ssh_quiet_keygen: true
ssh_publish_hostkeys:
  enabled: true
  blacklist: [rsa]
ssh:
  emit_keys_to_console: false
ssh_key_console_blacklist: [ssh-rsa]
ssh_fp_console_blacklist: [ssh-rsa]
no_ssh_fingerprints: true
authkey_hash: sha256
";

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
        config.tasks.push(task.repeated().at(at));
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
    let known: Vec<&str> = FIELDS.split_whitespace().collect();
    let mut text = String::new();
    let Some(f) = r.fields_or_refused(node, "ssh_keys", &known, REFUSED) else {
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
        let sealed = match part {
            "private" => reference(&value, &f.key(name), r),
            _ => Reference::Text,
        };
        if sealed == Reference::Wrong {
            continue;
        }
        if part == "private" && sealed == Reference::Text && !body.contains("PRIVATE KEY-----") {
            let hint = "the text from `-----BEGIN OPENSSH PRIVATE KEY-----` to the end";
            r.error(spot, &f.key(name), "not a private key", hint);
            continue;
        }
        match part {
            "private" if kind != DEFAULT => text += &format!("HostKey {path}\n"),
            "certificate" => text += &format!("HostCertificate {path}\n"),
            _ => {}
        }
        let mut file = match sealed {
            Reference::To(name) => WriteFile::sealed(path, name, spot),
            _ => WriteFile::text(path, format!("{body}\n"), spot),
        };
        file.mode = Some(mode);
        config.write_files.push(file.at(spot));
    }
    text
}

/// `ssh_genkeytypes`: a drop-in that makes the further kinds when sshd starts.
fn made(spot: Spot, kinds: &[At<String>], config: &mut CloudConfig, r: &mut Reader) -> String {
    let (mut lines, mut text) = (String::new(), String::new());
    for kind in kinds {
        match r.word(
            kind,
            "ssh_genkeytypes",
            &["rsa", "ecdsa", DEFAULT],
            "unknown kind of key",
        ) {
            None | Some(DEFAULT) => {}
            Some(name) => {
                let path = format!("/etc/ssh/ssh_host_{name}_key");
                let host_key = format!("HostKey {path}\n");
                if text.contains(&host_key) {
                    continue;
                }
                lines += &format!(
                    "ExecStartPre=/usr/bin/sh -c 'test -s {path} || {{ rm -f {path}; exec ssh-keygen -q -t {name} -N \"\" -C \"\" -f {path}; }}'\n"
                );
                text += &host_key;
            }
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
