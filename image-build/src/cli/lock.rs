//! `image-build lock`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::build;
use crate::cli::{MirrorArgs, Session};
use crate::error::Result;

/// Arguments of `lock`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  image-build lock my-recipe.yaml\n  \
    image-build lock docker --out docker.lock")]
pub struct Args {
    /// Built-in recipe (docker, minimal, cluster) or path of a recipe file
    #[arg(default_value = "docker")]
    recipe: String,

    /// File to write [default: NAME.lock beside the recipe file, or in the current directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    mirrors: MirrorArgs,

    /// Print the lock on standard output instead of writing it
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

pub(super) fn main(args: &Args, session: &Session) -> Result<ExitCode> {
    let (recipe, path) = build::recipe(&args.recipe)?;
    let mirrors = args.mirrors.discover()?;
    let lock = build::resolve(&recipe, &mirrors, &session.cache, &session.progress)?;
    let bytes = lock.encode()?;
    if args.json {
        print!("{}", String::from_utf8_lossy(&bytes));
        return Ok(ExitCode::SUCCESS);
    }
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| build::lock_path(path.as_deref(), &recipe.name));
    build::output::write_file(&out, &bytes)?;
    session
        .progress
        .note(&format!("{} packages locked", lock.packages.len()));
    println!("{}", out.display());
    Ok(ExitCode::SUCCESS)
}
