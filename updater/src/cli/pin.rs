//! `updater pin`, `updater unpin`: one file of the configuration.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use super::output::print;
use super::{Exit, Failure};
use crate::config;
use crate::state::replace_with_mode;
use crate::status::Booted;
use crate::version::Version;

/// The file: after those that people write.
const FILE: &str = "etc/holdfast/update.d/90-pin.yaml";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  updater pin\n  updater pin 20261101.0900 && updater update\n\n\
    The pin is `pin:` of the configuration, in /etc/holdfast/update.d/90-pin.yaml. An older release\n\
    than the running one takes `updater update --allow-downgrade`, too."
)]
pub(super) struct Args {
    /// Version of the release [default: the running one]
    version: Option<Version>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  updater unpin")]
pub(super) struct NoArgs {}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let root = Path::new("/");
    let running = Booted::read(root)
        .map_err(|e| Failure::new(Exit::Environment, format!("reading what is booted: {e}")))?
        .version;
    let version = match (&args.version, &running) {
        (Some(version), _) => version.to_string(),
        (None, Some(running)) => running.clone(),
        (None, None) => {
            return Err(Failure::new(Exit::Input, "what runs has no version")
                .with_hint("name one: `updater pin VERSION`"));
        }
    };
    let text = format!("# By `updater pin`; `updater unpin` removes it.\npin: \"{version}\"\n");
    let path = root.join(FILE);
    replace_with_mode(&path, text.as_bytes(), 0o644).map_err(|e| failed("writing", &path, &e))?;
    settled(root, Some(&version))?;
    let stays = running.as_deref() == Some(&*version);
    print(&if stays {
        format!("pinned: this machine stays at {version}\n")
    } else {
        format!("pinned: the only release this machine takes is {version}\n")
    })?;
    Ok(0)
}

pub(super) fn undo(_: &NoArgs) -> Result<u8, Failure> {
    let root = Path::new("/");
    let path = root.join(FILE);
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(failed("removing", &path, &e)),
    }
    settled(root, None)?;
    print("not pinned: this machine follows its channel\n")?;
    Ok(0)
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let text = format!("{what} {}: {error}", path.display());
    Failure::new(Exit::Environment, text).with_hint("run this as root")
}

/// Makes sure that the configuration says what was asked for, and tells the service.
fn settled(root: &Path, version: Option<&str>) -> Result<(), Failure> {
    let told = Command::new("/usr/bin/systemctl")
        .args(["try-reload-or-restart", "updater.service"])
        .output();
    if let Ok(output) = told
        && !output.status.success()
    {
        let said = String::from_utf8_lossy(&output.stderr);
        eprintln!("warning: the service was not told: {}", said.trim());
    }
    let pin = config::load(root).config.pin;
    if pin.as_deref() == version {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Refused,
        match pin {
            Some(pin) => format!("another file of the configuration pins this machine to {pin}"),
            None => "another file of the configuration says `pin: none`".to_owned(),
        },
    )
    .with_hint("look for `pin:` in /etc/holdfast/update.d and /run/holdfast/update.d"))
}
