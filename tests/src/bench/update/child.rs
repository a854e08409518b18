//! Commands that are measured exactly: a process of this program runs each, waits for
//! it, and asks the kernel what it took. What this process started itself does not
//! count then.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use super::machine;
use crate::bench::measure;

/// First argument: measure the command that follows the file.
const MEASURE: &str = "@measure";
/// First argument: be a machine that updates itself.
const MACHINE: &str = "@machine";

/// What a command took, with all its children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Elapsed seconds.
    pub wall: f64,
    /// Seconds of CPU time.
    pub cpu: f64,
    /// Largest resident set of any of its processes, in bytes, as the kernel has it;
    /// of processes at the same time, the largest sum that was seen.
    pub peak: u64,
}

impl Cost {
    /// One after the other.
    pub fn then(self, next: Cost) -> Cost {
        Cost {
            wall: self.wall + next.wall,
            cpu: self.cpu + next.cpu,
            peak: self.peak.max(next.peak),
        }
    }
}

/// Runs `command` to its end; its outputs go to `log`.
pub fn run(command: &Command, log: &Path) -> Result<Cost> {
    let told = log.with_extension("cost");
    let mut outer = this(MEASURE)?;
    outer.arg(&told).arg(command.get_program());
    outer.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    let tree = measure::run(&mut outer, log)?;
    let text = fs::read(&told).with_context(|| format!("reading {}", told.display()))?;
    let (mut cost, watcher): (Cost, u64) =
        serde_json::from_slice(&text).context("reading what a command took")?;
    cost.peak = cost.peak.max(tree.peak_rss.saturating_sub(watcher));
    Ok(cost)
}

/// A command line of the machine that `config` describes.
pub fn machine(config: &Path) -> Result<Command> {
    let mut command = this(MACHINE)?;
    command.arg(config);
    Ok(command)
}

/// What this process is for, if it is one of those above. For the start of `main`.
pub fn main() -> Option<ExitCode> {
    let mut args = env::args_os().skip(1);
    let done = match args.next()?.to_str()? {
        MEASURE => measured(args),
        MACHINE => machine::main(Path::new(&args.next()?)).map(|()| 0),
        _ => return None,
    };
    Some(match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(3)
        }
    })
}

fn measured(mut args: impl Iterator<Item = OsString>) -> Result<u8> {
    let (Some(told), Some(program)) = (args.next(), args.next()) else {
        bail!("{MEASURE} needs a file and a command");
    };
    let start = Instant::now();
    let status = Command::new(&program).args(args).status();
    let wall = start.elapsed().as_secs_f64();
    let status = status.with_context(|| format!("starting {}", program.display()))?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let seconds = |time: nix::sys::time::TimeVal| {
        Duration::from_micros((time.tv_sec() * 1_000_000 + time.tv_usec()).unsigned_abs())
            .as_secs_f64()
    };
    let cost = Cost {
        wall,
        cpu: seconds(usage.user_time()) + seconds(usage.system_time()),
        peak: usage.max_rss().unsigned_abs() * 1024,
    };
    let told_too = serde_json::to_vec(&(cost, own_memory()))?;
    fs::write(&told, told_too).context("writing what a command took")?;
    Ok(status
        .code()
        .and_then(|code| code.try_into().ok())
        .unwrap_or(255))
}

fn this(verb: &str) -> Result<Command> {
    let own = env::current_exe().context("finding this program")?;
    // A test program is beside, in a folder of its own.
    let program = match own.parent() {
        Some(folder) if folder.ends_with("deps") => folder.with_file_name("bench"),
        _ => own,
    };
    let mut command = Command::new(program);
    command.arg(verb);
    Ok(command)
}

/// Resident bytes of this process, which is no part of what it measures.
fn own_memory() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|text| text.parse().ok());
    pages.unwrap_or(0) * 4096
}
