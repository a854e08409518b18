//! A booted machine in a test: the shared image in an overlay, a provider, SSH.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use image_build::error::{Context, Error, Result};
use image_build::run::{Exit, Machine, MachineConfig};
use image_build::simulate::{Provider, Scenario};

use crate::fixture::{fixture, host, work_dir};

/// From power-on to an SSH login, on a slow and busy host.
pub const BOOT: Duration = Duration::from_secs(240);
/// What the kernel prints when a processor gets no timer interrupts any more.
const LOST_TIMER: &str = "rcu_preempt kthread timer wakeup didn't happen";
/// One command over SSH.
pub const COMMAND: Duration = Duration::from_secs(60);

/// A machine and the name of the test that owns it.
#[derive(Debug)]
pub struct Guest {
    /// The machine.
    pub machine: Machine,
    name: String,
}

/// The usual configuration of the shared image: `provider` knows the test's SSH key and
/// the host name `web1.example.test`. The console is logged under the test's name.
pub fn config(name: &str, provider: &str) -> Result<MachineConfig> {
    config_of(name, provider, &fixture()?.image)
}

/// As [`config`], of another image.
pub fn config_of(name: &str, provider: &str, image: &Path) -> Result<MachineConfig> {
    let host = host()?;
    let mut scenario = Scenario::new(Provider::named(provider)?);
    scenario.ssh_keys = vec![host.key.public.clone()];
    scenario.hostname = "web1.example.test".into();
    let mut config = MachineConfig::new(image, host.accel);
    // Two machines run at a time, on two cores: with one emulated processor each, both
    // come sooner.
    config.cpus = 1;
    config.scenario = scenario;
    config.ssh_key = Some(host.key.private.clone());
    config.console_log = Some(work_dir()?.join("logs").join(format!("{name}.log")));
    Ok(config)
}

impl Guest {
    /// Powers the machine on.
    pub fn start(name: &str, config: &MachineConfig) -> Result<Self> {
        let machine = Machine::boot(config, &host()?.tools)?;
        Ok(Guest {
            machine,
            name: name.to_owned(),
        })
    }

    /// Powers it on and waits until `core` can log in.
    pub fn boot(name: &str, config: &MachineConfig) -> Result<Self> {
        Self::start_until(name, config, |machine| machine.wait_for_ssh(BOOT))
    }

    /// Powers it on and waits for whatever `wait` waits for.
    pub fn start_until(
        name: &str,
        config: &MachineConfig,
        wait: impl Fn(&Machine) -> Result<()>,
    ) -> Result<Self> {
        let guest = Self::start(name, config)?;
        let Err(error) = wait(&guest.machine) else {
            return Ok(guest);
        };
        // An emulator on a busy host sometimes loses a processor's timer for good. That
        // says nothing about the image; anything else does.
        if !guest.machine.console().text(0).contains(LOST_TIMER) {
            return Err(guest.explain(error));
        }
        eprintln!("{name}: the emulator lost a timer interrupt; starting the machine again");
        drop(guest);
        let guest = Self::start(name, config)?;
        wait(&guest.machine).map_err(|e| guest.explain(e))?;
        Ok(guest)
    }

    /// Runs a shell command as `core`; its output without the last newline.
    pub fn sh(&self, command: &str) -> Result<String> {
        let mut out = self.machine.ssh(command, COMMAND)?;
        // No command of a test ends with the client's own status: the session broke.
        // Said aloud, and asked once more; a command that breaks it twice is at fault.
        if out.broken() {
            eprintln!(
                "{}: session broke: `{command}`: {:?}",
                self.name, out.stderr
            );
            self.machine.wait_for_ssh(COMMAND)?;
            let journal = self
                .machine
                .ssh("sudo journalctl -b -n 60 --no-pager", COMMAND)?;
            eprintln!("{}: the journal then:\n{}", self.name, journal.stdout);
            out = self.machine.ssh(command, COMMAND)?;
        }
        let text = out
            .ok()
            .map_err(|e| self.explain(e.hint(format!("the command was: {command}"))))?;
        Ok(text.trim_end().to_owned())
    }

    /// Fails unless `command` prints exactly `expected`.
    pub fn expect(&self, command: &str, expected: &str) -> Result<()> {
        let got = self.sh(command)?;
        if got == expected {
            return Ok(());
        }
        Err(Error::refused(format!(
            "{}: `{command}` printed {got:?}, not {expected:?}",
            self.name
        )))
    }

    /// Waits until `command` succeeds and prints exactly `expected`.
    pub fn wait_until(&self, command: &str, expected: &str, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let out = self.machine.ssh(command, COMMAND)?;
            if out.stdout.trim_end() == expected {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::refused(format!(
                    "{}: `{command}` still prints {:?} {:?}, not {expected:?}",
                    self.name,
                    out.stdout.trim_end(),
                    out.stderr.trim_end()
                )));
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Waits until the boot is over and fails if any unit failed.
    pub fn expect_healthy(&self) -> Result<()> {
        let state = self.machine.ssh(
            "systemctl is-system-running --wait",
            Duration::from_secs(180),
        )?;
        let failed = self.sh("systemctl --failed --no-legend --plain")?;
        if state.stdout.trim() == "running" && failed.is_empty() {
            return Ok(());
        }
        let journal = self.sh("journalctl -b -p warning --no-pager -o cat | tail -n 40")?;
        Err(Error::refused(format!(
            "{}: system is {:?}; failed: {failed}\n{journal}",
            self.name,
            state.stdout.trim()
        )))
    }

    /// What `oem status --json` says.
    pub fn oem_status(&self) -> Result<serde_json::Value> {
        let text = self.sh("sudo oem status --json")?;
        serde_json::from_str(&text).refused(|| format!("oem status printed {text:?}"))
    }

    /// Asks for a clean shutdown over SSH and waits for it.
    pub fn shut_down(self) -> Result<()> {
        let _ = self.machine.ssh("sudo systemctl poweroff", COMMAND);
        match self.machine.wait_off(Duration::from_secs(120)) {
            Some(Exit::PoweredOff) => Ok(()),
            other => Err(self.explain(Error::refused(format!(
                "{}: no clean shutdown: {other:?}",
                self.name
            )))),
        }
    }

    /// Time from now until SSH's banner comes from the forwarded port.
    pub fn wait_for_banner(&self, timeout: Duration) -> Result<Duration> {
        let port = self
            .machine
            .host_port(22)
            .ok_or_else(|| Error::environment("the SSH port is not forwarded"))?;
        let start = Instant::now();
        while start.elapsed() < timeout {
            if banner(port).is_ok_and(|b| b.starts_with(b"SSH-")) {
                return Ok(start.elapsed());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(self.explain(Error::refused(format!(
            "{}: sshd did not answer within {timeout:?}",
            self.name
        ))))
    }

    fn explain(&self, error: Error) -> Error {
        Error::refused(format!(
            "{}; the console's end:\n{}",
            error.chain(),
            self.machine.console().tail(30)
        ))
    }
}

fn banner(port: u16) -> std::io::Result<[u8; 4]> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// An HTTP GET to the host's loopback; the body.
pub fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default())
}
