//! The command line. Each verb is one file; errors are printed in one place.

mod build;
mod inspect;
mod keys;
mod lock;
mod publish;
mod run;
mod secure_boot;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::archive::mirror::Mirrors;
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::progress::Progress;

/// Build minimal, immutable container-host images from Debian packages, and boot
/// them on a simulated cloud. Needs no root and no tools on the host.
#[derive(Debug, Parser)]
#[command(
    name = "image-build",
    version,
    after_help = "Examples:\n  image-build build\n  image-build build my-recipe.yaml --out out --format qcow2,raw\n  \
                  image-build run out/docker.qcow2 --provider ec2 --user-data user-data.yaml\n  \
                  image-build inspect out/docker.qcow2 --verify\n\n\
                  Exit status: 0 done, 1 the input is wrong, 2 usage, 3 the environment failed, 4 refused."
)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,

    /// Cache directory [default: $HOLDFAST_CACHE, else holdfast in $XDG_CACHE_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,

    /// No progress output
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build an image from a recipe
    Build(build::Args),
    /// Resolve a recipe's packages and write the lock
    Lock(lock::Args),
    /// Read an image back and print what is in it
    Inspect(inspect::Args),
    /// Boot an image in QEMU, on a simulated provider
    Run(run::Args),
    /// Publish a build as a release that machines update to
    Publish(publish::Args),
    /// Make, rotate and show the keys of an update repository
    Keys(keys::Args),
}

/// Archive options shared by the verbs that resolve packages.
#[derive(Debug, clap::Args)]
pub struct MirrorArgs {
    /// Debian mirror: a URL, or the path of a local copy [default: $HOLDFAST_MIRROR, else this host's apt configuration]
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,

    /// Mirror of the security suite, where it is not the `debian-security` beside --mirror
    #[arg(long, value_name = "URL")]
    pub security_mirror: Option<String>,

    /// OpenPGP keys to believe beside Debian's, for a mirror that signs its own lists [default: $HOLDFAST_KEYRING]
    #[arg(long, value_name = "FILE")]
    pub keyring: Option<PathBuf>,
}

impl MirrorArgs {
    fn discover(&self) -> Result<Mirrors> {
        Mirrors::discover(
            self.mirror.as_deref(),
            self.security_mirror.as_deref(),
            self.keyring.as_deref(),
        )
    }
}

/// What every verb needs.
pub struct Session {
    /// The cache.
    pub cache: Cache,
    /// Where progress goes.
    pub progress: Progress,
}

/// Runs the command line and prints its error, if any.
pub fn main(args: &Args) -> ExitCode {
    match dispatch(args) {
        Ok(code) => code,
        Err(e) => {
            report(&e);
            ExitCode::from(e.kind().exit_code())
        }
    }
}

fn dispatch(args: &Args) -> Result<ExitCode> {
    let progress = if args.quiet {
        Progress::quiet()
    } else {
        Progress::auto()
    };
    let session = Session {
        cache: Cache::open(args.cache.as_deref())?,
        progress,
    };
    match &args.verb {
        Verb::Build(args) => build::main(args, &session),
        Verb::Lock(args) => lock::main(args, &session),
        Verb::Inspect(args) => inspect::main(args),
        Verb::Run(args) => run::main(args, &session),
        Verb::Publish(args) => publish::main(args, &session),
        Verb::Keys(args) => keys::main(args),
    }
}

/// `error: what: why`, then the remedy on its own line.
fn report(e: &Error) {
    eprintln!("error: {}", e.chain());
    if let Some(hint) = e.hint_text() {
        eprintln!("hint: {hint}");
    }
}
