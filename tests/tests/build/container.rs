//! `init` as PID 1 of a container, beside Debian's tini on the same work.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use image_build::cache::Cache;
use image_build::error::{Context, Error, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Options, the shell's script, and the signal sent once it printed `ready`.
const CASES: &[(&[&str], &str, Option<Signal>)] = &[
    (&[], "exit 0", None),
    (&[], "exit 7", None),
    (&[], "exit 255", None),
    (&[], "kill -KILL $$", None),
    (&[], "kill -SEGV $$", None),
    (&["-e", "7"], "exit 7", None),
    (&["-e", "143"], "kill -TERM $$", None),
    (
        &[],
        "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done",
        Some(Signal::SIGTERM),
    ),
    (
        &[],
        "trap 'exit 4' INT; echo ready; while :; do sleep 0.05; done",
        Some(Signal::SIGINT),
    ),
    (
        &[],
        "trap 'exit 5' HUP; echo ready; while :; do sleep 0.05; done",
        Some(Signal::SIGHUP),
    ),
    (
        &[],
        "trap 'exit 6' USR1; echo ready; while :; do sleep 0.05; done",
        Some(Signal::SIGUSR1),
    ),
    (
        &[],
        "trap 'exit 8' USR2; echo ready; while :; do sleep 0.05; done",
        Some(Signal::SIGUSR2),
    ),
    (
        &[],
        "trap 'exit 9' QUIT; echo ready; while :; do sleep 0.05; done",
        Some(Signal::SIGQUIT),
    ),
    (
        &[],
        "trap 'exit 10' WINCH; echo ready; while :; do sleep 0.05; done",
        Some(Signal::SIGWINCH),
    ),
    (
        &[],
        "trap 'exit 11' CONT; echo ready; while :; do sleep 0.05; done",
        Some(Signal::SIGCONT),
    ),
    (&[], "echo ready; exec sleep 30", Some(Signal::SIGTERM)),
    (
        &["-g"],
        "sh -c 'trap \"exit 12\" TERM; echo ready; while :; do sleep 0.05; done' & wait $!; wait $!",
        Some(Signal::SIGTERM),
    ),
    // An orphan that ends later does not become the exit status.
    (&["-s"], "(sleep 0.1; exit 9) & exit 2", None),
];

/// The signal goes to the child and the child's end comes back, as with tini.
#[test]
fn behaves_like_tini() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let mirrors = image_build::build::mirrors(None, None)?;
    let bytes =
        tests::debian::program(&Cache::open(None)?, &mirrors, "tini", "usr/bin/tini-static")?;
    let tini = temp.path().join("tini");
    std::fs::write(&tini, bytes).environment(|| "writing tini".into())?;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&tini, mode).environment(|| "making tini executable".into())?;
    let init = tests::fixture::guest_dir()?.join("init");

    for (options, script, signal) in CASES {
        let (theirs, ours) = (
            run(&tini, options, script, *signal)?,
            run(&init, options, script, *signal)?,
        );
        assert_eq!(
            ours, theirs,
            "{options:?} {script:?} {signal:?}: exit status of init and of tini"
        );
    }
    for words in [&["--", "/nonexistent"][..], &["--", "/etc/passwd"]] {
        let code = |program: &PathBuf| {
            let out = Command::new(program)
                .args(words)
                .stderr(Stdio::null())
                .status();
            out.map(|s| s.code()).environment(|| "starting it".into())
        };
        assert_eq!(code(&init)?, code(&tini)?, "{words:?}");
    }
    Ok(())
}

/// Exit status, or 128 and the signal.
fn run(program: &Path, options: &[&str], script: &str, signal: Option<Signal>) -> Result<i32> {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(program)
        .args(options)
        .args(["--", "/bin/sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .environment(|| format!("starting {}", program.display()))?;
    if let Some(signal) = signal {
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out)
                .read_line(&mut line)
                .environment(|| "reading its output".into())?;
        }
        assert_eq!(line.trim(), "ready", "{script}");
        let pid = Pid::from_raw(child.id().cast_signed());
        kill(pid, signal).environment(|| "sending the signal".into())?;
    }
    wait(child, script)
}

fn wait(mut child: Child, script: &str) -> Result<i32> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait().environment(|| "waiting".into())? {
            return Ok(status
                .code()
                .or(status.signal().map(|s| 128 + s))
                .unwrap_or(-1));
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            return Err(Error::refused(format!(
                "{script:?} did not end within 20 s"
            )));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
