//! Running one program for a limited time.

use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// Bytes of output that are kept.
const KEPT: usize = 4096;
/// How long output may come after the end: only from what left the process group.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With a status.
    Status(i32),
    /// By a signal.
    Signal(i32),
    /// At its timeout.
    Killed,
    /// It never ran; why.
    NotStarted(String),
}

/// How it ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub ended: Ended,
    /// The first 4 KiB of standard output and error together.
    pub text: String,
}

/// Runs `argv` with the variables `env`, `PATH` and nothing else, in a process group of
/// its own. At the timeout, and when the program ends, whatever is left of the group is
/// killed.
pub fn run(argv: &[String], env: &[(&str, &str)], timeout: Duration) -> std::io::Result<Output> {
    let Some((program, args)) = argv.split_first() else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let (mut reader, writer) = std::io::pipe()?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/usr/sbin:/bin:/sbin")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    if nix::unistd::geteuid().is_root() {
        command.current_dir("/");
    }
    let mut child = command.spawn()?;
    // It holds the writing ends; the output ends when the program's do.
    drop(command);

    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || said.send(read_capped(&mut reader)));
    let timed_out = !wait(&child, timeout);
    // Not reaped yet, so the group's number cannot be anyone else's.
    match killpg(pid(&child), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
        Err(e) => tracing::warn!(program, "cannot be killed: {e}"),
    }
    let status = child.wait()?;
    let ended = match (timed_out, status.code(), status.signal()) {
        (true, ..) => Ended::Killed,
        (_, Some(code), _) => Ended::Status(code),
        (_, None, signal) => Ended::Signal(signal.unwrap_or(0)),
    };
    let text = heard.recv_timeout(LAST_WORDS).unwrap_or_default();
    Ok(Output { ended, text })
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Waits for the end without reaping. False at the timeout.
fn wait(child: &Child, timeout: Duration) -> bool {
    let (ended, end) = mpsc::channel();
    let pid = pid(child);
    // Ends at the latest when the program is killed.
    std::thread::spawn(move || {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
        let _ = ended.send(());
    });
    end.recv_timeout(timeout).is_ok()
}

fn read_capped(reader: &mut impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = reader.read(&mut buffer) {
        let room = KEPT - kept.len();
        kept.extend_from_slice(buffer.get(..n.min(room)).unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&kept);
    let shown = |c: char| if c.is_control() && c != '\n' { '?' } else { c };
    text.trim_end().chars().map(shown).collect()
}
