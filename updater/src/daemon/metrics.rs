//! Prometheus text on a unix socket: plain to whoever just connects and reads, as an
//! HTTP response to whoever sends a request.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::counters::KINDS;
use super::{Handle, Snapshot};
use crate::state::Phase;
use crate::tuf::Seen;

/// Who has a request sends it within this time.
const REQUEST: Duration = Duration::from_millis(200);
/// Who reads does so within this time. Readers are served one after the other.
const READ: Duration = Duration::from_secs(2);

pub(super) async fn serve(path: PathBuf, handle: Handle) {
    let listener = match listen(&path) {
        Ok(listener) => listener,
        Err(e) => {
            tracing::error!(path = %path.display(), "metrics cannot be offered: {e}");
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let text = render(&handle.snapshot());
                let _ = timeout(READ, answer(stream, &text)).await;
            }
            // Out of descriptors, most likely.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

fn listen(path: &PathBuf) -> std::io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Of a process before this one.
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Nothing in it is secret, and exporters do not run as root.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

async fn answer(mut stream: UnixStream, text: &str) -> std::io::Result<()> {
    let mut request = [0; 1024];
    let read = timeout(REQUEST, stream.read(&mut request)).await;
    if let Ok(Ok(1..)) = read {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            text.len()
        );
        stream.write_all(head.as_bytes()).await?;
    }
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

/// The text.
pub(crate) fn render(snapshot: &Snapshot) -> String {
    let (state, counters) = (&snapshot.state, &snapshot.counters);
    let mut out = String::new();
    let mut metric = |kind: &str, name: &str, help: &str, values: &[(String, String)]| {
        let name = format!("holdfast_updater_{name}");
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let one = |value: u64| vec![(String::new(), value.to_string())];
    let info = format!(
        "{{version=\"{}\",channel=\"{}\",group=\"{}\",strategy=\"{}\"}}",
        escape(&state.booted.version),
        escape(&snapshot.channel),
        escape(&snapshot.group),
        snapshot.strategy.name()
    );
    metric(
        "gauge",
        "info",
        "What runs and what it follows.",
        &[(info, "1".into())],
    );
    let phases: Vec<_> = Phase::NAMES
        .iter()
        .map(|name| {
            let now = u8::from(*name == state.phase.name());
            (format!("{{phase=\"{name}\"}}"), now.to_string())
        })
        .collect();
    metric("gauge", "phase", "What is going on.", &phases);
    let checked = state.checked.unwrap_or(0).to_string();
    metric(
        "gauge",
        "last_checked_timestamp_seconds",
        "When a repository last answered with trusted metadata; 0: never.",
        &[(String::new(), checked)],
    );
    if let Some(seen) = &state.seen {
        let digest = format!("{{sha256=\"{}\"}}", escape(&seen.snapshot_sha256));
        metric(
            "gauge",
            "snapshot_version",
            "Version of the snapshot that the last answer had, and its digest: the same on all machines.",
            &[(digest, seen.snapshot.to_string())],
        );
        metric(
            "gauge",
            "metadata_expires_timestamp_seconds",
            "When the metadata of the last answer expires.",
            &[(String::new(), seen.expires.0.to_string())],
        );
        let there = seen.suspicions();
        let each = |kind: &&str| {
            let is = there.iter().any(|(word, _)| word == kind);
            (format!("{{kind=\"{kind}\"}}"), u8::from(is).to_string())
        };
        let all: Vec<_> = Seen::SUSPICIONS.iter().map(each).collect();
        metric(
            "gauge",
            "suspicious",
            "What the repository, or the clock, should not do.",
            &all,
        );
    }
    let waiting = state.waiting.to_string();
    metric(
        "gauge",
        "waiting_since_timestamp_seconds",
        "Since when trusted metadata is waited for: the last answer, or the first start.",
        &[(String::new(), waiting)],
    );
    let gauges = [
        (
            "trial",
            "The booted release is on trial.",
            u64::from(state.trial),
        ),
        (
            "unhealthy",
            "The booted release is unhealthy.",
            u64::from(state.ailment.is_some()),
        ),
        (
            "staged",
            "A release waits for a reboot.",
            u64::from(state.staged.is_some()),
        ),
        (
            "held",
            "Updates are held.",
            u64::from(state.memory.hold.is_some()),
        ),
        (
            "refused",
            "Releases rolled back from.",
            state.memory.refused.len() as u64,
        ),
        (
            "stale",
            "No repository answered for longer than the configuration allows.",
            u64::from(state.stale),
        ),
        (
            "problems",
            "Problems of the configuration.",
            snapshot.problems.len() as u64,
        ),
        (
            "failures_in_a_row",
            "Failed attempts since one went well.",
            state.failures.into(),
        ),
    ];
    for (name, help, value) in gauges {
        metric("gauge", name, help, &one(value));
    }
    if let Phase::Downloading { done, total, .. } = state.phase {
        metric("gauge", "download_bytes", "Bytes fetched.", &one(done));
        metric(
            "gauge",
            "download_total_bytes",
            "Bytes to fetch.",
            &one(total),
        );
    }
    let by_kind = |values: &[u64; 3]| -> Vec<(String, String)> {
        let kinds = KINDS.iter().zip(values);
        kinds
            .map(|(kind, value)| (format!("{{kind=\"{}\"}}", kind.name()), value.to_string()))
            .collect()
    };
    metric(
        "counter",
        "checks_total",
        "Looks for a release.",
        &one(counters.checks),
    );
    let failures = by_kind(&counters.check_failures);
    metric(
        "counter",
        "check_failures_total",
        "Looks that failed.",
        &failures,
    );
    metric(
        "counter",
        "installs_total",
        "Installations begun.",
        &one(counters.installs),
    );
    let failures = by_kind(&counters.install_failures);
    metric(
        "counter",
        "install_failures_total",
        "Installations that failed.",
        &failures,
    );
    metric(
        "counter",
        "locks_total",
        "Reboot locks asked for.",
        &one(counters.locks),
    );
    metric(
        "counter",
        "lock_refusals_total",
        "Reboot locks refused.",
        &one(counters.lock_refusals),
    );
    metric(
        "counter",
        "denials_total",
        "Requests denied.",
        &one(counters.denials),
    );
    out
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
