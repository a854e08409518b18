//! Every folder in `testdata/hostile` is an attack, or an accident: `user-data` or
//! `network-config` as it is sent, or `make`, which tells how it is made, and `expected`,
//! what is said of it. Each is validated and applied to an empty tree in a process of its
//! own, which must stay within 64 MiB. `UPDATE_EXPECTED=1` writes what is said anew.
//!
//! Lines of `make` (`\n`, `\t`, `\\`, `\0` and `\xHH` stand for bytes):
//!
//! ```text
//! # a remark
//! text T       adds T
//! repeat N T   adds T so often; `%n` in it is the number of the time, from 0
//! before T     puts T before all so far
//! gzip         compresses all so far
//! base64       encodes all so far
//! cut N        leaves the first N bytes
//! network      it is a network configuration
//! ```

use super::*;
use crate::configure::{Heard, Reach, configure};
use crate::metadata::Fetched;
use crate::root::Root;
use crate::status::{Report, Resource, State};
use base64::Engine as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The promise, in bytes; the program itself, its tests included, is in it.
const LIMIT: u64 = 64 << 20;
/// Names the folder for [`one_alone`].
const FOLDER: &str = "OEM_TEST_HOSTILE";
/// And whether it is a network configuration.
const NETWORK: &str = "OEM_TEST_NETWORK";

struct Input {
    bytes: Vec<u8>,
    network: bool,
}

fn input_of(case: &Path) -> Input {
    for (name, network) in [("user-data", false), ("network-config", true)] {
        if let Ok(bytes) = fs::read(case.join(name)) {
            return Input { bytes, network };
        }
    }
    let make = fs::read_to_string(case.join("make")).unwrap();
    let mut input = Input {
        bytes: Vec::new(),
        network: false,
    };
    for line in make
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        step(line, &mut input);
    }
    input
}

fn step(line: &str, input: &mut Input) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let bytes = &mut input.bytes;
    match word {
        "text" => bytes.extend(unescaped(rest)),
        "repeat" => {
            let (times, text) = rest.split_once(' ').unwrap();
            let times: usize = times.parse().unwrap();
            let numbered = text.contains("%n");
            let plain = unescaped(text);
            for n in 0..times {
                match numbered {
                    true => bytes.extend(unescaped(&text.replace("%n", &n.to_string()))),
                    false => bytes.extend(&plain),
                }
            }
        }
        "before" => *bytes = [unescaped(rest), std::mem::take(bytes)].concat(),
        "gzip" => {
            let level = flate2::Compression::best();
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
            packer.write_all(bytes).unwrap();
            *bytes = packer.finish().unwrap();
        }
        "base64" => {
            let engine = base64::engine::general_purpose::STANDARD;
            *bytes = engine.encode(&bytes).into_bytes();
        }
        "cut" => bytes.truncate(rest.parse().unwrap()),
        "network" => input.network = true,
        _ => panic!("{line}"),
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend(before.bytes());
        let (byte, len) = match after.as_bytes() {
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b't', ..] => (b'\t', 1),
            [b'0', ..] => (0, 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', ..] => (u8::from_str_radix(&after[1..3], 16).unwrap(), 3),
            _ => panic!("{text}"),
        };
        out.push(byte);
        rest = &after[len..];
    }
    out.extend(rest.bytes());
    out
}

#[test]
fn hostile_input_is_told_and_stays_within_64_mib() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/hostile");
    let only = std::env::var("OEM_TEST_CASE").ok();
    let mut cases: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| only.as_ref().is_none_or(|o| p.ends_with(o)))
        .collect();
    cases.sort();
    assert!(only.is_some() || cases.len() > 40);
    // Each in a process of its own: two at a time.
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut wrong = String::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong += &judged(case);
        }
        wrong
    };
    let wrong = std::thread::scope(|scope| {
        let workers = [scope.spawn(worker), scope.spawn(worker)];
        workers.map(|w| w.join().unwrap()).concat()
    });
    assert!(wrong.is_empty(), "{wrong}");
}

/// What is not as it is to be, if anything.
fn judged(case: &Path) -> String {
    let mut wrong = String::new();
    let name = case.file_name().unwrap().to_string_lossy().into_owned();
    let start = std::time::Instant::now();
    let (said, peak) = told(case);
    let path = case.join("expected");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, &said).unwrap();
    }
    println!("{name}: {} KiB at most, {:?}", peak >> 10, start.elapsed());
    if peak > LIMIT {
        wrong += &format!("{name}: {} KiB\n", peak >> 10);
    }
    if said != fs::read_to_string(&path).unwrap_or_default() {
        wrong += &format!("{name}: said was\n{said}");
    }
    let (errors, hints) = (said.contains("error: "), said.contains("hint: "));
    if errors && !hints {
        wrong += &format!("{name}: nothing tells what to do\n{said}");
    }
    wrong
}

/// What is said, and the most memory it took.
fn told(case: &Path) -> (String, u64) {
    // In memory, where that can be had: each file is flushed.
    let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let temp = temp.unwrap();
    let input = input_of(case);
    fs::write(temp.path().join("input"), &input.bytes).unwrap();
    drop(input.bytes);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "cli::validate::hostile::one_alone"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, temp.path());
    if input.network {
        child.env(NETWORK, "1");
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}: {text}{}",
        case.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let peak = text.split_once("peak: ").unwrap().1;
    let peak = peak.split_whitespace().next().unwrap().parse().unwrap();
    let said = fs::read_to_string(temp.path().join("said")).unwrap();
    (said, peak)
}

#[test]
#[ignore = "a part of hostile_input_is_told_and_stays_within_64_mib"]
fn one_alone() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let is_network = std::env::var_os(NETWORK).is_some();
    let said = match input::read_file(&folder.join("input")) {
        Err(e) => {
            let hint = e.hint_text().unwrap_or_default();
            let said = format!("error: {}\nhint: {hint}\n", e.chain());
            said.replace(&folder.display().to_string(), "")
        }
        Ok(bytes) => {
            let said = match is_network {
                true => {
                    let parsed = network::parse(&bytes);
                    render("input", &String::from_utf8_lossy(&bytes), &parsed.findings)
                }
                false => {
                    let checked = check(&bytes, &Metadata::default(), &mut Offline);
                    checked.text("input", false)
                }
            };
            said + &applied(&folder, bytes, is_network)
        }
    };
    fs::write(folder.join("said"), said).unwrap();
    println!("peak: {} bytes", peak());
}

/// Applies it to an empty tree, and again. What was not done, or the first of it.
fn applied(folder: &Path, bytes: Vec<u8>, is_network: bool) -> String {
    let tree = folder.join("tree");
    fs::create_dir(&tree).unwrap();
    let root = Root::open(&tree).unwrap();
    let (network, user_data) = match is_network {
        true => (Some(bytes), None),
        false => (None, Some(bytes)),
    };
    let fetched = Fetched {
        user_data,
        network,
        ..Fetched::default()
    };
    let mut said = String::new();
    for _ in 0..2 {
        let report = Report::default();
        let report = configure(&root, report, None, &fetched, Reach::Kept, Heard::Whole).unwrap();
        let undone = |r: &&Resource| matches!(r.state, State::Skipped | State::Failed);
        said = report
            .resources
            .iter()
            .filter(undone)
            .take(3)
            .map(|r| {
                let [detail, hint] = [&r.detail, &r.hint].map(|t| t.as_deref().unwrap_or_default());
                format!("error: {}: {detail}\nhint: {hint}\n", r.resource)
            })
            .collect();
    }
    said
}

/// Most bytes of memory that this process had.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}
