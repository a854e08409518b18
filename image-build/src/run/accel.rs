//! Whether the processor can run the machine itself. `/dev/kvm` may exist and
//! not work (nested, filtered, broken), so a machine is really started.

use std::fs::{self, File};
use std::io::Read;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use crate::cache::Cache;
use crate::error::{Context, Result};
use crate::tools::{Tool, Tools};

/// How long the firmware may take to print its first line under KVM.
const PROBE: Duration = Duration::from_secs(3);

/// How instructions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// By the processor.
    Kvm,
    /// Emulated.
    Tcg,
}

impl Accel {
    /// Finds out, and says why when it is [`Accel::Tcg`]. The result is kept in
    /// the cache until the host boots again.
    pub fn probe(tools: &Tools, cache: &Cache) -> Result<(Accel, &'static str)> {
        if let Err(e) = File::options().read(true).write(true).open("/dev/kvm") {
            let why = match e.kind() {
                std::io::ErrorKind::NotFound => "there is no /dev/kvm",
                std::io::ErrorKind::PermissionDenied => "no permission to use /dev/kvm",
                _ => "/dev/kvm cannot be opened",
            };
            return Ok((Accel::Tcg, why));
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let key = boot.trim();
        let known = (!key.is_empty()).then(|| cache.get("kvm", key)).flatten().and_then(|p| fs::read(p).ok());
        let works = match known.as_deref() {
            Some(b"works") => true,
            Some(b"broken") => false,
            _ => {
                let works = firmware_starts(tools)?;
                if !key.is_empty() {
                    cache.put("kvm", key, |file| {
                        let text: &[u8] = if works { b"works" } else { b"broken" };
                        std::io::Write::write_all(file, text).environment(|| "keeping the result for KVM".to_owned())
                    })?;
                }
                works
            }
        };
        Ok(if works { (Accel::Kvm, "") } else { (Accel::Tcg, "/dev/kvm is there but does not work") })
    }

    /// Arguments for QEMU.
    pub(super) fn arguments(self) -> [&'static str; 4] {
        match self {
            Accel::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accel::Tcg => ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"],
        }
    }
}

/// Starts SeaBIOS under KVM and waits for its first words on the debug port.
fn firmware_starts(tools: &Tools) -> Result<bool> {
    let mut command = tools.command_for_life(Tool::Qemu)?;
    super::qemu::data_paths(tools, &mut command);
    command.args(["-accel", "kvm", "-machine", "q35", "-m", "64", "-nodefaults", "-no-user-config", "-display", "none"]);
    command.args(["-chardev", "stdio,id=debug,signal=off", "-device", "isa-debugcon,iobase=0x402,chardev=debug"]);
    command.stdio(Stdio::null(), Stdio::piped(), Stdio::null());
    let mut child = command.spawn()?;
    let (send, receive) = mpsc::channel();
    if let Some(mut out) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut byte = [0];
            let _ = send.send(matches!(out.read(&mut byte), Ok(1)));
        });
    }
    let works = receive.recv_timeout(PROBE).unwrap_or(false);
    let _ = child.kill();
    let _ = child.wait();
    Ok(works)
}
