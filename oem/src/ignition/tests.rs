use super::*;
use crate::cloudconfig::{Base, Verb};
use crate::userdata::{Absent, Fetch, Wanted};

struct Server;

impl Fetch for Server {
    fn fetch(&mut self, wanted: &Wanted) -> Result<Vec<u8>, Absent> {
        assert!(wanted.once);
        match wanted.url.as_str() {
            "https://h/tool" => Ok(b"#!/bin/sh\n".to_vec()),
            "https://h/later" => Err(Absent::Later("there is no network yet")),
            url => Err(Absent::Failed(crate::error::Error::environment(format!(
                "{url} is not there"
            )))),
        }
    }
}

fn reading(text: &str, language: Language) -> Read {
    read(text, language, &mut Meter::new(&mut Server, 1 << 20))
}

fn told(read: &Read) -> Vec<String> {
    let line = |d: &Diagnostic| format!("{}:{}: {}", d.spot.line, d.key, d.message);
    read.findings.iter().map(line).collect()
}

const ALL: &str = r#"{
  "ignition": {"version": "3.4.0", "timeouts": {"httpTotal": 5}},
  "passwd": {
    "groups": [{"name": "ops"}],
    "users": [
      {"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA a"]},
      {"name": "elroy", "passwordHash": "$6$x$y", "uid": 1234, "groups": ["ops"], "homeDir": "/home/e", "noCreateHome": true, "shell": "/bin/sh"}
    ]
  },
  "storage": {
    "directories": [{"path": "/opt/data/", "mode": 448, "user": {"name": "elroy"}, "group": {"id": 5}}],
    "files": [
      {"path": "/etc/motd", "mode": 420, "overwrite": true, "contents": {"source": "data:,a%20%24public_ipv4%0a"}},
      {"path": "/opt/bin/tool", "mode": 493, "contents": {"source": "https://h/tool",
        "verification": {"hash": "sha256-a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf"}}},
      {"path": "/etc/added", "append": [{"source": "data:,one%0a"}, {"source": "data:;base64,dHdvCg=="}]},
      {"path": "/etc/packed", "contents": {"compression": "gzip", "source": "data:;base64,H4sIAAAAAAACA8vIBACsKpPYAgAAAA=="}}
    ],
    "links": [{"path": "/etc/localtime", "target": "../usr/share/zoneinfo/UTC"}]
  },
  "systemd": {"units": [
    {"name": "es.service", "enabled": true, "contents": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"},
    {"name": "docker.service", "dropins": [{"name": "10-x.conf", "contents": "[Service]\n"}]},
    {"name": "a.timer", "enabled": false},
    {"name": "b.service", "mask": true}
  ]}
}"#;

#[test]
fn everything_is_translated() {
    let got = reading(ALL, Language::Json);
    assert_eq!(told(&got), Vec::<String>::new());
    let c = &got.config;
    assert_eq!(c.groups[0].value.name, "ops");
    assert_eq!(c.users[0].value.ssh_authorized_keys.len(), 1);
    let u = &c.users[1].value;
    assert_eq!(
        (u.uid, u.homedir.as_deref(), u.no_create_home),
        (Some(1234), Some("/home/e"), true)
    );
    let d = &c.directories[0].value;
    assert_eq!(
        (d.path.as_str(), d.mode, d.owner.as_deref()),
        ("/opt/data", Some(0o700), Some("elroy:5"))
    );
    let files: Vec<_> = c
        .write_files
        .iter()
        .map(|f| {
            (
                f.value.path.value.as_str(),
                f.value.mode,
                String::from_utf8_lossy(&f.value.content).into_owned(),
            )
        })
        .collect();
    let text = |t: &str| t.to_owned();
    assert_eq!(
        files,
        [
            // Placeholders are cloud-config's, and stay as they are.
            ("/etc/motd", Some(0o644), text("a \\$public_ipv4\n")),
            ("/opt/bin/tool", Some(0o755), text("#!/bin/sh\n")),
            ("/etc/added", None, text("one\ntwo\n")),
            ("/etc/packed", Some(0o644), text("hi")),
        ]
    );
    assert_eq!(c.write_files[2].value.base, Base::Itself);
    assert_eq!(c.write_files[0].spot.line, 13);
    assert_eq!(c.links[0].value.target, "../usr/share/zoneinfo/UTC");
    let [es, docker, timer, masked] = &c.units[..] else {
        panic!()
    };
    assert!(es.value.enable && es.value.command == Some(Verb::Start) && es.value.content.is_some());
    assert_eq!(docker.value.drop_ins[0].value.name, "10-x.conf");
    assert!(timer.value.disable && masked.value.mask);
}

#[test]
fn butane_says_the_same() {
    let text = "variant: fcos\nversion: 1.5.0\npasswd:\n  users:\n  - name: core\n    ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA]\n\
        storage:\n  files:\n  - path: /etc/a\n    mode: 0600\n    contents:\n      inline: |\n        hello\n  - path: /etc/b\n    mode: 420\n    contents: {local: b}\n\
        \x20 filesystems:\n  - {device: /dev/disk/by-id/x, format: ext4, path: /srv, label: data, with_mount_unit: true}\n\
        systemd:\n  units:\n  - name: a.service\n    enabled: true\n    contents: |\n      [Service]\n      ExecStart=/bin/true\n";
    let got = reading(text, Language::Butane);
    assert_eq!(
        told(&got),
        ["16:storage.files[1].contents.local: a file that only Butane can read, where it runs"]
    );
    let of = |path: &str| {
        let files = &got.config.write_files;
        &files
            .iter()
            .find(|f| f.value.path.value == path)
            .unwrap()
            .value
    };
    let file = of("/etc/a");
    assert_eq!(
        (file.mode, &file.content[..]),
        (Some(0o600), &b"hello\n"[..])
    );
    assert!(got.config.tasks.iter().any(|t| {
        let program = String::from_utf8_lossy(&t.value.program);
        program.contains("mkfs.ext4") && program.contains("/dev/disk/by-id/x")
    }));
    let fstab = of("/etc/fstab");
    assert!(String::from_utf8_lossy(&fstab.content).contains("/srv\text4"));
    assert_eq!(got.config.units.len(), 2);
}

#[test]
fn what_is_not_applied_is_told_by_name() {
    let text = r#"{"ignition": {"version": "3.5.0", "proxy": {"httpProxy": "http://p"}},
 "kernelArguments": {"shouldExist": ["quiet"]},
 "storage": {
  "luks": [{"name": "x", "device": "/dev/vdb"}], "raid": [{"name": "md"}], "disks": [{"device": "/dev/vdb"}],
  "filesystems": [{"device": "/dev/vdc", "format": "xfs", "path": "/var/lib/data", "wipeFilesystem": true}],
  "files": [
   {"path": "/var/lib/data/x", "contents": {"source": "data:,"}},
   {"path": "/usr/bin/x", "contents": {"source": "data:,"}},
   {"path": "/etc/s3", "contents": {"source": "s3://b/k"}},
   {"path": "/etc/bad", "contents": {"source": "https://h/tool", "verification": {"hash": "sha256-00"}}},
   {"path": "/etc/wrong", "contents": {"source": "data:,x", "verification": {"hash": "sha256-0000000000000000000000000000000000000000000000000000000000000000"}}},
   {"path": "/etc/mode", "mode": 644, "contents": {"source": "data:,"}},
   {"path": "/etc/later", "contents": {"source": "https://h/later"}},
   {"path": "/etc/gone", "contents": {"source": "https://h/gone"}},
   {"path": "/etc/typo", "contnets": {"source": "data:,"}}],
  "links": [{"path": "/etc/l", "target": "/x", "hard": true}]},
 "passwd": {"users": [{"name": "old", "shouldExist": false}, {"name": "a b"}], "groups": [{"name": "g", "gid": 7}]},
 "systemd": {"units": [{"name": "nonsense"}, {"name": "a.service", "dropins": [{"name": "x"}]}]}}"#;
    let got = reading(text, Language::Json);
    let all = told(&got).join("\n");
    for (line, key, word) in [
        (1, "ignition.proxy", "proxy"),
        (2, "kernelArguments", "signed image"),
        (4, "storage.luks[0]", "encrypted"),
        (4, "storage.raid[0]", "RAID"),
        (4, "storage.disks[0]", "partitioned"),
        (5, "storage.filesystems[0].wipeFilesystem", "stays"),
        (7, "storage.files[0].path", "mounted later"),
        (8, "storage.files[1].path", "read-only"),
        (9, "storage.files[2].contents.source", "s3:"),
        (
            10,
            "storage.files[3].contents.verification.hash",
            "not a hash",
        ),
        (
            11,
            "storage.files[4].contents.source",
            "its hash is sha256-2d71",
        ),
        (12, "storage.files[5].mode", "octal 1204"),
        (13, "storage.files[6].contents.source", "no network yet"),
        (14, "storage.files[7].contents.source", "is not there"),
        (15, "storage.files[8].contnets", "unknown key"),
        (16, "storage.links[0].hard", "hard links"),
        (17, "passwd.users[0]", "not removed"),
        (17, "passwd.users[1]", "user name"),
        (17, "passwd.groups[0].gid", "free number"),
        (18, "systemd.units[0].name", "unit name"),
        (18, "systemd.units[1].dropins[0].name", "drop-in"),
    ] {
        let found = got
            .findings
            .iter()
            .any(|d| d.spot.line == line && d.key == key && d.message.contains(word));
        assert!(found, "{line} {key} {word}:\n{all}");
    }
    assert_eq!(got.findings.len(), 21, "{all}");
    let later = got.findings.iter().find(|d| d.spot.line == 13).unwrap();
    assert!(!later.is_error());
    let typo = got.findings.iter().find(|d| d.spot.line == 15).unwrap();
    assert_eq!(typo.hint.as_deref(), Some("did you mean `contents`?"));
    let paths: Vec<_> = got
        .config
        .write_files
        .iter()
        .map(|f| f.value.path.value.as_str())
        .collect();
    assert_eq!(paths, ["/etc/mode", "/etc/typo"]);
}

#[test]
fn versions_and_references() {
    for (version, word) in [
        ("2.3.0", "1 and 2"),
        ("3.7.0", "newer"),
        ("4.0.0", "not a version"),
        ("x", "not a version"),
    ] {
        let got = reading(
            &format!("{{\"ignition\": {{\"version\": \"{version}\"}}}}"),
            Language::Json,
        );
        assert!(told(&got)[0].contains(word), "{version}: {:?}", told(&got));
    }
    for minor in 0..=6 {
        let got = reading(
            &format!("{{\"ignition\": {{\"version\": \"3.{minor}.0\"}}}}"),
            Language::Json,
        );
        assert!(got.findings.is_empty());
    }
    let text = r#"{"ignition": {"version": "3.0.0", "config": {
        "merge": [{"source": "data:,1"}, {"source": "https://h/gone"}, {"source": "data:,2"}], "replace": {"source": "data:,3"}}}}"#;
    let got = reading(text, Language::Json);
    assert_eq!(got.merge, [b"1".to_vec(), b"2".to_vec()]);
    assert_eq!(got.replace.as_deref(), Some(&b"3"[..]));
    assert_eq!(told(&got).len(), 1);
    assert!(
        told(&reading("variant: x\nversion: 1.0.0\n", Language::Butane))[0].contains("variant")
    );
    assert!(told(&reading("{\"ignition\": ", Language::Json))[0].contains("not valid JSON"));
    assert!(!reading("[]", Language::Json).findings.is_empty());
}
