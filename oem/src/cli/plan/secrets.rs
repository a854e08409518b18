//! Secrets are where they were asked for, and nowhere else.

use super::*;
use crate::apply::apply;
use crate::configure::Intake;
use crate::metadata::{Fetched, Metadata};
use crate::plan::inventory::PATH;
use crate::status::drift::Drift;
use crate::status::{KEPT, RUN, Report, State};
use crate::userdata::Offline;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// In every secret.
const MARK: &str = "s3cr3t";

const REFERENCES: &str = "#cloud-config
users:
- {name: ann, passwd: 'credential:ann.hash'}
- {name: bob, hashed_passwd: 'credential:bob.hash'}
- {name: cid, plain_text_passwd: 'credential:cid'}
- {name: dan, passwd: 'credential:nothing.there', ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA]}
password: credential:cid
chpasswd:
  users:
  - {name: cid, password: 'credential:bob.hash', type: hash}
  - {name: bob, password: 'credential:cid', type: text}
write_files:
- {path: /etc/app/key, content: 'credential:key'}
- {path: /etc/app/shared, content: 'credential:key', permissions: '0640', owner: 'root:ann'}
- {path: /etc/app/none, content: 'credential:nothing.there'}
- {path: /etc/app/bad, content: 'credential:a/b'}
- {path: /etc/app/plain, content: x}
ssh_keys: {rsa_private: 'credential:host.key'}
wireguard:
  interfaces:
  - name: wg0
    content: |
      [Interface]
      PrivateKey = credential:key
      [Peer]
      PublicKey = x
      PresharedKey = credential:cid
hostname: web
";

const CREDENTIALS: [(&str, &str); 5] = [
    ("ann.hash", "$6$salt$s3cr3tann\n"),
    ("bob.hash", "$6$salt$s3cr3tbob"),
    ("cid", "s3cr3t of cid\n"),
    ("key", "s3cr3t key\0of bytes"),
    ("host.key", "-----BEGIN OPENSSH PRIVATE KEY-----\ns3cr3t\n"),
];

/// The same secrets in the text itself, and where something is wrong.
const WRITTEN: &str = "#cloud-config
users:
- {name: ann, passwd: s3cr3thash, plain_text_passwd: s3cr3t plain}
- {name: bob, passwd: 's3cr3t:hash', hashed_passwd: 's3cr3t hash'}
- {name: eve, plain_text_passwdd: s3cr3t}
password: {s3cr3t: x}
chpasswd:
  list: ['ann:s3cr3t', 's3cr3t', '-s3cr3t:x']
  users: [{name: bob, password: s3cr3t, type: hsah}]
write_files:
- {path: /etc/app/key, content: s3cr3t, permissions: '0600'}
- {path: /etc/app/b64, content: 's3cr3t!', encoding: b64, permissions: '0600'}
- {path: /etc/app/web, source: {uri: 'ftp://s3cr3t@example.com/', headers: {Authorization: s3cr3t}}}
- {path: /etc/app/web, source: {uri: 'https://example.com/', headers: {Authorization: s3cr3t}}}
ssh_keys: {rsa_private: s3cr3t, ecdsa_private: '-----BEGIN OPENSSH PRIVATE KEY----- s3cr3t'}
wireguard:
  interfaces:
  - {name: wg0, content: \"[Interface]\\nPrivateKey = s3cr3t\\n\"}
  - {name: wg1, content: \"[Interface]\\ns3cr3t\\n\"}
random_seed: {data: s3cr3t, encoding: base64}
coreos:
  locksmith: {etcd_password: s3cr3t, etcd_passwrd: s3cr3t}
runcmd: [echo s3cr3t, {s3cr3t: x}]
phone_home: {url: 's3cr3t.example.com'}
";

struct Machine {
    temp: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let temp = tempfile::tempdir().unwrap();
        let machine = Machine { temp };
        machine.put(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\ncore:x:1000:1000::/home/core:/bin/bash\n",
        );
        machine.put(
            "etc/group",
            "root:x:0:\ncore:x:1000:\nsystemd-network:x:998:\n",
        );
        machine.put("etc/shadow", "root:*:1::::::\ncore:*:1::::::\n");
        let private = fs::Permissions::from_mode(0o640);
        fs::set_permissions(machine.temp.path().join("etc/shadow"), private).unwrap();
        machine
    }
    fn put(&self, path: &str, text: &str) {
        let path = self.temp.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fn read(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.temp.path().join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
    fn root(&self) -> Root {
        Root::open(self.temp.path()).unwrap()
    }
    /// Plans, and gives all that `oem plan` prints.
    fn plan(&self, user_data: &str) -> (Plan, String, Vec<Finding>) {
        let root = self.root();
        let fetched = Fetched {
            user_data: Some(user_data.into()),
            metadata: Metadata {
                instance_id: Some("i-1".to_owned()),
                ..Metadata::default()
            },
            ..Fetched::default()
        };
        let intake = Intake::of(None, &fetched, &mut Offline);
        let obtained = intake.obtained(Heard::Whole, None, &fetched, &[]);
        let plan = intake.plan(&fetched.metadata, &root, &obtained).unwrap();
        let output = Output {
            findings: intake.report_findings(),
            steps: lines(&plan, &root),
        };
        let shown = text(&output) + &serde_json::to_string(&output).unwrap();
        (plan, shown, intake.report_findings())
    }
    /// Applies, and gives all that is told of it in whatever way.
    fn apply(&self, user_data: &str) -> (Report, String) {
        let (plan, mut told, findings) = self.plan(user_data);
        let root = self.root();
        let mut report = apply(&plan, &root, None).unwrap();
        report.findings = findings;
        report.write(&root).unwrap();
        told += &report.render();
        told += &report.wrong().unwrap_or_default();
        let drift = Drift::see(&root).unwrap();
        told += &(drift.render() + &serde_json::to_string(&drift).unwrap());
        for path in [RUN, KEPT, PATH] {
            told += &self.read(&path[1..]).unwrap();
            let mode = fs::metadata(self.temp.path().join(&path[1..])).unwrap();
            assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{path}");
        }
        (report, told)
    }
    /// Files with a secret in them.
    fn with_secrets(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        let mut todo = vec![self.temp.path().to_owned()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
                if entry.is_dir() && !entry.is_symlink() {
                    todo.push(entry);
                } else if fs::read(&entry).is_ok_and(|b| String::from_utf8_lossy(&b).contains(MARK))
                {
                    let path: &Path = entry.strip_prefix(self.temp.path()).unwrap();
                    out.insert(path.display().to_string());
                }
            }
        }
        out
    }
}

#[test]
fn references_are_resolved_when_applied_and_shown_as_such() {
    let machine = Machine::new();
    for (name, value) in CREDENTIALS {
        machine.put(&format!("etc/credstore/{name}"), value);
    }
    let (_, shown, _) = machine.plan(REFERENCES);
    assert!(!shown.contains(MARK), "{shown}");
    for line in [
        "create    file /etc/app/key (user-data:13): from credential:key",
        "update    user ann (user-data:3): from credential:ann.hash",
        "update    password of core (user-data:7): from credential:cid",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let (report, told) = machine.apply(REFERENCES);
    assert!(!told.contains(MARK), "{told}");

    // What is not there, or wrong, is told, and the rest is applied.
    let undone: Vec<(&str, &str)> = report
        .resources
        .iter()
        .filter(|r| matches!(r.state, State::Skipped | State::Failed))
        .map(|r| (r.resource.as_str(), r.detail.as_deref().unwrap_or_default()))
        .collect();
    let gone = "there is no credential \"nothing.there\" on this machine";
    assert_eq!(
        undone[..2],
        [
            ("user dan", gone),
            ("ssh keys of dan", "there is no user dan")
        ]
    );
    assert_eq!(
        undone[2..],
        [("file /etc/app/none", gone)],
        "{}",
        report.render()
    );
    assert!(
        report
            .resources
            .iter()
            .all(|r| r.state != State::Skipped || r.hint.is_some())
    );
    assert!(
        report
            .findings
            .iter()
            .any(|f| f.key == "write_files[3].content")
    );
    assert_eq!(machine.read("etc/hostname").unwrap(), "web\n");
    assert_eq!(machine.read("etc/app/plain").unwrap(), "x");

    let read = |path: &str| machine.read(path).unwrap();
    assert_eq!(read("etc/app/key"), "s3cr3t key\0of bytes");
    assert_eq!(read("etc/ssh/ssh_host_rsa_key"), CREDENTIALS[4].1);
    let shadow = read("etc/shadow");
    assert!(shadow.contains("ann:$6$salt$s3cr3tann:"), "{shadow}");
    assert!(shadow.contains("cid:$6$salt$s3cr3tbob:"), "{shadow}");
    assert!(
        !shadow.contains("of cid") && shadow.contains("core:$6$"),
        "{shadow}"
    );
    let netdev = read("etc/systemd/network/60-wg0.netdev");
    assert!(
        netdev.contains("PrivateKeyFile=/etc/systemd/network/60-wg0.key\n"),
        "{netdev}"
    );
    assert!(netdev.contains("PresharedKeyFile=/etc/systemd/network/60-wg0-2.key\n"));
    let places = [
        "etc/app/key",
        "etc/app/shared",
        "etc/shadow",
        "etc/ssh/ssh_host_rsa_key",
        "etc/systemd/network/60-wg0-2.key",
        "etc/systemd/network/60-wg0.key",
    ];
    let found = machine.with_secrets();
    let found: Vec<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|p| !p.contains("credstore"))
        .collect();
    assert_eq!(found, places);
    for path in places {
        let mode = fs::metadata(machine.temp.path().join(path)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o007, 0, "{path}");
    }

    // Again: nothing is written; a new value is.
    let (again, _) = machine.apply(REFERENCES);
    assert_eq!(again.count(State::Done), 0, "{}", again.render());
    machine.put("etc/credstore/key", "s3cr3t other");
    let (again, told) = machine.apply(REFERENCES);
    assert_eq!(again.count(State::Done), 3, "{}", again.render());
    assert_eq!(read("etc/app/key"), "s3cr3t other");
    assert!(!told.contains(MARK));

    // No longer asked for, they go.
    let (_, told) = machine.apply("#cloud-config\nhostname: web\n");
    assert_eq!(machine.read("etc/app/key"), None, "{told}");
}

#[test]
fn secrets_in_the_text_are_told_by_nobody() {
    let machine = Machine::new();
    let (report, told) = machine.apply(WRITTEN);
    let line = |l: &&str| l.contains(MARK);
    assert_eq!(told.lines().find(line), None, "{}", report.render());
    assert!(report.findings.len() > 10);
    for path in machine.with_secrets() {
        let mode = fs::metadata(machine.temp.path().join(&path)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o007, 0, "{path}");
    }
}
