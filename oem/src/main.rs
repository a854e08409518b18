//! `oem`: the cloud-config agent.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = oem::cli::Cli::parse();
    match oem::cli::run(cli) {
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
