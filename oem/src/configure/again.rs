//! Applying again: other user-data, less of it, after a power failure at any point; and
//! what `oem status --drift` sees in between.

use super::setup::{applied, planned};
use super::tests::{Recorder, copy, files, manifest};
use super::*;
use crate::plan::inventory::{Inventory, PATH};
use crate::root::SystemView as _;
use crate::status::State;
use crate::status::drift::{Compared, Drift};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// Most keys that leave something behind.
const MUCH: &str = "#cloud-config
hostname: much
users:
- {name: elroy, groups: [docker, new], sudo: ALL=(ALL) ALL, ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA]}
write_files:
- {path: /etc/app/a.conf, content: a}
- {path: /etc/app/deep/b.conf, content: b}
- {path: /etc/motd, content: mine}
- {path: /etc/stood, content: mine}
- {path: /etc/same, content: same}
- {path: /var/secret, content: hidden, permissions: '0600'}
mounts: [[/dev/vdb, /srv]]
runcmd: [[touch, /x]]
coreos:
  units:
  - {name: es.service, enable: true, command: start, content: \"[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n\"}
  - {name: docker.service, drop-ins: [{name: 10-x.conf, content: \"[Service]\\nNice=1\\n\"}]}
  - {name: cups.service, mask: true}
";
/// Some of it, and some of it other.
const OTHER: &str = "#cloud-config
hostname: other
write_files:
- {path: /etc/app, content: now a file}
- {path: /etc/motd, content: other}
- {path: /var/secret, content: hidden, permissions: '0644'}
coreos:
  units:
  - {name: es.service, command: start, content: \"[Service]\\nExecStart=/bin/false\\n\"}
";
/// Next to nothing.
const LITTLE: &str = "#cloud-config
hostname: little
";

/// A machine in memory, where that can be had: each of its files is flushed.
fn machine() -> tempfile::TempDir {
    let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let temp = temp.unwrap();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/apply");
    copy(&cases.join("01-slide/root"), temp.path());
    let put = |path: &str, text: &str| {
        let path = temp.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    fs::create_dir_all(temp.path().join("etc/systemd/system")).unwrap();
    put("usr/share/holdfast/etc/motd", "the image's");
    put("etc/motd", "the image's");
    put("etc/stood", "somebody's");
    put("etc/same", "same");
    temp
}

fn sent(user_data: &str) -> Fetched {
    Fetched {
        metadata: Metadata {
            provider: "test".to_owned(),
            instance_id: Some("i-1".to_owned()),
            ..Metadata::default()
        },
        ..setup::user_data(user_data)
    }
}

/// Applies, and lets the power fail after so many changes. Whether it did.
fn run(dir: &Path, user_data: &str, changes: Option<u32>) -> bool {
    let root = Root::open(dir).unwrap();
    let (_, plan) = planned(&root, &sent(user_data));
    if let Some(n) = changes {
        root.cut_after(n);
    }
    let done = apply(&plan, &root, Some(&Recorder::default()));
    if !root.is_cut() {
        let failed = |r: &&crate::status::Resource| r.state == State::Failed;
        assert_eq!(done.unwrap().resources.iter().find(failed), None);
    }
    root.is_cut()
}

fn reboot(dir: &Path) {
    let _ = fs::remove_dir_all(dir.join("run"));
}

/// Everything on the disk: names, modes, contents, and the inventory.
fn state(dir: &Path) -> String {
    let mut out = manifest(dir);
    for f in files(dir) {
        let path = dir.join(&f);
        if path.is_file() && !path.is_symlink() {
            out += &format!(
                "{}: {:?}\n",
                f.display(),
                fs::read_to_string(&path).unwrap()
            );
        }
    }
    let inventory = Inventory::read(&Root::open(dir).unwrap()).unwrap();
    assert!(!inventory.unfinished);
    out + &serde_json::to_string_pretty(&inventory).unwrap()
}

/// Applies each of `before`, then `first` with a cut after every number of changes, then
/// `then`: the machine must look as if there had been no cut.
fn cut_everywhere(before: &[&str], first: &str, then: &str) -> u32 {
    let start = machine();
    for user_data in before {
        run(start.path(), user_data, None);
        reboot(start.path());
    }
    let prepared = || {
        let temp = tempfile::tempdir_in(start.path().parent().unwrap()).unwrap();
        let from = start.path().join(".");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(from)
            .arg(temp.path())
            .status();
        assert!(copied.unwrap().success());
        temp
    };
    let whole = prepared();
    run(whole.path(), first, None);
    reboot(whole.path());
    run(whole.path(), then, None);
    let expected = state(whole.path());
    for changes in 0.. {
        let temp = prepared();
        let cut = run(temp.path(), first, Some(changes));
        reboot(temp.path());
        run(temp.path(), then, None);
        let got = state(temp.path());
        if got != expected {
            let differs = expected.lines().zip(got.lines()).find(|(a, b)| a != b);
            panic!("cut after {changes} changes: {differs:#?}\n{got}");
        }
        if !cut {
            return changes;
        }
    }
    0
}

#[test]
fn a_cut_anywhere_in_the_first_apply_is_made_good() {
    assert!(cut_everywhere(&[], MUCH, MUCH) > 50);
}

#[test]
fn a_cut_anywhere_while_user_data_change_is_made_good() {
    assert!(cut_everywhere(&[MUCH], OTHER, OTHER) > 50);
}

#[test]
fn a_cut_anywhere_in_removal_is_made_good() {
    assert!(cut_everywhere(&[MUCH], LITTLE, LITTLE) > 20);
}

#[test]
fn nothing_is_orphaned_when_user_data_change_after_a_cut() {
    // Users stay, and so do marks of what ran: whether there are any depends on the cut.
    let start = MUCH.find("users:").unwrap();
    let end = MUCH.find("write_files:").unwrap();
    let first = MUCH.replace(&MUCH[start..end], "");
    let first = first.replace("runcmd: [[touch, /x]]\n", "");
    // What was replaced is not known any more, once it was.
    let first = first.replace("- {path: /etc/motd, content: mine}\n", "");
    let first = first.replace("- {path: /etc/stood, content: mine}\n", "");
    assert!(cut_everywhere(&[], &first, LITTLE) > 50);
    assert!(cut_everywhere(&[OTHER], &first, OTHER) > 50);
    assert!(cut_everywhere(&[&first], LITTLE, &first) > 20);
}

#[test]
fn what_is_left_behind_is_told() {
    let temp = machine();
    run(temp.path(), MUCH, None);
    let write = |path: &str, text: &str| fs::write(temp.path().join(path), text).unwrap();
    write("etc/app/a.conf", "changed by hand");
    write("etc/app/deep/other", "put there by hand");
    let root = Root::open(temp.path()).unwrap();
    let fetched = sent(LITTLE);
    let again = || applied(&root, &fetched);
    let report = again();
    assert!(report.is_good(), "{}", report.render());
    let read = |path: &str| fs::read_to_string(temp.path().join(path)).ok();
    assert_eq!(read("etc/app/a.conf").unwrap(), "changed by hand");
    assert_eq!(read("etc/app/deep/b.conf"), None);
    assert_eq!(read("etc/app/deep/other").unwrap(), "put there by hand");
    assert_eq!(read("etc/motd").unwrap(), "the image's");
    assert_eq!(read("etc/stood").unwrap(), "mine");
    assert_eq!(read("etc/same").unwrap(), "same");
    assert_eq!(read("var/secret"), None);
    assert_eq!(read("etc/sudoers.d/90-oem-elroy"), None);
    assert_eq!(read("home/elroy/.ssh/authorized_keys.d/oem"), None);
    assert!(read("etc/passwd").unwrap().contains("elroy:"));
    let kept: Vec<&str> = report
        .resources
        .iter()
        .filter(|r| r.state == State::Kept)
        .map(|r| r.resource.as_str())
        .collect();
    assert_eq!(
        kept,
        ["file /etc/stood", "file /etc/app/a.conf", "user elroy"]
    );
    assert!(
        report
            .resources
            .iter()
            .all(|r| r.state != State::Kept || r.hint.is_some())
    );

    // A newer release of the image: its file follows, unless somebody changes it.
    write("usr/share/holdfast/etc/motd", "the newer image's");
    again();
    assert_eq!(read("etc/motd").unwrap(), "the newer image's");
    write("etc/motd", "by hand");
    write("usr/share/holdfast/etc/motd", "the newest image's");
    again();
    assert_eq!(read("etc/motd").unwrap(), "by hand");
    // Made as it was again, it goes.
    write("etc/app/a.conf", "a");
    again();
    assert_eq!(read("etc/app/a.conf"), None);
    assert!(read("etc/app/deep/other").is_some());
}

#[test]
fn nothing_goes_unless_all_was_heard() {
    let temp = machine();
    run(temp.path(), MUCH, None);
    let root = Root::open(temp.path()).unwrap();
    let there = || temp.path().join("etc/app/a.conf").exists();
    let go = |fetched: &Fetched, heard: Heard| {
        configure(&root, Report::default(), None, fetched, Reach::Kept, heard).unwrap()
    };
    let silent = Heard::Partly("the provider is silent");
    let nobody = Fetched {
        user_data: None,
        ..sent("")
    };
    let cases = [
        (sent(LITTLE), silent, "silent"),
        (sent(LITTLE), Heard::NotYet, ""),
        (nobody, Heard::Whole, "there is no user-data"),
        (Fetched::default(), silent, "silent"),
        (
            sent("#cloud-config\nhostname: [a\n"),
            Heard::Whole,
            "errors",
        ),
        (
            sent("#cloud-config\nwrite_files: [{content: x}]\n"),
            Heard::Whole,
            "errors",
        ),
        (sent("this is nothing\n"), Heard::Whole, "errors"),
        (
            sent("#include\nhttp://192.0.2.1/x\n"),
            Heard::Whole,
            "errors",
        ),
        (
            sent("#cloud-config\nwrite_files: [{path: /etc/x, content: $public_ipv4}]\n"),
            Heard::Whole,
            "public_ipv4",
        ),
    ];
    for (fetched, heard, why) in cases {
        let report = go(&fetched, heard);
        assert!(there(), "{why}: {}", report.render());
        let told = report.resources.iter().find(|r| r.resource == "removal");
        let told = told.and_then(|r| r.detail.as_deref()).unwrap_or_default();
        assert!(told.contains(why), "{why}: {told}");
        assert_eq!(told.is_empty(), why.is_empty(), "{told}");
    }
    // Keys that metadata may have sent stay while those are not known.
    let by_hand = Fetched {
        metadata: Metadata::default(),
        ..sent(LITTLE)
    };
    let keys = || {
        temp.path()
            .join("home/elroy/.ssh/authorized_keys.d/oem")
            .exists()
    };
    go(&by_hand, Heard::Whole);
    assert!(!there() && keys());
    go(&sent(LITTLE), Heard::Whole);
    assert!(!keys());
}

#[test]
fn a_damaged_inventory_removes_nothing_and_is_told() {
    let temp = machine();
    run(temp.path(), MUCH, None);
    fs::write(temp.path().join(&PATH[1..]), "{").unwrap();
    let root = Root::open(temp.path()).unwrap();
    let report = applied(&root, &sent(LITTLE));
    let told = report.resources.iter().find(|r| r.resource == "inventory");
    assert!(told.is_some_and(|r| r.state == State::Kept && r.hint.is_some()));
    assert!(temp.path().join("etc/app/a.conf").exists());
    assert!(Drift::see(&root).unwrap_err().hint_text().is_some());
}

#[test]
fn drift_is_seen_without_contents() {
    let temp = machine();
    let root = Root::open(temp.path()).unwrap();
    assert!(Drift::see(&root).unwrap_err().hint_text().is_some());
    run(temp.path(), MUCH, None);
    let none = Drift::see(&root).unwrap();
    assert!(none.is_none(), "{}", none.render());
    let inventory = root.read(PATH).unwrap().unwrap();
    let inventory = String::from_utf8(inventory).unwrap();
    assert!(!inventory.contains("hidden") && !inventory.contains("AAAAC3"));
    let mode = fs::metadata(temp.path().join(&PATH[1..])).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);

    let at = |path: &str| temp.path().join(path);
    fs::write(at("etc/motd"), "by hand").unwrap();
    fs::set_permissions(at("var/secret"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(at("etc/app/a.conf")).unwrap();
    fs::write(at("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    let drift = Drift::see(&root).unwrap();
    let seen: Vec<(&str, Compared)> = drift
        .resources
        .iter()
        .filter(|r| r.state != Compared::Unchanged)
        .map(|r| (r.resource.as_str(), r.state))
        .collect();
    assert_eq!(
        seen,
        [
            ("file /etc/app/a.conf", Compared::Missing),
            ("file /etc/motd", Compared::Changed),
            ("file /var/secret", Compared::Changed),
            ("user elroy", Compared::Missing),
        ]
    );
    let text = drift.render() + &serde_json::to_string(&drift).unwrap();
    assert!(!text.contains("hidden") && !text.contains("by hand"));
    assert!(text.contains("mode 0600 became 0644") && !drift.is_none());
}
