//! Time, CPU time and memory of a command with all its children.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};

/// What a command cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Elapsed time.
    pub wall: Duration,
    /// CPU time of the command and all its waited-for children.
    pub cpu: Duration,
    /// Largest sum of the resident sets of the process tree, in bytes, sampled 20
    /// times per second. Pages that processes share count once for each of them.
    pub peak_rss: u64,
}

/// Runs `command` to its end; both of its outputs go to `log`.
pub fn run(command: &mut Command, log: &Path) -> Result<Cost> {
    let what = command.get_program().to_string_lossy().into_owned();
    let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let errors = file.try_clone().context("duplicating a file descriptor")?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors);
    let cpu_before = children_cpu()?;
    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {what}"))?;
    let done = AtomicBool::new(false);
    let root = child.id();
    let (status, peak_rss) = thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(tree_rss(root));
                thread::sleep(Duration::from_millis(50));
            }
            peak
        });
        let status = child.wait();
        done.store(true, Ordering::Relaxed);
        (status, sampler.join().unwrap_or(0))
    });
    let wall = start.elapsed();
    let status = status.with_context(|| format!("waiting for {what}"))?;
    if !status.success() {
        bail!(
            "{what} failed ({status}); the end of {}:\n{}",
            log.display(),
            tail(log)
        );
    }
    Ok(Cost {
        wall,
        cpu: children_cpu()?.saturating_sub(cpu_before),
        peak_rss,
    })
}

/// CPU time of all children waited for so far.
fn children_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let time = [usage.user_time(), usage.system_time()];
    Ok(time
        .iter()
        .map(|t| Duration::from_micros((t.tv_sec() * 1_000_000 + t.tv_usec()).unsigned_abs()))
        .sum())
}

/// Resident bytes of a process and its descendants; those that end meanwhile count nothing.
fn tree_rss(root: u32) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    let processes: HashMap<u32, Process> = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter_map(|pid| {
            Some((
                pid,
                parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?,
            ))
        })
        .collect();
    let below_root = |mut pid: u32| {
        // A tree is not deeper than it has processes; parents change under our feet.
        for _ in 0..processes.len() {
            if pid == root {
                return true;
            }
            match processes.get(&pid) {
                Some(process) => pid = process.parent,
                None => return false,
            }
        }
        false
    };
    let pages: u64 = processes
        .iter()
        .filter(|(pid, _)| below_root(**pid))
        .map(|(_, p)| p.rss_pages)
        .sum();
    pages * 4096
}

#[derive(Debug, PartialEq, Eq)]
struct Process {
    parent: u32,
    rss_pages: u64,
}

/// Reads `/proc/PID/stat` (proc(5)). The name, in brackets, may hold anything.
fn parse_stat(stat: &str) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let rss_pages = fields.nth(19)?.parse().ok()?;
    Some(Process { parent, rss_pages })
}

/// Last lines of a log, for an error.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// The middle value; the mean of the two middle ones of an even number.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_brackets_in_the_name() {
        let stat = "42 (a) b (c)) S 7 42 42 0 -1 4194560 111 0 0 0 1 2 0 0 20 0 1 0 300 5000000 321 18446744073709551615 1 1";
        assert_eq!(
            parse_stat(stat),
            Some(Process {
                parent: 7,
                rss_pages: 321
            })
        );
        assert_eq!(parse_stat("42 (x"), None);
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn children_are_counted() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let cost = run(
            Command::new("sh").args(["-c", "sh -c 'sleep 0.3'; echo out"]),
            log.path(),
        )
        .unwrap();
        assert!(cost.wall >= Duration::from_millis(300));
        assert!(cost.peak_rss > 0);
        assert_eq!(fs::read_to_string(log.path()).unwrap(), "out\n");
        let failed = run(
            Command::new("sh").args(["-c", "echo why; exit 3"]),
            log.path(),
        )
        .unwrap_err();
        assert!(failed.to_string().contains("why"), "{failed}");
    }
}
