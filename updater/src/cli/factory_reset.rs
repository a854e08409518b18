//! `updater factory-reset`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use init::cmdline::RootHash;
use serde::Serialize;

use super::output::{print, print_json};
use super::place;
use super::{Exit, Failure};
use crate::boot::NoMachine;
use crate::reset::{self, Error, Pending};
use crate::slots::Disk;
use crate::status::Booted;
use crate::update::Lock;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  updater factory-reset && systemctl reboot\n  \
    updater factory-reset --yes --keep /etc/machine-id --keep /var/lib/docker/volumes\n  \
    updater factory-reset --cancel\n\n\
    The release that runs stays. What is kept stays where it is; without --keep the partition is\n\
    formatted. A power cut leaves the old state, or a reset that goes on at the next boot."
)]
pub(super) struct Args {
    /// File or folder to keep; may be given more than once
    #[arg(long, value_name = "PATH")]
    keep: Vec<PathBuf>,

    /// Do not ask
    #[arg(long, conflicts_with = "cancel")]
    yes: bool,

    /// Take it back; possible until the machine is booted
    #[arg(long, conflicts_with = "keep")]
    cancel: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    next_boot: Pending,
    /// Below the root partition.
    kept: &'a [String],
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let root = Path::new("/");
    let _lock = Lock::take(&root.join(crate::STATE)).map_err(place::failure)?;
    let mut disk = disk(root).map_err(|e| {
        let failure = Failure::because(Exit::Environment, &e);
        failure.with_hint(e.hint())
    })?;
    if args.cancel {
        reset::cancel(root, &mut disk).map_err(failure)?;
        if args.json {
            print_json(&Answer {
                next_boot: Pending::Nothing,
                kept: &[],
            })?;
        } else {
            print("there will be no reset\n")?;
        }
        return Ok(0);
    }
    let kept = reset::kept(root, &args.keep).map_err(failure)?;
    if !args.yes {
        ask(&kept)?;
    }
    let next_boot = reset::request(root, &mut disk, &kept).map_err(failure)?;
    if args.json {
        print_json(&Answer {
            next_boot,
            kept: &kept,
        })?;
        return Ok(0);
    }
    let how = match next_boot {
        Pending::Prune => "removes everything on the root partition that is not kept",
        _ => "formats the root partition",
    };
    print(&format!(
        "the next boot {how}; until then `updater factory-reset --cancel` takes it back\n"
    ))?;
    Ok(0)
}

fn disk(root: &Path) -> Result<Disk, NoMachine> {
    let booted = Booted::read(root)?.usr_hash;
    let hash = booted.as_deref().and_then(RootHash::parse);
    Ok(Disk::of_machine(root, hash.ok_or(NoMachine::NotVerified)?)?)
}

/// Goes on when the machine's name is typed.
fn ask(kept: &[String]) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(
            Failure::new(Exit::Input, "a factory reset must be confirmed").with_hint("add --yes"),
        );
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    eprintln!(
        "At the next boot everything on the root partition is lost: accounts, keys, containers, volumes."
    );
    for path in kept {
        eprintln!("kept: /{path}");
    }
    eprint!("Type the name of this machine, {name}, to go on: ");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if read.is_ok() && !name.is_empty() && line.trim() == name {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Input,
        "not confirmed; nothing was changed",
    ))
}

fn failure(error: Error) -> Failure {
    let exit = match error {
        Error::Path(..) | Error::List(_) => Exit::Input,
        Error::ByName | Error::Name(_) => Exit::Refused,
        Error::Io(..) | Error::Slots(_) => Exit::Environment,
    };
    Failure::because(exit, &error).with_hint(error.hint())
}
