//! Every folder in `testdata/apply` is a machine: `root/` before, `user-data`,
//! `vendor-data`, `oem.yml` and `metadata.json` as sent; `expected/` (files),
//! `manifest` (modes and links), `calls` (to systemd), `report.json` after. Where
//! there is a folder `second`, that comes next in the same boot: `change/` is put over
//! the machine, what else is in it is sent instead, and the same is expected.
//! `UPDATE_TESTDATA=1` writes what is expected anew.

use super::setup::{applied, planned, reached};
use super::*;
use crate::cloudconfig::Verb;
use crate::status::{Resource, State};
use crate::userdata::Offline;
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

#[derive(Default)]
pub(super) struct Recorder {
    calls: RefCell<Vec<String>>,
    /// Units that run.
    running: Vec<String>,
}

impl Recorder {
    pub(super) fn running(running: Vec<String>) -> Recorder {
        Recorder {
            running,
            ..Recorder::default()
        }
    }
    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }
    pub(super) fn called(&self, call: &str) -> bool {
        self.calls.borrow().iter().any(|c| c == call)
    }
}

impl Systemd for Recorder {
    fn reload(&self) -> Result<()> {
        self.calls.borrow_mut().push("reload".into());
        Ok(())
    }
    fn job(&self, unit: &str, verb: Verb) -> Result<String> {
        let mut calls = self.calls.borrow_mut();
        calls.push(format!("{} {unit}", verb.as_str()));
        Ok(format!("job {}", calls.len()))
    }
    fn active_state(&self, unit: &str) -> Result<Option<String>> {
        let runs = ["already.service", "updater.service"];
        let runs = runs.contains(&unit) || self.running.iter().any(|u| u == unit);
        Ok(runs.then(|| "active".into()))
    }
}

pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(d) = todo.pop() {
        let Ok(entries) = fs::read_dir(&d) else {
            continue;
        };
        for e in entries.map(|e| e.unwrap().path()) {
            if e.is_dir() && !e.is_symlink() {
                todo.push(e.clone());
            }
            out.push(e.strip_prefix(dir).unwrap().to_owned());
        }
    }
    out.sort();
    out.retain(|p| {
        let p = p.to_str().unwrap();
        !p.starts_with("run/oem")
            && !p.starts_with("var/lib/oem/status")
            && !p.starts_with("var/lib/oem/inventory.json")
            && !p.ends_with(".pwd.lock")
    });
    out
}

pub(super) fn copy(from: &Path, to: &Path) {
    for f in files(from) {
        let (src, dst) = (from.join(&f), to.join(&f));
        if src.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&src).unwrap(), dst).unwrap();
        } else if src.is_dir() {
            fs::create_dir_all(&dst).unwrap();
            fs::set_permissions(&dst, fs::Permissions::from_mode(0o755)).unwrap();
        } else {
            fs::copy(&src, &dst).unwrap();
            fs::set_permissions(&dst, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}

pub(super) fn manifest(dir: &Path) -> String {
    let line = |f: &PathBuf| {
        let path = dir.join(f);
        if path.is_symlink() {
            return format!(
                "link {} -> {}\n",
                f.display(),
                fs::read_link(&path).unwrap().display()
            );
        }
        let mode = fs::metadata(&path).unwrap().mode() & 0o7777;
        format!(
            "{mode:04o} {}{}\n",
            f.display(),
            if path.is_dir() { "/" } else { "" }
        )
    };
    files(dir).iter().map(line).collect()
}

fn text_of(path: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let today = crate::apply::now() / 86_400;
    text.replace(&format!(":{today}:0:99999"), ":TODAY:0:99999")
}

fn expect(case: &Path, name: &str, got: &str) {
    let path = case.join(name);
    if std::env::var_os("UPDATE_TESTDATA").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, got).unwrap();
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(got, want, "{}", path.display());
}

fn sent(from: &[&Path], name: &str) -> Option<Vec<u8>> {
    from.iter().find_map(|dir| fs::read(dir.join(name)).ok())
}

fn metadata(from: &[&Path]) -> Metadata {
    let json = sent(from, "metadata.json");
    json.map(|b| serde_json::from_slice(&b).unwrap())
        .unwrap_or_default()
}

fn run(from: &[&Path], root: &Root, systemd: &Recorder) -> Report {
    let optional = |name: &str| sent(from, name);
    let metadata = metadata(from);
    let fetched = Fetched {
        provider: metadata.provider.clone(),
        source: "testdata".into(),
        user_data: optional("user-data"),
        vendor_data: optional("vendor-data"),
        network: optional("network-config"),
        metadata,
        passwords: Vec::new(),
    };
    let oem = optional("oem.yml");
    let oem = oem.as_deref();
    let intake = Intake::of(oem, &fetched, &mut Offline);
    let obtained = intake.obtained(Heard::Whole, oem, &fetched, &[]);
    let plan = intake.plan(&fetched.metadata, root, &obtained).unwrap();
    let mut report = apply(&plan, root, Some(systemd)).unwrap();
    report.findings = intake.report_findings();
    report.write(root).unwrap();
    (report.finished, report.milliseconds) = (0, 0);
    report
}

/// What `oem validate user-data` prints.
fn diagnostics(from: &[&Path]) -> String {
    let bytes = sent(from, "user-data").unwrap();
    crate::cli::validated(&bytes, &metadata(from), "user-data")
}

#[test]
fn testdata() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/apply");
    let mut cases: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    cases.sort();
    for case in cases {
        let temp = tempfile::tempdir().unwrap();
        copy(&case.join("root"), temp.path());
        let first = case_of(&case, &[&case], temp.path(), Vec::new());
        let second = case.join("second");
        if second.exists() {
            copy(&second.join("change"), temp.path());
            let started = first.iter().filter_map(|c| c.strip_prefix("start "));
            let running = started.map(str::to_owned).collect();
            case_of(&second, &[&second, &case], temp.path(), running);
        }
    }
}

/// Applies what is sent `from` these folders, twice, and compares with what is expected
/// in `case`. Gives the calls to systemd.
fn case_of(case: &Path, from: &[&Path], machine: &Path, running: Vec<String>) -> Vec<String> {
    let root = Root::open(machine).unwrap();
    let systemd = Recorder::running(running);
    let report = run(from, &root, &systemd);
    let calls = systemd.calls();

    expect(case, "manifest", &manifest(machine));
    expect(case, "diagnostics", &diagnostics(from));
    let lines: String = calls.iter().map(|c| format!("{c}\n")).collect();
    expect(case, "calls", &lines);
    let json = serde_json::to_string_pretty(&report).unwrap() + "\n";
    expect(case, "report.json", &json);
    for f in files(machine) {
        let path = machine.join(&f);
        if path.is_file() && !path.is_symlink() {
            let name = Path::new("expected").join(&f);
            expect(case, name.to_str().unwrap(), &text_of(&path));
        }
    }
    for f in files(&case.join("expected")) {
        let there = machine.join(&f).symlink_metadata().is_ok();
        assert!(there, "{} was not written", f.display());
    }

    // Again: nothing is written, nothing is asked of systemd.
    let stamp = |f: &PathBuf| {
        let m = fs::symlink_metadata(machine.join(f)).unwrap();
        (f.clone(), m.ino(), m.mtime(), m.mtime_nsec())
    };
    let stamps = || -> Vec<_> {
        let inventory = PathBuf::from("var/lib/oem/inventory.json");
        let all = files(machine).into_iter().chain([inventory]);
        all.map(|f| stamp(&f)).collect()
    };
    let before = stamps();
    let again = run(from, &root, &systemd);
    assert_eq!(before, stamps(), "{}", case.display());
    assert_eq!(*systemd.calls.borrow(), calls, "{}", case.display());
    // What went is not mentioned any more.
    let gone = |r: &&Resource| r.origin == "earlier" && r.state != State::Kept;
    assert_eq!(
        again.resources.iter().find(gone),
        None,
        "{}",
        case.display()
    );
    let lasting: Vec<&Resource> = report.resources.iter().filter(|r| !gone(r)).collect();
    assert_eq!(lasting.len(), again.resources.len(), "{}", case.display());
    for (a, b) in lasting.iter().zip(&again.resources) {
        let want = if a.state == State::Done {
            State::Unchanged
        } else {
            a.state
        };
        assert_eq!(b.state, want, "{}: {}", case.display(), b.resource);
    }
    calls
}

#[test]
fn every_key_is_in_a_case() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/apply");
    let text: String = fs::read_dir(dir)
        .unwrap()
        .filter_map(|e| fs::read_to_string(e.unwrap().path().join("user-data")).ok())
        .collect();
    let text = text.replace('-', "_");
    let is_there = |name: &str| {
        text.match_indices(&format!("{name}:"))
            .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    };
    let missing: Vec<&str> = cloudconfig::schema::keys()
        .map(|k| k.name)
        .filter(|k| !is_there(k.rsplit('.').next().unwrap()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn nothing_leaves_the_root() {
    let temp = tempfile::tempdir().unwrap();
    let (root, outside) = (temp.path().join("root"), temp.path().join("outside"));
    fs::create_dir_all(root.join("home/core")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "old").unwrap();
    fs::write(
        root.join("etc/passwd"),
        "core:x:1000:1000::/home/core:/bin/bash\n",
    )
    .unwrap();
    let link = |target: &Path, at: &str| std::os::unix::fs::symlink(target, root.join(at)).unwrap();
    link(&outside, "etc/escape");
    link(&outside.join("victim"), "etc/victim");
    link(Path::new("../../../outside"), "home/core/.ssh");
    let user_data = "#cloud-config\nssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA]\nwrite_files:\n\
        - {path: /etc/escape/new, content: x}\n- {path: /etc/victim, content: x}\n- {path: /etc/../../outside/y, content: x}\n";
    let report = applied(&Root::open(&root).unwrap(), &setup::user_data(user_data));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(outside.join("victim")).unwrap(), "old");
    // The link was replaced by the file, inside.
    assert_eq!(fs::read_to_string(root.join("etc/victim")).unwrap(), "x");
    assert!(!report.is_good());
}

#[test]
fn another_root_defers_what_needs_systemd() {
    let temp = tempfile::tempdir().unwrap();
    let user_data = "#cloud-config\ncoreos: {units: [{name: a.service, command: start, content: \"[Service]\\nExecStart=/bin/true\"}]}\n";
    let root = Root::open(temp.path()).unwrap();
    let report = applied(&root, &setup::user_data(user_data));
    assert_eq!(report.count(State::Deferred), 2);
    assert!(report.is_good());
    assert_eq!(Report::read(&root).unwrap(), report);
    let mode = fs::metadata(temp.path().join("run/oem/status.json"))
        .unwrap()
        .mode()
        & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn hostile_bytes_never_panic() {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    let key = "ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA]\n";
    let bomb = {
        let mut t = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            t += &format!(
                "a{i}: &a{i} [{}]\n",
                vec![format!("*a{}", i - 1); 9].join(",")
            );
        }
        t
    };
    let cases: Vec<Vec<u8>> = vec![
        format!("#cloud-config\n{key}{bomb}").into_bytes(),
        format!("#cloud-config\n{key}x: {}\n", "[".repeat(100_000)).into_bytes(),
        format!("#cloud-config\n{key}x: {}\n", "{a: ".repeat(100_000)).into_bytes(),
        format!("#cloud-config\n{key}x: \0\0\n").into_bytes(),
        [b"#cloud-config\n", key.as_bytes(), b"y: \xff\xfe\n"].concat(),
        format!("#cloud-config\nwrite_files: *nope\n{key}").into_bytes(),
        format!("#cloud-config\n{key}users: &u [*u]\n").into_bytes(),
        format!("#cloud-config\n{key}users: 7\nwrite_files: {{}}\ncoreos: []\nhostname: [a]\n")
            .into_bytes(),
        format!(
            "#cloud-config\r\n{}write_files:\r\n\t- x\r\n",
            key.replace('\n', "\r\n")
        )
        .into_bytes(),
    ];
    for (i, user_data) in cases.into_iter().enumerate() {
        let started = std::time::Instant::now();
        let (intake, _) = planned(&root, &setup::user_data(user_data));
        assert_eq!(
            intake.inputs[0].config.ssh_authorized_keys.len(),
            1,
            "case {i}: the key is lost: {:?}",
            intake.findings
        );
        assert!(!intake.findings.is_empty(), "case {i}");
        assert!(
            started.elapsed().as_secs() < 10,
            "case {i} took {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn large_input_is_linear() {
    let file = |i: usize| {
        format!(
            "- path: /etc/f{i}\n  permissions: 0644\n  content: |\n{}",
            "    some text here\n".repeat(128)
        )
    };
    let user_data = format!(
        "#cloud-config\nwrite_files:\n{}",
        (0..200).map(file).collect::<String>()
    );
    let started = std::time::Instant::now();
    let fetched = setup::user_data(user_data.clone());
    let intake = Intake::of(None, &fetched, &mut Offline);
    assert_eq!(intake.inputs[0].config.write_files.len(), 200);
    assert!(intake.findings.is_empty());
    println!(
        "{} KiB, 200 files: {:?}",
        user_data.len() >> 10,
        started.elapsed()
    );
}

#[test]
fn parts_are_applied_in_order_and_named_in_the_report() {
    use crate::http::double::{ok, serve};
    let server = serve(&[(
        "GET /more.yaml",
        ok("#cloud-config\nwrite_files: [{path: /etc/more, content: m}]\nhostname: third\n"),
    )]);
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    let user_data = format!(
        "Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\n\
         --b\nContent-Type: text/cloud-config\nContent-Disposition: attachment; filename=base.yaml\n\n\
         #cloud-config\nhostname: first\nwrite_files:\n- {{path: /etc/a, content: 1}}\n- {{path: /etc/b, content: 1}}\n\
         --b\nContent-Type: text/cloud-config\n\n#cloud-config\nwrite_files:\n- {{path: /etc/b, content: 2}}\ntypo: x\n\
         --b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\ntrue\n\
         --b\nContent-Type: text/x-include-url\n\n{}/more.yaml\n\
         --b--\n",
        server.url
    );
    let fetched = setup::user_data(gzip(user_data.as_bytes()));
    // Before there is a network, what is there is applied, and what is not is no error.
    let report = reached(&root, &fetched, Reach::Kept);
    assert_eq!(
        report
            .findings
            .iter()
            .filter(|f| f.severity == "error")
            .count(),
        0
    );
    assert!(
        report
            .findings
            .iter()
            .any(|f| f.message.contains("no network yet"))
    );
    let read = |name: &str| fs::read_to_string(temp.path().join(name)).unwrap_or_default();
    assert_eq!(read("etc/hostname"), "first\n");

    let report = reached(&root, &fetched, Reach::Ask);
    assert_eq!(
        [
            read("etc/hostname"),
            read("etc/a"),
            read("etc/b"),
            read("etc/more")
        ],
        ["third\n", "1", "2", "m"]
    );
    let origin = |resource: &str| {
        let found = report.resources.iter().find(|r| r.resource == resource);
        found.map(|r| r.origin.as_str()).unwrap_or_default()
    };
    assert_eq!(origin("file /etc/a"), "user-data/base.yaml:4");
    assert_eq!(origin("file /etc/b"), "user-data/part-002:3");
    assert_eq!(origin("hostname"), "user-data/part-004/more.yaml:3");
    assert_eq!(origin("task script-user-data-1"), "user-data/part-003:1");
    assert_eq!(report.findings[0].origin, "user-data/part-002:4");

    let again = reached(&root, &fetched, Reach::Ask);
    assert_eq!(again.count(State::Done), 0);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    e.write_all(bytes).unwrap();
    e.finish().unwrap()
}
