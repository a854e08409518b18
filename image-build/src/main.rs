//! `image-build`: builds, inspects and runs Holdfast images.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use image_build::cli;

fn main() -> ExitCode {
    cli::main(&cli::Args::parse())
}
