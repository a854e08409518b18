//! `oem fetch`.

use super::stage;
use super::{print, print_json};
use crate::agent::{Attempt, Stage};
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::plan::hex;
use crate::root::Root;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  oem fetch\n  oem fetch --json > meta.json && oem plan --metadata meta.json\n  oem fetch --show-user-data\n\nUser-data may hold secrets: only its size and hash are printed unless asked for."
)]
pub(super) struct Args {
    /// Which sources to ask
    #[arg(long, alias = "phase", value_enum, default_value = "network")]
    stage: Stage,
    /// Print the user-data as received, and nothing else
    #[arg(long, conflicts_with = "json")]
    show_user_data: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Directory that stands for /
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

#[derive(Serialize)]
struct Blob {
    bytes: usize,
    sha256: String,
}

#[derive(Serialize)]
struct Output<'a> {
    provider: &'a str,
    source: &'a str,
    metadata: &'a Metadata,
    user_data: Option<Blob>,
    vendor_data: Option<Blob>,
    network_config: Option<Blob>,
    attempts: &'a [Attempt],
    warnings: &'a [String],
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let outcome = stage::read(args.stage, &Root::open(&args.root)?)?;
    let Some(data) = &outcome.data else {
        let tried: Vec<String> = outcome
            .attempts
            .iter()
            .map(|a| format!("{}: {}", a.source, a.result))
            .collect();
        let tried = if tried.is_empty() {
            "nothing to ask".to_owned()
        } else {
            tried.join("; ")
        };
        return Err(Error::environment(format!("no source has data ({tried})"))
            .hint("`oem detect --explain` tells which providers are considered and why"));
    };
    let f = &data.fetched;
    if args.show_user_data {
        use std::io::Write as _;
        let bytes = f.user_data.as_deref().unwrap_or_default();
        return match std::io::stdout().lock().write_all(bytes) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::environment("cannot write to standard output").because(e))
            }
            _ => Ok(0),
        };
    }
    let blob = |b: &Option<Vec<u8>>| {
        b.as_ref().map(|b| Blob {
            bytes: b.len(),
            sha256: hex(&Sha256::digest(b)),
        })
    };
    let output = Output {
        provider: &f.provider,
        source: &f.source,
        metadata: &f.metadata,
        user_data: blob(&f.user_data),
        vendor_data: blob(&f.vendor_data),
        network_config: blob(&f.network),
        attempts: &outcome.attempts,
        warnings: &outcome.warnings,
    };
    if args.json {
        print_json(&output)?;
    } else {
        print(&text(&output))?;
    }
    Ok(0)
}

fn text(o: &Output<'_>) -> String {
    let m = o.metadata;
    let mut out = format!("provider: {}\nsource: {}\n", o.provider, o.source);
    let mut line = |name: &str, value: Option<String>| {
        if let Some(v) = value {
            let _ = writeln!(out, "{name}: {v}");
        }
    };
    line("instance-id", m.instance_id.clone());
    line("hostname", m.hostname.clone());
    line("public-ipv4", m.public_ipv4.map(|a| a.to_string()));
    line("private-ipv4", m.private_ipv4.map(|a| a.to_string()));
    line("public-ipv6", m.public_ipv6.map(|a| a.to_string()));
    line("private-ipv6", m.private_ipv6.map(|a| a.to_string()));
    line("ssh keys", Some(m.ssh_keys.len().to_string()));
    line(
        "user-data",
        o.user_data
            .as_ref()
            .map(|b| format!("{} bytes, sha256 {}", b.bytes, b.sha256)),
    );
    line(
        "vendor-data",
        o.vendor_data
            .as_ref()
            .map(|b| format!("{} bytes, sha256 {}", b.bytes, b.sha256)),
    );
    line(
        "network-config",
        o.network_config
            .as_ref()
            .map(|b| format!("{} bytes, sha256 {}", b.bytes, b.sha256)),
    );
    for (name, value) in &m.attributes {
        line(name, Some(value.clone()));
    }
    for w in o.warnings {
        line("warning", Some(w.clone()));
    }
    out
}
