//! `coreos.units`.

use super::diag::{At, Spot};
use super::node::Node;
use super::read::{Reader, shorten};
use super::schema::Type::{Flag, Text, Word};
use super::schema::{Section, TABLES, key};
use serde::Serialize;

/// One systemd or networkd unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// File name, e.g. `es.service`.
    pub name: At<String>,
    /// Below `/run` instead of `/etc`.
    pub runtime: bool,
    /// Enable it as its `[Install]` section says.
    pub enable: bool,
    /// Take away the links its `[Install]` section asks for.
    pub disable: bool,
    /// Mask it.
    pub mask: bool,
    /// The whole unit file.
    pub content: Option<String>,
    /// What to do with it once everything is in place.
    pub command: Option<Verb>,
    /// Drop-ins.
    pub drop_ins: Vec<At<DropIn>>,
}

/// One file in `NAME.d`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropIn {
    /// File name, ending in `.conf`.
    pub name: String,
    /// The whole file.
    pub content: String,
}

/// Values of `command`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop and start it.
    Restart,
    /// Reload its configuration.
    Reload,
    /// Restart it if it runs.
    TryRestart,
    /// Reload it, else restart it.
    ReloadOrRestart,
    /// The same if it runs.
    ReloadOrTryRestart,
}

impl Verb {
    /// All of them, as written.
    pub const ALL: [(&str, Verb); 7] = [
        ("start", Verb::Start),
        ("stop", Verb::Stop),
        ("restart", Verb::Restart),
        ("reload", Verb::Reload),
        ("try-restart", Verb::TryRestart),
        ("reload-or-restart", Verb::ReloadOrRestart),
        ("reload-or-try-restart", Verb::ReloadOrTryRestart),
    ];
    /// As written.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, v)| *v == self)
            .map_or("", |(n, _)| n)
    }
}

/// Names of [`Verb::ALL`].
const VERBS: &[&str] = &{
    let mut names = [""; Verb::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = Verb::ALL[i].0;
        i += 1;
    }
    names
};

/// A service that is to see new files: told when one of them changed, if it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// Unit name.
    pub unit: &'static str,
    /// How it is told.
    pub verb: Verb,
    /// The files.
    pub paths: Vec<String>,
}

pub(super) const SECTION: Section = Section {
    title: "Units",
    keys: &[
        key("coreos.units", TABLES, "systemd and networkd units"),
        key("coreos.units[].name", Text, "file name of the unit").required(),
        key(
            "coreos.units[].runtime",
            Flag,
            "write below /run instead of /etc",
        ),
        key(
            "coreos.units[].enable",
            Flag,
            "enable as its [Install] section says",
        ),
        key("coreos.units[].mask", Flag, "mask the unit"),
        key(
            "coreos.units[].content",
            Text,
            "the unit file; without it the unit must exist",
        ),
        key(
            "coreos.units[].command",
            Word(VERBS),
            "what to do once all is in place",
        ),
        key("coreos.units[].drop_ins", TABLES, "drop-in files"),
        key(
            "coreos.units[].drop_ins[].name",
            Text,
            "file name, ending in .conf",
        )
        .required(),
        key("coreos.units[].drop_ins[].content", Text, "content").required(),
    ],
    example: EXAMPLE,
    read: |coreos, config, r| {
        if let Some(n) = coreos.get("units") {
            config.units.extend(read(n, r));
        }
    },
};

const EXAMPLE: &str = "\
coreos:
  units:
    - name: web.service
      enable: true
      command: start
      content: |
        [Unit]
        Requires=docker.service
        After=docker.service

        [Service]
        ExecStart=/usr/bin/docker run --rm --name web -p 80:80 nginx:stable
        Restart=always

        [Install]
        WantedBy=multi-user.target
    - name: docker.service
      drop_ins:
        - name: 10-bind.conf
          content: |
            [Service]
            Environment=BIND=$private_ipv4
    - name: debug.service
      runtime: true
      content: |
        [Service]
        ExecStart=/usr/bin/journalctl -f
    - name: tmp.mount
      mask: true
";

impl Unit {
    /// A unit without anything, to be filled.
    pub(crate) fn named(name: impl Into<String>, spot: Spot) -> Unit {
        Unit {
            name: At {
                spot,
                value: name.into(),
            },
            runtime: false,
            enable: false,
            disable: false,
            mask: false,
            content: None,
            command: None,
            drop_ins: Vec::new(),
        }
    }
}

fn read(node: &Node, r: &mut Reader) -> Vec<At<Unit>> {
    let items = r.list(node, "coreos.units");
    items
        .iter()
        .enumerate()
        .filter_map(|(i, n)| item(n, &format!("coreos.units[{i}]"), r))
        .collect()
}

fn item(node: &Node, at: &str, r: &mut Reader) -> Option<At<Unit>> {
    let f = r.table(node, at, SECTION.keys, "coreos.units[].")?;
    let Some(name) = f.get("name") else {
        r.error(f.spot, at, "a unit needs a `name`", "");
        return None;
    };
    let name = r.line(name, &f.key("name"))?;
    if !is_unit_name(&name.value) {
        r.error(
            name.spot,
            &f.key("name"),
            format!("{} is not a unit name", shorten(&name.value)),
            "a word with a type at its end, e.g. `es.service`",
        );
        return None;
    }
    let mut flag = |name: &str| {
        f.get(name)
            .and_then(|n| r.boolean(n, &f.key(name)))
            .unwrap_or(false)
    };
    let (runtime, enable, mask) = (flag("runtime"), flag("enable"), flag("mask"));
    let content = match f.get("content") {
        Some(n) => Some(r.string(n, &f.key("content"))?.value).filter(|c| !c.is_empty()),
        None => None,
    };
    if mask && content.is_some() {
        r.warn(
            f.spot,
            at,
            "`mask` removes the unit's own file; its content is not applied",
            "",
        );
    }
    let command = f.word("command", VERBS, "unknown command", r);
    let verb = |word| Verb::ALL.into_iter().find(|(name, _)| *name == word);
    let command = command.and_then(verb).map(|(_, verb)| verb);
    let mut drop_ins = Vec::new();
    if let Some(n) = f.get("drop_ins") {
        let path = f.key("drop_ins");
        for (i, d) in r.list(n, &path).iter().enumerate() {
            drop_ins.extend(drop_in(d, &format!("{path}[{i}]"), r));
        }
    }
    if network_unit(&name.value) && (command.is_some() || enable) {
        r.warn(
            f.spot,
            at,
            "`command` and `enable` mean nothing for a network unit; systemd-networkd reloads it",
            "",
        );
    }
    Some(At {
        spot: f.spot,
        value: Unit {
            name,
            runtime,
            enable,
            disable: false,
            mask,
            content,
            command,
            drop_ins,
        },
    })
}

fn drop_in(node: &Node, at: &str, r: &mut Reader) -> Option<At<DropIn>> {
    let f = r.table(node, at, SECTION.keys, "coreos.units[].drop_ins[].")?;
    let (Some(name), Some(content)) = (f.get("name"), f.get("content")) else {
        r.error(f.spot, at, "a drop-in needs a `name` and `content`", "");
        return None;
    };
    let name = r.line(name, &f.key("name"))?;
    if !is_file_name(&name.value) {
        r.error(name.spot, &f.key("name"), "not a file name", "");
        return None;
    }
    if !name.value.ends_with(".conf") {
        r.warn(
            name.spot,
            &f.key("name"),
            "systemd only reads drop-ins that end in `.conf`",
            "",
        );
    }
    let content = r.string(content, &f.key("content"))?.value;
    Some(At {
        spot: f.spot,
        value: DropIn {
            name: name.value,
            content,
        },
    })
}

/// Whether systemd-networkd or udev, not systemd, reads the unit.
pub fn network_unit(name: &str) -> bool {
    [".network", ".netdev", ".link"]
        .iter()
        .any(|s| name.ends_with(s))
}

/// Whether a word can be the name of a file.
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// Whether a word can be the name of a unit.
pub fn is_unit_name(name: &str) -> bool {
    let types = [
        "service",
        "socket",
        "target",
        "mount",
        "automount",
        "swap",
        "timer",
        "path",
        "slice",
        "scope",
        "device",
        "network",
        "netdev",
        "link",
    ];
    is_file_name(name)
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b":-_.\\@$".contains(&b))
        && name
            .rsplit_once('.')
            .is_some_and(|(stem, kind)| !stem.is_empty() && types.contains(&kind))
}
