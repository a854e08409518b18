use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::SignalFd;

use super::arguments::Options;
use crate::sys;

/// Signals that mean a fault in this very process, or terminal stops: not ours to pass on.
const OWN: [Signal; 9] = [
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGABRT,
    Signal::SIGTRAP,
    Signal::SIGSYS,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// Runs the program until it ends; the exit code is its own.
pub fn run(options: &Options) -> ExitCode {
    match supervise(options) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("init: {error}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(options: &Options) -> Result<u8, String> {
    let failed = |what: &'static str| move |error: Errno| format!("{what}: {error}");
    if let Some(signal) = options.parent_death {
        prctl::set_pdeathsig(signal).map_err(failed("asking for a signal at the parent's end"))?;
    }
    if options.subreaper {
        prctl::set_child_subreaper(true).map_err(failed("becoming a subreaper"))?;
    } else if std::process::id() != 1
        && options.verbosity >= 1
        && !prctl::get_child_subreaper().unwrap_or(false)
    {
        eprintln!(
            "init: not PID 1: orphans are not reaped here; use -s, set TINI_SUBREAPER, or run it as PID 1"
        );
    }

    let mut handled = SigSet::all();
    OWN.iter().for_each(|signal| handled.remove(*signal));
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&handled), Some(&mut before))
        .map_err(failed("blocking signals"))?;
    sys::ignore_terminal_stops().map_err(failed("ignoring terminal stops"))?;
    let signals = SignalFd::new(&handled).map_err(failed("receiving signals"))?;

    let name = options.command[0].to_string_lossy();
    let mut command = Command::new(&options.command[0]);
    command.args(&options.command[1..]);
    sys::set_up_child(&mut command, before);
    let child = match command.spawn() {
        // Reaped below with all others.
        Ok(child) => child.id().cast_signed(),
        Err(error) => {
            eprintln!("init: running {name}: {error}");
            return Ok(match error.raw_os_error() {
                Some(libc::ENOENT) => 127,
                Some(libc::EACCES) => 126,
                _ => 1,
            });
        }
    };
    let say = |level: u8, text: &str| {
        if options.verbosity >= level {
            eprintln!("init: {text}");
        }
    };
    say(2, &format!("{name} runs as process {child}"));

    let target = if options.group { -child } else { child };
    loop {
        let signal = match signals.read_signal() {
            Ok(Some(info)) => info.ssi_signo.cast_signed(),
            Ok(None) | Err(Errno::EINTR) => continue,
            Err(error) => return Err(format!("receiving signals: {error}")),
        };
        if signal != libc::SIGCHLD {
            say(3, &format!("passing on signal {signal}"));
            match sys::kill(target, signal) {
                Ok(()) => {}
                Err(Errno::ESRCH) => say(1, "the program had ended when a signal came for it"),
                Err(error) => return Err(format!("passing on signal {signal}: {error}")),
            }
            continue;
        }
        if let Some(code) = reap(child, options)? {
            return Ok(if options.success.contains(&code) {
                0
            } else {
                code
            });
        }
    }
}

/// Reaps all that have ended; the exit code of `child` if it is among them.
fn reap(child: i32, options: &Options) -> Result<Option<u8>, String> {
    let mut code = None;
    while let Some(ended) =
        sys::reap_one().map_err(|error| format!("waiting for processes: {error}"))?
    {
        if ended.pid == child {
            code = Some(ended.code);
        } else if options.warn_on_reap {
            eprintln!("init: reaped process {}", ended.pid);
        }
    }
    Ok(code)
}
