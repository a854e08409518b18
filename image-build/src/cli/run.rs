//! `image-build run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::archive::Archive;
use crate::cli::{MirrorArgs, Session};
use crate::error::{Error, Result};
use crate::run::cli;
use crate::tools::{Closure, Tools};

/// Arguments of `run`, and where QEMU comes from.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Examples:\n  image-build run\n  \
    image-build run out/docker.qcow2 --provider ec2 --user-data web.yaml --port 8080:80\n  \
    image-build run out/docker.qcow2 --firmware bios --until 'login:' --timeout 300")]
pub struct Args {
    #[command(flatten)]
    run: cli::Args,

    #[command(flatten)]
    mirrors: MirrorArgs,
}

/// What `build` makes without arguments.
const DEFAULT: &str = "out/docker.qcow2";

pub(super) fn main(args: &Args, session: &Session) -> Result<ExitCode> {
    if args.run.provider == "list" {
        cli::list_providers();
        return Ok(ExitCode::SUCCESS);
    }
    let image = args
        .run
        .image
        .clone()
        .unwrap_or_else(|| PathBuf::from(DEFAULT));
    if !Path::new(&image).is_file() {
        return Err(
            Error::input(format!("there is no image {}", image.display()))
                .hint("make one with `image-build build`, or name another"),
        );
    }
    let mirrors = args.mirrors.discover()?;
    let archive = || {
        Archive::open(
            &session.cache,
            &mirrors,
            "trixie",
            "amd64",
            &session.progress,
        )
    };
    let tools = Tools::last_or(
        &session.cache,
        &mirrors,
        archive,
        Closure::Run,
        &session.progress,
    )?;
    cli::main(&args.run, &image, &tools, &session.cache, &session.progress)
}
