//! Whether the processor can run the machine itself. `/dev/kvm` may exist and
//! not work (nested, filtered, broken), so a machine is really started.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use crate::cache::Cache;
use crate::error::{Context, Result};
use crate::tools::{Tool, Tools};

/// How long a machine may take to its boot sector under KVM (usually 0.3 s).
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
        let known = (!key.is_empty())
            .then(|| cache.get("kvm", key))
            .flatten()
            .and_then(|p| fs::read(p).ok());
        let works = match known.as_deref() {
            Some(b"works") => true,
            Some(b"broken") => false,
            _ => {
                let works = machine_starts(tools)?;
                if !key.is_empty() {
                    cache.put("kvm", key, |file| {
                        let text: &[u8] = if works { b"works" } else { b"broken" };
                        file.write_all(text)
                            .environment(|| "keeping the result for KVM".to_owned())
                    })?;
                }
                works
            }
        };
        Ok(if works {
            (Accel::Kvm, "")
        } else {
            (Accel::Tcg, "/dev/kvm is there but does not work")
        })
    }

    /// Arguments for QEMU.
    pub(super) fn arguments(self) -> [&'static str; 4] {
        match self {
            Accel::Kvm => ["-accel", "kvm", "-cpu", "host"],
            // No virtual machines inside an emulated one: its system would only load the drivers for them. And no fast
            // `rep movsb`, which the kernel copies and clears memory with where there is one: emulated, it goes byte by byte.
            Accel::Tcg => [
                "-accel",
                "tcg,thread=multi,tb-size=512",
                "-cpu",
                "max,svm=off,erms=off,fsrm=off",
            ],
        }
    }
}

/// A boot sector that writes [`MARK`] to the debug port and stops:
/// `mov dx, 0x402; mov al, 7; out dx, al; hlt; jmp $-1`.
const BOOT_SECTOR: [u8; 9] = [0xba, 0x02, 0x04, 0xb0, MARK, 0xee, 0xf4, 0xeb, 0xfd];
/// The firmware writes text only.
const MARK: u8 = 7;

/// Starts a machine under KVM and waits until the firmware has run a boot sector.
/// Broken KVMs were seen that get through the firmware's first lines.
fn machine_starts(tools: &Tools) -> Result<bool> {
    let mut disk = vec![0; 1 << 20];
    disk[..BOOT_SECTOR.len()].copy_from_slice(&BOOT_SECTOR);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let mut file =
        tempfile::NamedTempFile::new().environment(|| "making a temporary file".to_owned())?;
    file.write_all(&disk)
        .environment(|| "writing a temporary file".to_owned())?;

    let mut command = tools.command_for_life(Tool::Qemu)?;
    super::qemu::data_paths(tools, &mut command);
    command.args(Accel::Kvm.arguments());
    command.args([
        "-machine",
        "q35",
        "-m",
        "64",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
    ]);
    command.args([
        "-chardev",
        "stdio,id=debug,signal=off",
        "-device",
        "isa-debugcon,iobase=0x402,chardev=debug",
    ]);
    let mut drive = std::ffi::OsString::from("if=none,id=disk,format=raw,readonly=on,file=");
    drive.push(file.path());
    command
        .arg("-drive")
        .arg(drive)
        .args(["-device", "virtio-blk-pci,drive=disk"]);
    command.stdio(Stdio::null(), Stdio::piped(), Stdio::null());
    let mut child = command.spawn()?;
    let (send, receive) = mpsc::channel();
    if let Some(out) = child.stdout.take() {
        std::thread::spawn(move || {
            let marked = BufReader::new(out)
                .bytes()
                .map_while(std::io::Result::ok)
                .any(|b| b == MARK);
            let _ = send.send(marked);
        });
    }
    let works = receive.recv_timeout(PROBE).unwrap_or(false);
    let _ = child.kill();
    let _ = child.wait();
    Ok(works)
}
