//! Container mode as a user sees it: the built program, real processes, real signals.
//!
//! The expectations are tini 0.19's. With `/usr/bin/tini` installed, every case also runs against it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const DEADLINE: Duration = Duration::from_secs(20);

/// The programs under test.
fn programs() -> Vec<PathBuf> {
    let mut programs = vec![PathBuf::from(env!("CARGO_BIN_EXE_init"))];
    programs.extend(Some(PathBuf::from("/usr/bin/tini")).filter(|tini| tini.exists()));
    programs
}

fn init(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("TINI_VERBOSITY", "0")
        .stdin(Stdio::null());
    command
}

/// Exit code, within the deadline.
fn wait(child: &mut Child) -> Option<i32> {
    let began = Instant::now();
    while began.elapsed() < DEADLINE {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("still running after {DEADLINE:?}");
}

fn code(program: &Path, arguments: &[&str]) -> Option<i32> {
    wait(
        &mut init(program, arguments)
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    )
}

/// Starts a shell script under init and waits for its first line of output.
fn started(
    program: &Path,
    flags: &[&str],
    script: &str,
) -> (Child, BufReader<ChildStdout>, String) {
    let arguments: Vec<&str> = flags
        .iter()
        .copied()
        .chain(["--", "sh", "-c", script])
        .collect();
    let mut child = init(program, &arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    (child, output, line.trim().to_string())
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

#[test]
fn exit_codes() {
    let directory = tempfile::tempdir().unwrap();
    let not_executable = directory.path().join("file");
    std::fs::write(&not_executable, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&not_executable, std::fs::Permissions::from_mode(0o644)).unwrap();
    let not_executable = not_executable.to_str().unwrap();
    let cases: &[(&[&str], i32)] = &[
        (&["true"], 0),
        (&["--", "sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["-e", "143", "--", "sh", "-c", "kill -TERM $$"], 0),
        (&["-e", "3", "-e", "4", "sh", "-c", "exit 4"], 0),
        (&["-e", "3", "sh", "-c", "exit 4"], 4),
        (&["/nonexistent/program"], 127),
        (&[not_executable], 126),
        (&[], 1),
        (&["-Z", "true"], 1),
        (&["-e", "300", "true"], 1),
        (&["-h"], 0),
    ];
    for program in programs() {
        for (arguments, want) in cases {
            assert_eq!(
                code(&program, arguments),
                Some(*want),
                "{} {arguments:?}",
                program.display()
            );
        }
    }
}

#[test]
fn version_is_what_dockerd_reads() {
    for program in programs() {
        let output = init(&program, &["--version"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let rest = text.strip_prefix("tini version ").unwrap();
        assert!(rest.starts_with(|c: char| c.is_ascii_digit()), "{text}");
        assert!(output.status.success());
    }
    let ours = init(&programs()[0], &["--version"])
        .output()
        .unwrap()
        .stdout;
    let ours = String::from_utf8(ours).unwrap();
    let (_, commit) = ours.trim().split_once(" - git.").unwrap();
    assert!(
        !commit.contains('.'),
        "dockerd splits the commit at dots: {ours}"
    );
}

#[test]
fn signals_reach_the_program() {
    let signals = [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGWINCH, "WINCH"),
        (Signal::SIGALRM, "ALRM"),
        (Signal::SIGCONT, "CONT"),
    ];
    for program in programs() {
        for (number, name) in signals {
            let script = format!(
                "trap 'echo got {name}; exit 42' {name}; echo ready; while :; do sleep 0.05; done"
            );
            let (mut child, mut output, line) = started(&program, &[], &script);
            assert_eq!(line, "ready");
            signal(&child, number);
            assert_eq!(wait(&mut child), Some(42), "{} {name}", program.display());
            let mut rest = String::new();
            output.read_to_string(&mut rest).unwrap();
            assert_eq!(rest.trim(), format!("got {name}"));
        }
    }
}

#[test]
fn a_real_time_signal_is_passed_on() {
    for program in programs() {
        let script = "trap 'exit 43' 37; echo ready; while :; do sleep 0.05; done";
        let (mut child, _output, _) = started(&program, &[], script);
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -37 {}", child.id())])
            .status()
            .unwrap();
        assert!(sent.success());
        assert_eq!(wait(&mut child), Some(43), "{}", program.display());
    }
}

#[test]
fn an_unhandled_signal_gives_its_code() {
    for program in programs() {
        let (mut child, _output, _) = started(&program, &[], "echo ready; exec sleep 60");
        signal(&child, Signal::SIGTERM);
        assert_eq!(wait(&mut child), Some(143), "{}", program.display());
    }
}

#[test]
fn the_group_flag_reaches_grandchildren() {
    let script = "(trap 'echo grandchild; exit' TERM; echo ready; while :; do sleep 0.05; done) & trap 'wait; exit 5' TERM; wait; wait; exit 6";
    for program in programs() {
        let (mut child, mut output, _) = started(&program, &["-g"], script);
        signal(&child, Signal::SIGTERM);
        wait(&mut child);
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest.trim(), "grandchild", "{}", program.display());
    }
}

/// The state letter of a process in /proc, if there is one.
fn state(pid: &str) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn orphans_are_reaped() {
    // The inner shell starts a process and ends; the orphan ends a moment later and must not stay a zombie.
    let script = "sh -c 'sleep 0.2 & echo $!'; exec sleep 60";
    for program in programs() {
        let (mut child, _output, orphan) = started(&program, &["-s"], script);
        let began = Instant::now();
        while state(&orphan).is_some() {
            assert!(
                began.elapsed() < DEADLINE,
                "{}: {orphan} is {:?}",
                program.display(),
                state(&orphan)
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(child.try_wait().unwrap(), None, "init must go on");
        signal(&child, Signal::SIGTERM);
        assert_eq!(wait(&mut child), Some(143));
    }
}

#[test]
fn the_program_has_its_own_group_and_a_clean_mask() {
    let script = "cut -d' ' -f5 /proc/$$/stat; echo $$; grep -E '^Sig(Blk|Ign)' /proc/$$/status";
    for program in programs() {
        let output = init(&program, &["sh", "-c", script]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], lines[1], "{}: group leader", program.display());
        assert_eq!(
            lines[2].split_whitespace().last(),
            Some("0000000000000000"),
            "{}",
            program.display()
        );
    }
}

#[test]
fn closed_standard_input_is_fine() {
    for program in programs() {
        let script = format!("exec {} -- sh -c 'exit 9' <&-", program.display());
        let status = Command::new("sh")
            .args(["-c", &script])
            .env("TINI_VERBOSITY", "0")
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(9), "{}", program.display());
    }
}
