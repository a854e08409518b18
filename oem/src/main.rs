//! `oem`: the cloud-config agent; and `cloud-init-per`, by the name it is called by.

use clap::Parser as _;
use oem::cli::per;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let done = match Path::new(&name).file_name() {
        Some(name) if name == per::NAME => per::run(args),
        _ => oem::cli::run(oem::cli::Cli::parse()),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("oem: {}", e.chain());
            if let Some(hint) = e.hint_text() {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(e.kind().exit_code())
        }
    }
}
