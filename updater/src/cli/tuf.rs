//! `updater tuf`: the bare client of release metadata, driven as the public
//! conformance suite of The Update Framework drives clients. Every failure is exit
//! status 1, as that suite wants it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Exit, Failure};
use crate::fetch;
use crate::tuf::{Client, Clock, Error, Fresh, Layout, Time, store};

/// Largest target that is downloaded: it passes through memory.
const MAX_TARGET: u64 = 64 << 20;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  updater tuf --metadata-dir trusted init 1.root.json\n  \
    updater tuf --metadata-dir trusted --metadata-url https://example.org/metadata refresh\n  \
    updater tuf --metadata-dir trusted --metadata-url https://example.org/metadata \\\n    \
    --target-base-url https://example.org/targets --target-name docker/amd64/stable.json \\\n    \
    --target-dir out download"
)]
pub(super) struct Args {
    /// Folder of trusted metadata
    #[arg(long, value_name = "DIR")]
    metadata_dir: PathBuf,

    /// Where the repository's metadata is
    #[arg(long, value_name = "URL")]
    metadata_url: Option<String>,

    /// Folder for downloaded targets
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,

    /// Where the repository's targets are
    #[arg(long, value_name = "URL")]
    target_base_url: Option<String>,

    /// Path of the target in the repository
    #[arg(long, value_name = "NAME")]
    target_name: Option<String>,

    /// Take this for the time instead of the clock's: 2026-11-22T14:12:00Z
    #[arg(long, value_name = "TIME")]
    time: Option<Time>,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Trust a root that was obtained in a safe way
    Init {
        /// The root's document
        #[arg(value_name = "ROOT.json")]
        root: PathBuf,
    },
    /// Bring the metadata up to date
    Refresh,
    /// Bring the metadata up to date, then download a target
    Download,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    match &args.verb {
        Verb::Init { root } => {
            let bytes = fs::read(root)
                .map_err(|e| Failure::new(Exit::Input, format!("{}: {e}", root.display())))?;
            Client::init(&args.metadata_dir, &bytes).map_err(failed)?;
        }
        Verb::Refresh => {
            refresh(args)?;
        }
        Verb::Download => download(args)?,
    }
    Ok(0)
}

fn refresh(args: &Args) -> Result<Fresh<'static>, Failure> {
    let clock = Clock {
        system: args.time.unwrap_or_else(Time::now),
        built: Time(0),
    };
    let client = Client::open(&args.metadata_dir, None, clock).map_err(failed)?;
    let mut source = open(needed(args.metadata_url.as_ref(), "--metadata-url")?)?;
    client.refresh(&mut *source, Layout::bare()).map_err(failed)
}

fn download(args: &Args) -> Result<(), Failure> {
    let name = needed(args.target_name.as_ref(), "--target-name")?;
    let folder = needed(args.target_dir.as_ref(), "--target-dir")?;
    let base = needed(args.target_base_url.as_ref(), "--target-base-url")?;
    let fresh = refresh(args)?;
    let target = fresh
        .target(name)
        .ok_or_else(|| failed(Error::NoTarget(name.clone())))?;
    let file = file_name(name);
    if has(&folder.join(&file), target.length, |bytes| {
        target.matches(bytes)
    }) {
        return Ok(());
    }
    let mut source = open(base)?;
    let bytes = fresh
        .bytes(&mut *source, name, MAX_TARGET)
        .map_err(failed)?;
    fs::create_dir_all(folder)
        .and_then(|()| store::write(folder, &file, &bytes, 0o644))
        .map_err(|e| Failure::new(Exit::Input, format!("{}: {e}", folder.display())))
}

/// True if the file is there already, as it should be.
fn has(path: &Path, length: u64, right: impl Fn(&[u8]) -> bool) -> bool {
    let long = fs::symlink_metadata(path).is_ok_and(|m| m.is_file() && m.len() == length);
    long && length <= MAX_TARGET && fs::read(path).is_ok_and(|bytes| right(&bytes))
}

/// A target's path as one plain file name; different paths have different names.
fn file_name(target: &str) -> String {
    use std::fmt::Write;
    target.bytes().fold(String::new(), |mut name, byte| {
        let plain = byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if plain || (byte == b'.' && !name.is_empty()) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
        name
    })
}

fn open(url: &str) -> Result<Box<dyn fetch::Source + Send>, Failure> {
    fetch::open(&[url], &fetch::Options::default()).map_err(|e| failed(e.into()))
}

fn needed<'a, T>(given: Option<&'a T>, option: &str) -> Result<&'a T, Failure> {
    given.ok_or_else(|| Failure::new(Exit::Input, format!("{option} is missing")))
}

fn failed(error: Error) -> Failure {
    let failure = Failure::because(Exit::Input, &error);
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_targets_become_plain_file_names() {
        for (target, file) in [
            ("a.txt", "a.txt"),
            ("path/to/a.txt", "path%2Fto%2Fa.txt"),
            ("../a", "%2E.%2Fa"),
            (".new-x", "%2Enew-x"),
            ("a%2Fb", "a%252Fb"),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(file_name(target), file);
        }
    }
}
