//! Boots an image and reads what it says about itself. Both images run in the
//! same machine: QEMU of our tools, UEFI, emulated processor, NoCloud.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use image_build::run::{Accel, Machine, MachineConfig};
use image_build::simulate::{Provider, Scenario};
use image_build::tools::Tools;
use serde_json::json;

const PROBE: &str = include_str!("../../bench/guest/probe.sh");
const PROBE_UNIT: &str = include_str!("../../bench/guest/probe.service");
const USER_UNIT: &str = include_str!("../../bench/guest/bench.service");

/// A key nobody has; checking that it was installed is not this program's task.
const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB bench";

/// What every line of the probe starts with.
const MARK: &str = "holdfast-bench ";

const HOSTNAME: &str = "bench";

/// Size of the disk in bytes.
const DISK: u64 = 10 << 30;

/// Longest time for one boot.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Who reads the user-data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `oem`: units as CoreOS's cloud-config has them.
    CoreOs,
    /// cloud-init: units as files, started by commands.
    CloudInit,
}

/// One boot. Times are seconds since the kernel's start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Boot {
    /// PID 1 of the initrd began.
    pub init: f64,
    /// The initrd had done its work, next is the real system's systemd.
    pub handed_over: f64,
    /// systemd of the real system began: loaded, and its first instructions run.
    pub systemd: f64,
    /// `docker.service` was active.
    pub docker: f64,
    /// The user's unit was active.
    pub unit: f64,
    /// From the start of QEMU until the probe spoke, by the host's clock.
    pub power_on: f64,
    /// Memory in use when idle: `MemTotal` less `MemAvailable`, in bytes.
    pub memory: f64,
}

/// The same wishes in each dialect: a host name, a key, one file, docker and two units.
pub fn user_data(dialect: Dialect) -> String {
    let probe = json!({ "path": "/etc/bench-probe", "permissions": "0755", "content": PROBE });
    let data = match dialect {
        Dialect::CoreOs => json!({
            "hostname": HOSTNAME,
            "ssh_authorized_keys": [SSH_KEY],
            "write_files": [probe],
            "coreos": { "units": [
                { "name": "docker.service", "command": "start" },
                { "name": "bench.service", "command": "start", "content": USER_UNIT },
                { "name": "probe.service", "command": "start", "content": PROBE_UNIT },
            ]},
        }),
        Dialect::CloudInit => json!({
            "hostname": HOSTNAME,
            "ssh_authorized_keys": [SSH_KEY],
            // The one key that Holdfast makes, too; an RSA key takes long.
            "ssh_genkeytypes": ["ed25519"],
            "write_files": [
                probe,
                { "path": "/etc/systemd/system/bench.service", "content": USER_UNIT },
                { "path": "/etc/systemd/system/probe.service", "content": PROBE_UNIT },
            ],
            "runcmd": [
                ["systemctl", "daemon-reload"],
                ["systemctl", "start", "--no-block", "docker.service", "bench.service", "probe.service"],
            ],
        }),
    };
    // JSON is YAML.
    format!("#cloud-config\n{data:#}\n")
}

/// Boots `image` once, without writing to it; its console goes to `console_log`.
pub fn boot(tools: &Tools, image: &Path, dialect: Dialect, console_log: &Path) -> Result<Boot> {
    let scenario = Scenario {
        user_data: Some(user_data(dialect).into_bytes()),
        hostname: HOSTNAME.to_owned(),
        ..Scenario::new(Provider::named("nocloud")?)
    };
    let config = MachineConfig {
        disk_size: Some(DISK),
        cpus: 2,
        memory: 2048,
        scenario,
        console_log: Some(console_log.into()),
        ..MachineConfig::new(image, Accel::Tcg)
    };
    let start = Instant::now();
    let machine = Machine::boot(&config, tools).context("starting the machine")?;
    machine
        .wait_for("holdfast-bench boot", TIMEOUT)
        .context("waiting for the user's unit")?;
    let power_on = start.elapsed().as_secs_f64();
    machine
        .wait_for("holdfast-bench end", TIMEOUT)
        .context("waiting for the machine to be idle")?;
    let console = machine.console().text(0);
    parse(&console, power_on).with_context(|| format!("reading {}", console_log.display()))
}

fn parse(console: &str, power_on: f64) -> Result<Boot> {
    let seconds = |key| number(console, "boot", key).map(|micros| micros / 1e6);
    let boot = Boot {
        init: seconds("init")?,
        handed_over: number(console, "handed", "over")?,
        systemd: seconds("systemd")?,
        docker: seconds("docker")?,
        unit: seconds("unit")?,
        power_on,
        memory: (number(console, "memory", "total")? - number(console, "memory", "available")?)
            * 1024.0,
    };
    if boot.docker == 0.0 || boot.unit == 0.0 {
        bail!("docker.service or the user's unit was not active");
    }
    let host = field(console, "boot", "host")?;
    if host != HOSTNAME {
        bail!("the host name is `{host}`, not `{HOSTNAME}`: the user-data was not applied");
    }
    Ok(boot)
}

fn number(console: &str, line: &str, key: &str) -> Result<f64> {
    let text = field(console, line, key)?;
    text.parse()
        .with_context(|| format!("`{key}` is `{text}`, not a number"))
}

fn field<'a>(console: &'a str, line: &str, key: &str) -> Result<&'a str> {
    console
        .lines()
        .filter_map(|l| l.split_once(MARK)?.1.strip_prefix(line))
        .flat_map(str::split_ascii_whitespace)
        .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
        .with_context(|| format!("the console has no `{key}` in a line `{MARK}{line}`"))
}

/// Every failed unit that a boot reported, for a note.
pub fn failed_units(console_log: &Path) -> Vec<String> {
    let console = std::fs::read(console_log).unwrap_or_default();
    let console = String::from_utf8_lossy(&console);
    let failed = field(&console, "memory", "failed").unwrap_or_default();
    failed
        .split(',')
        .filter(|u| !u.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "[  OK  ] Started\n\
        holdfast-bench boot init=1500000 systemd=1900000 docker=9000000 unit=9500000 host=bench\n\
        noise holdfast-bench memory total=2000000 available=1800000 state=running failed=\n\
        holdfast-bench handed over=1.812345\n\
        holdfast-bench end\n";

    #[test]
    fn a_boot_is_read() {
        let boot = parse(CONSOLE, 12.0).unwrap();
        assert_eq!(
            (boot.init, boot.systemd, boot.docker, boot.unit),
            (1.5, 1.9, 9.0, 9.5)
        );
        assert_eq!((boot.power_on, boot.memory), (12.0, 204_800_000.0));
        assert_eq!(boot.handed_over, 1.812_345);
    }

    #[test]
    fn a_boot_without_docker_is_refused() {
        let console = CONSOLE.replace("docker=9000000", "docker=0");
        assert!(
            parse(&console, 1.0)
                .unwrap_err()
                .to_string()
                .contains("docker.service")
        );
        let console = CONSOLE.replace("host=bench", "host=localhost");
        assert!(
            parse(&console, 1.0)
                .unwrap_err()
                .to_string()
                .contains("localhost")
        );
        assert!(parse("", 1.0).is_err());
    }

    #[test]
    fn both_dialects_are_the_same_wish() {
        for dialect in [Dialect::CoreOs, Dialect::CloudInit] {
            let text = user_data(dialect);
            let value: serde_json::Value =
                serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap();
            assert_eq!(value["hostname"], HOSTNAME);
            assert_eq!(value["ssh_authorized_keys"][0], SSH_KEY);
            for part in [
                "docker.service",
                "bench.service",
                "probe.service",
                "/etc/bench-probe",
            ] {
                assert!(text.contains(part), "{part}");
            }
        }
    }
}
