//! `/init` of the initramfs, `docker-init` of containers, `modprobe` for the kernel while the initramfs runs.
//!
//! Which one is decided by who runs it: the kernel starts the first process of an initramfs as `/init`, and asks for
//! modules as `/init -q -- ALIAS`. Everything else is container mode.

use std::path::Path;
use std::process::ExitCode;

use init::{boot, container, modules};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let by_kernel =
        arguments.first().is_some_and(|name| name == "/init") && Path::new(modules::INDEX).exists();
    if by_kernel && std::process::id() == 1 {
        boot::run();
    }
    if by_kernel
        && let [_, quiet, end, alias] = arguments.as_slice()
        && quiet == "-q"
        && end == "--"
    {
        return match boot::modprobe(alias) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    container::main()
}
