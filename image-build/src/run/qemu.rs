//! QEMU's command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::config::{Bus, Firmware, MachineConfig, Nic};
use crate::simulate::{DNS, GATEWAY, GUEST, Look, MAC};
use crate::tools::{Command, Tools};

/// Files and sockets of one run.
pub(super) struct Paths {
    pub(super) disk: PathBuf,
    /// Whether the disk is thrown away.
    pub(super) temporary: bool,
    pub(super) cdroms: Vec<PathBuf>,
    pub(super) qmp: PathBuf,
    pub(super) machine: PathBuf,
    pub(super) outside: PathBuf,
    /// Code and variables of the firmware, for UEFI.
    pub(super) uefi: Option<(PathBuf, PathBuf)>,
}

/// Where QEMU's own data is, in the tools.
pub(super) fn data_paths(tools: &Tools, command: &mut Command) {
    for dir in ["usr/share/qemu", "usr/share/seabios"] {
        command.arg("-L").arg(tools.data(dir));
    }
    command.env(
        "QEMU_MODULE_DIR",
        tools.data("usr/lib/x86_64-linux-gnu/qemu"),
    );
}

/// A list of arguments under construction.
#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    /// An option whose value ends with a path; QEMU wants commas doubled.
    fn path(&mut self, option: &str, before: &str, path: &Path) {
        let mut value = OsString::from(before);
        value.push(path.to_string_lossy().replace(',', ",,"));
        self.0.extend([OsString::from(option), value]);
    }
}

/// Everything after the program's name and data directories.
pub(super) fn arguments(config: &MachineConfig, look: &Look, paths: &Paths) -> Vec<OsString> {
    let mut a = Arguments::default();
    // `graphics=off` sends the BIOS's output to the serial port.
    let machine = if config.disk == Bus::Ide { "pc" } else { "q35" };
    // The system must not reach the firmware's keys but through the firmware.
    let guard = if config.secure_boot { ",smm=on" } else { "" };
    a.add([
        "-name",
        "holdfast",
        "-machine",
        &format!("{machine},graphics=off{guard}"),
    ]);
    if config.secure_boot {
        a.add(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
    }
    a.add(config.accel.arguments());
    a.add([
        "-m",
        &config.memory.to_string(),
        "-smp",
        &config.cpus.to_string(),
    ]);
    a.add(["-nodefaults", "-no-user-config", "-display", "none"]);
    a.add(["-device", "virtio-rng-pci"]);
    a.add([
        "-chardev",
        "stdio,id=console,signal=off",
        "-serial",
        "chardev:console",
    ]);
    a.path("-chardev", "socket,id=qmp,path=", &paths.qmp);
    a.add(["-mon", "chardev=qmp,mode=control"]);
    if let Some((code, variables)) = &paths.uefi {
        a.path(
            "-drive",
            "if=pflash,format=raw,unit=0,readonly=on,file=",
            code,
        );
        a.path("-drive", "if=pflash,format=raw,unit=1,file=", variables);
    }
    disk(&mut a, config, paths);
    network(&mut a, config, paths);
    for structure in &look.smbios {
        a.add(["-smbios", structure]);
    }
    a.0.extend(config.extra.iter().map(OsString::from));
    a.0
}

fn disk(a: &mut Arguments, config: &MachineConfig, paths: &Paths) {
    // What is thrown away need not reach the host's disk.
    let cache = if paths.temporary {
        "unsafe"
    } else {
        "writeback"
    };
    a.path(
        "-drive",
        &format!("if=none,id=disk,format=qcow2,discard=unmap,cache={cache},file="),
        &paths.disk,
    );
    let controller = match config.disk {
        Bus::VirtioScsi => Some("virtio-scsi-pci"),
        Bus::MptSas => Some("mptsas1068"),
        Bus::Sym53c8xx => Some("lsi53c895a"),
        Bus::Megasas => Some("megasas"),
        Bus::Pvscsi => Some("pvscsi"),
        Bus::VirtioBlk | Bus::Nvme | Bus::Ahci | Bus::Ide => None,
    };
    if let Some(controller) = controller {
        a.add(["-device", &format!("{controller},id=scsi")]);
    }
    let device = match config.disk {
        Bus::VirtioBlk => "virtio-blk-pci",
        Bus::Nvme => "nvme,serial=holdfast",
        Bus::Ahci | Bus::Ide => "ide-hd,bus=ide.0",
        _ => "scsi-hd,bus=scsi.0",
    };
    // 0 stays free for a kernel given with `-kernel`.
    a.add(["-device", &format!("{device},drive=disk,bootindex=1")]);
    for (n, cdrom) in paths.cdroms.iter().enumerate() {
        a.path(
            "-drive",
            &format!("if=none,id=cd{n},format=raw,media=cdrom,readonly=on,file="),
            cdrom,
        );
        a.add(["-device", &format!("ide-cd,bus=ide.{},drive=cd{n}", n + 1)]);
    }
}

fn network(a: &mut Arguments, config: &MachineConfig, paths: &Paths) {
    // card <-> wire <-> hub <-> user network
    a.path(
        "-netdev",
        "stream,id=net0,server=off,addr.type=unix,addr.path=",
        &paths.machine,
    );
    a.path(
        "-netdev",
        "stream,id=up,server=off,addr.type=unix,addr.path=",
        &paths.outside,
    );
    let mut user =
        format!("user,id=user,net=10.0.2.0/24,host={GATEWAY},dns={DNS},dhcpstart={GUEST}");
    if !config.internet {
        user.push_str(",restrict=on");
    }
    for (host, machine) in std::iter::once(&(0, 22)).chain(&config.forwards) {
        user.push_str(&format!(",hostfwd=tcp:127.0.0.1:{host}-{GUEST}:{machine}"));
    }
    a.add(["-netdev", &user]);
    a.add([
        "-netdev",
        "hubport,id=hub-up,hubid=0,netdev=up",
        "-netdev",
        "hubport,id=hub-user,hubid=0,netdev=user",
    ]);
    let card = match config.nic {
        Nic::VirtioNet => "virtio-net-pci",
        Nic::E1000 => "e1000",
        Nic::E1000e => "e1000e",
        Nic::Vmxnet3 => "vmxnet3",
    };
    let mac = MAC.map(|b| format!("{b:02x}")).join(":");
    // Without its ROM the firmware does not try to boot from the network.
    a.add(["-device", &format!("{card},netdev=net0,mac={mac},romfile=")]);
}

/// Host ports by machine port, from QEMU's `info usernet`.
pub(super) fn forwarded(text: &str) -> Vec<(u16, u16)> {
    text.lines()
        .filter(|line| line.contains("HOST_FORWARD"))
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some((words.get(3)?.parse().ok()?, words.get(5)?.parse().ok()?))
        })
        .collect()
}

/// Code and the template of variables for UEFI, below the tools.
pub(super) fn uefi_files(config: &MachineConfig) -> Option<(&'static str, &'static str)> {
    let code = match (config.firmware, config.secure_boot) {
        (Firmware::Bios, _) => return None,
        (Firmware::Uefi, false) => "usr/share/OVMF/OVMF_CODE_4M.fd",
        (Firmware::Uefi, true) => "usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
    };
    // Variables without keys.
    Some((code, "usr/share/OVMF/OVMF_VARS_4M.fd"))
}

#[cfg(test)]
mod tests {
    use super::super::Accel;
    use super::*;

    fn line(config: &MachineConfig) -> String {
        let paths = Paths {
            disk: "/d,1".into(),
            temporary: true,
            cdroms: vec!["/cd".into()],
            qmp: "/q".into(),
            machine: "/m".into(),
            outside: "/o".into(),
            uefi: None,
        };
        let look = Look {
            smbios: vec!["type=1,product=X".to_owned()],
            ..Look::default()
        };
        arguments(config, &look, &paths)
            .iter()
            .map(|w| w.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn hardware_is_as_asked() {
        let mut config = MachineConfig::new("/i", Accel::Tcg);
        let text = line(&config);
        assert!(
            text.contains("-machine q35") && text.contains("virtio-blk-pci,drive=disk,bootindex=1"),
            "{text}"
        );
        assert!(
            text.contains("file=/d,,1") && text.contains("-smbios type=1,product=X"),
            "{text}"
        );
        assert!(
            text.contains("hostfwd=tcp:127.0.0.1:0-10.0.2.15:22"),
            "{text}"
        );
        config.disk = Bus::Ide;
        config.forwards = vec![(8080, 80)];
        config.internet = false;
        let text = line(&config);
        assert!(
            text.contains("-machine pc") && text.contains("ide-hd,bus=ide.0"),
            "{text}"
        );
        assert!(
            text.contains("127.0.0.1:8080-10.0.2.15:80") && text.contains("restrict=on"),
            "{text}"
        );
    }

    #[test]
    fn secure_boot_guards_the_keys() {
        let mut config = MachineConfig::new("/i", Accel::Tcg);
        assert!(!line(&config).contains("smm=on"));
        config.secure_boot = true;
        let text = line(&config);
        assert!(text.contains("-machine q35,graphics=off,smm=on"), "{text}");
        assert!(text.contains("property=secure,value=on"), "{text}");
        let (code, _) = uefi_files(&config).unwrap();
        assert!(code.ends_with(".secboot.fd"));
        config.check().unwrap();
        config.disk = Bus::Ide;
        assert!(config.check().is_err());
        (config.disk, config.firmware) = (Bus::Nvme, Firmware::Bios);
        assert!(config.check().is_err());
    }

    #[test]
    fn ports_are_read() {
        let text = "Hub 0 (user):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
                    TCP[HOST_FORWARD]  14       127.0.0.1 40123       10.0.2.15    22     0     0\r\n";
        assert_eq!(forwarded(text), [(40123, 22)]);
    }
}
