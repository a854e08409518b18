//! Real programs in a folder.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Machine(tempfile::tempdir().unwrap())
    }

    fn script(&self, path: &str, text: &str) {
        self.file(path, &format!("#!/bin/sh\n{text}\n"), 0o755);
    }

    fn file(&self, path: &str, text: &str, mode: u32) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn assess(&self) -> Report {
        self.assessment().run()
    }

    fn assessment(&self) -> Assessment {
        Assessment {
            root: self.0.path().to_owned(),
            version: "3".to_owned(),
            trial: true,
            timeout: Duration::from_secs(20),
            check_timeout: Duration::from_secs(10),
            boot_complete: vec!["/bin/true".to_owned()],
        }
    }
}

const USR: &str = "usr/lib/holdfast/health.d";
const ETC: &str = "etc/holdfast/health.d";

fn outcomes(report: &Report) -> Vec<(&str, Outcome)> {
    let results = report.results.iter();
    results.map(|r| (r.name.as_str(), r.outcome)).collect()
}

#[test]
fn a_complete_boot_without_checks_is_healthy() {
    let report = Machine::new().assess();
    assert!(report.healthy);
    assert_eq!(outcomes(&report), [(BOOT_COMPLETE, Outcome::Passed)]);
}

#[test]
fn required_checks_decide_and_wanted_ones_are_told() {
    let machine = Machine::new();
    machine.script(&format!("{USR}/required.d/10-good"), "exit 0");
    machine.script(&format!("{USR}/wanted.d/10-bad"), "echo sorry >&2; exit 3");
    let report = machine.assess();
    assert!(report.healthy);
    assert_eq!(report.results[2].detail, "ended with status 3");
    assert_eq!(report.results[2].output, "sorry");
    machine.script(&format!("{ETC}/required.d/20-bad"), "kill -9 $$");
    let report = machine.assess();
    assert!(!report.healthy);
    assert_eq!(report.summary(), "20-bad ended by signal 9");
}

#[test]
fn etc_replaces_and_masks() {
    let machine = Machine::new();
    for name in ["a", "b", "c", "d"] {
        machine.script(&format!("{USR}/required.d/{name}"), "exit 1");
    }
    machine.script(&format!("{ETC}/required.d/a"), "exit 0");
    machine.file(&format!("{ETC}/required.d/b"), "", 0o644);
    symlink("/dev/null", machine.0.path().join(ETC).join("required.d/c")).unwrap();
    let report = machine.assess();
    assert_eq!(
        outcomes(&report)[1..],
        [("a", Outcome::Passed), ("d", Outcome::Failed)]
    );
}

#[test]
fn an_incomplete_boot_is_unhealthy() {
    let mut assessment = Machine::new().assessment();
    assessment.boot_complete = vec!["/bin/false".to_owned()];
    let report = assessment.run();
    assert!(!report.healthy);
    assert!(report.summary().starts_with("boot-complete.target "));
}

/// F7: a check that hangs, with children that ignore signals, ends at its timeout.
#[test]
fn f7_hanging_checks_are_killed_with_their_children() {
    let machine = Machine::new();
    let alive = machine.0.path().join("alive");
    machine.script(
        &format!("{USR}/required.d/hang"),
        &format!(
            "trap '' TERM; (trap '' TERM; while :; do date > {}; sleep 0.05; done) & wait",
            alive.display()
        ),
    );
    let mut assessment = machine.assessment();
    assessment.check_timeout = Duration::from_millis(300);
    let started = Instant::now();
    let report = assessment.run();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(report.results[1].outcome, Outcome::TimedOut);
    std::fs::remove_file(&alive).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!alive.exists(), "a child lives on");
}

/// F7: all checks together have a limit; a required one that was not run is a failure.
#[test]
fn f7_checks_together_have_a_limit() {
    let machine = Machine::new();
    machine.script(&format!("{USR}/required.d/1"), "sleep 60");
    machine.script(&format!("{USR}/required.d/2"), "exit 0");
    let mut assessment = machine.assessment();
    assessment.timeout = Duration::from_millis(400);
    let report = assessment.run();
    assert!(!report.healthy);
    assert_eq!(report.results[1].outcome, Outcome::TimedOut);
    assert_eq!(report.results[2].outcome, Outcome::NotRun);
}

/// F10: what a check says is capped, and does not block it.
#[test]
fn f10_output_is_capped() {
    let machine = Machine::new();
    machine.script(
        &format!("{USR}/required.d/loud"),
        "head -c 3000000 /dev/zero",
    );
    let report = machine.assess();
    assert!(report.healthy, "{}", report.summary());
    assert_eq!(report.results[1].output.len(), 4096);
}

/// A child that left the group keeps the pipe open, and holds up nothing.
#[test]
fn a_daemon_left_behind_does_not_hold_up_the_verdict() {
    let machine = Machine::new();
    machine.script(&format!("{USR}/required.d/x"), "setsid sleep 30 & exit 0");
    let started = Instant::now();
    assert!(machine.assess().healthy);
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// A16: what others may write is not run.
#[test]
fn a16_checks_that_others_may_write_are_not_run() {
    let machine = Machine::new();
    let proof = machine.0.path().join("ran");
    let text = format!("#!/bin/sh\ntouch {}\n", proof.display());
    machine.file(&format!("{ETC}/required.d/open"), &text, 0o777);
    let report = machine.assess();
    assert!(!report.healthy && !proof.exists());
    assert!(report.summary().contains("others than root may write it"));
}

#[test]
fn what_cannot_start_has_failed() {
    let machine = Machine::new();
    machine.file(&format!("{ETC}/required.d/a"), "#!/nonexistent\n", 0o755);
    machine.file(&format!("{ETC}/required.d/b"), "#!/bin/sh\n", 0o644);
    std::fs::create_dir(machine.0.path().join(ETC).join("required.d/c")).unwrap();
    let report = machine.assess();
    let failed = |(_, outcome): &(&str, Outcome)| *outcome == Outcome::Failed;
    assert!(outcomes(&report)[1..].iter().all(failed));
    assert_eq!(report.results.len(), 4);
}

#[test]
fn hooks_run_on_failure_and_find_the_report() {
    let machine = Machine::new();
    let copy = machine.0.path().join("copy");
    machine.script(
        &format!("{ETC}/on-failure.d/save"),
        &format!(
            "cp \"$HOLDFAST_REPORT\" {}; echo $HOLDFAST_VERSION $HOLDFAST_TRIAL $HOME",
            copy.display()
        ),
    );
    machine.assess();
    assert!(!copy.exists(), "all is well");
    machine.script(&format!("{ETC}/required.d/bad"), "exit 1");
    let report = machine.assess();
    assert_eq!(report.results[2].output, "3 yes");
    let saved: Report = serde_json::from_slice(&std::fs::read(copy).unwrap()).unwrap();
    assert_eq!(saved.summary(), "bad ended with status 1");
    let kept = reports(&machine.0.path().join(crate::STATE));
    assert!(kept.contains(&saved));
}

#[test]
fn old_reports_go() {
    let folder = tempfile::tempdir().unwrap();
    for time in 0..30 {
        let mut report = Report::new("1", false, Vec::new());
        report.time = time;
        report.save(&folder.path().join(report::FOLDER)).unwrap();
    }
    let kept = reports(folder.path());
    assert_eq!(kept.len(), 20);
    assert_eq!(kept[19].time, 29);
}
