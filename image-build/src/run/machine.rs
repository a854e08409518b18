//! A running machine.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;
use tempfile::TempDir;

use super::config::{MachineConfig, Storage};
use super::console::Console;
use super::net::Wire;
use super::qmp::Qmp;
use super::ssh::{Output, Ssh};
use super::{disk, qemu};
use crate::error::{Context, Error, Result};
use crate::simulate::{Exchange, Log};
use crate::tools::{Command, Tool, Tools};

/// How long QEMU may take to connect its control socket.
const START: Duration = Duration::from_secs(30);
/// How long QEMU may take to end once it was told to.
const END: Duration = Duration::from_secs(10);

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The guest switched the machine off.
    PoweredOff,
    /// It was stopped from outside.
    Stopped,
    /// QEMU failed; what it said.
    Failed(String),
}

/// A machine in QEMU. Dropping it cuts its power and removes what was temporary;
/// if this program dies, the kernel ends QEMU.
#[derive(Debug)]
pub struct Machine {
    console: Console,
    log: Log,
    qmp: Qmp,
    qemu: Qemu,
    forwards: Vec<(u16, u16)>,
    ssh: Option<Ssh>,
    tools: Tools,
    // After QEMU, which uses them.
    _wire: Wire,
    dir: TempDir,
}

impl Machine {
    /// Starts a machine; returns once QEMU runs, not once the system is up.
    pub fn boot(config: &MachineConfig, tools: &Tools) -> Result<Self> {
        config.check()?;
        let dir = tempfile::Builder::new()
            .prefix("holdfast-run-")
            .tempdir()
            .environment(|| "making a temporary directory".to_owned())?;
        let at = |name: &str| dir.path().join(name);
        let scenario = &config.scenario;
        let look = (scenario.provider.look)(scenario);
        let mut cdroms = Vec::new();
        for (n, image) in look.cdroms.iter().enumerate() {
            let path = at(&format!("cd{n}.iso"));
            fs::write(&path, image).environment(|| format!("writing {}", path.display()))?;
            cdroms.push(path);
        }
        let paths = qemu::Paths {
            disk: disk::overlay(
                tools,
                &config.image,
                &config.storage,
                config.disk_size,
                dir.path(),
            )?,
            temporary: config.storage == Storage::Temporary,
            cdroms,
            qmp: at("qmp"),
            machine: at("net"),
            outside: at("up"),
            uefi: uefi(tools, config, dir.path())?,
        };

        let log = Log::default();
        let wire = Wire::start(
            &paths.machine,
            &paths.outside,
            scenario.clone(),
            log.clone(),
        )?;
        let control = UnixListener::bind(&paths.qmp)
            .environment(|| format!("listening on {}", paths.qmp.display()))?;
        let console = Console::default();
        if let Some(path) = &config.console_log {
            console.copy_to_file(path)?;
        }
        let mut command = tools.command_for_life(Tool::Qemu)?;
        qemu::data_paths(tools, &mut command);
        command.args(qemu::arguments(config, &look, &paths));
        let qemu = Qemu::start(command, &at("qemu.log"), console.clone())?;
        let qmp = qemu.control(&control)?;

        let forwards = match qmp
            .execute(
                "human-monitor-command",
                json!({"command-line": "info usernet"}),
            )?
            .as_str()
        {
            Some(text) => qemu::forwarded(text),
            None => Vec::new(),
        };
        let port = forwards.iter().find(|f| f.1 == 22).map(|f| f.0);
        let ssh = port
            .zip(config.ssh_key.clone())
            .map(|(port, key)| Ssh::new(port, key, dir.path().to_path_buf()));
        Ok(Machine {
            console,
            log,
            qmp,
            qemu,
            forwards,
            ssh,
            tools: tools.clone(),
            _wire: wire,
            dir,
        })
    }

    /// The serial console.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Waits until the console shows `pattern`.
    pub fn wait_for(&self, pattern: &str, timeout: Duration) -> Result<super::Found> {
        self.console.wait_for(pattern, 0, timeout)
    }

    /// Types on the serial console.
    pub fn type_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.qemu.type_bytes(bytes)
    }

    /// What the machine asked the simulated provider so far.
    pub fn requests(&self) -> Vec<Exchange> {
        self.log.all()
    }

    /// The host's port (on loopback) that leads to `port` of the machine.
    pub fn host_port(&self, port: u16) -> Option<u16> {
        self.forwards.iter().find(|f| f.1 == port).map(|f| f.0)
    }

    /// A command line that logs in, for a person.
    pub fn ssh_command_line(&self) -> Option<String> {
        self.ssh.as_ref().map(Ssh::command_line)
    }

    /// Waits until `core` can log in.
    pub fn wait_for_ssh(&self, timeout: Duration) -> Result<()> {
        self.ssh_access()?
            .wait(&self.tools, "core", timeout)
            .map_err(|e| {
                e.hint(format!(
                    "the console's last lines:\n{}",
                    self.console.tail(30)
                ))
            })
    }

    /// Runs a shell command as `core`.
    pub fn ssh(&self, command: &str, timeout: Duration) -> Result<Output> {
        self.ssh_with_input(command, &[], timeout)
    }

    /// As [`Machine::ssh`], with standard input.
    pub fn ssh_with_input(&self, command: &str, input: &[u8], timeout: Duration) -> Result<Output> {
        self.ssh_access()?
            .run(&self.tools, "core", command, input, timeout)
    }

    fn ssh_access(&self) -> Result<&Ssh> {
        self.ssh
            .as_ref()
            .ok_or_else(|| Error::usage("the machine was started without an SSH key"))
    }

    /// Presses the power button: a system that listens shuts down.
    pub fn power_button(&self) -> Result<()> {
        self.qmp.execute("system_powerdown", json!({})).map(drop)
    }

    /// Presses the reset button.
    pub fn reset(&self) -> Result<()> {
        self.qmp.execute("system_reset", json!({})).map(drop)
    }

    /// How often the machine was reset, by itself or from outside.
    pub fn resets(&self) -> usize {
        self.qmp.count("RESET")
    }

    /// Holds the processors.
    pub fn pause(&self) -> Result<()> {
        self.qmp.execute("stop", json!({})).map(drop)
    }

    /// Lets the processors go on.
    pub fn resume(&self) -> Result<()> {
        self.qmp.execute("cont", json!({})).map(drop)
    }

    /// Any other QMP command.
    pub fn qmp(&self, command: &str, arguments: serde_json::Value) -> Result<serde_json::Value> {
        self.qmp.execute(command, arguments)
    }

    /// Cuts the power: QEMU is killed where it is.
    pub fn power_cut(&self) {
        self.qemu.kill();
    }

    /// Waits until the machine is off. `None` when the time is over first.
    pub fn wait_off(&self, timeout: Duration) -> Option<Exit> {
        if !self.console.wait_closed(Instant::now() + timeout) {
            return None;
        }
        let status = self.qemu.status(END);
        // The event comes before the end, on another channel.
        let event = self.qmp.event("SHUTDOWN", Duration::from_secs(1));
        Some(match (event, status) {
            (Some(data), _) if data["guest"] == true => Exit::PoweredOff,
            (Some(_), _) => Exit::Stopped,
            (None, Some(status)) if status.code().is_none() => Exit::Stopped,
            _ => Exit::Failed(self.qemu.complaint()),
        })
    }

    /// Folder for files of this run; it goes with the machine.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// The firmware's code and this machine's copy of its variables.
fn uefi(tools: &Tools, config: &MachineConfig, dir: &Path) -> Result<Option<(PathBuf, PathBuf)>> {
    let Some((code, template)) = qemu::uefi_files(config) else {
        return Ok(None);
    };
    let variables = match &config.storage {
        Storage::Temporary => dir.join("vars.fd"),
        Storage::Persistent(path) => {
            let mut name = path.as_os_str().to_owned();
            name.push(".vars");
            name.into()
        }
    };
    if !variables.exists() {
        let from = tools.data(template);
        let content = fs::read(&from).environment(|| format!("reading {}", from.display()))?;
        fs::write(&variables, content)
            .environment(|| format!("writing {}", variables.display()))?;
    }
    Ok(Some((tools.data(code), variables)))
}

/// The process. The thread that started it reads its console until the end:
/// QEMU's life is tied to that thread.
#[derive(Debug)]
struct Qemu {
    child: Arc<Mutex<Child>>,
    stdin: Mutex<ChildStdin>,
    console: Console,
    messages: PathBuf,
}

impl Qemu {
    fn start(mut command: Command, messages: &Path, console: Console) -> Result<Self> {
        let stderr =
            fs::File::create(messages).environment(|| format!("writing {}", messages.display()))?;
        command.stdio(Stdio::piped(), Stdio::piped(), stderr.into());
        let (send, receive) = mpsc::channel();
        let shown = console.clone();
        std::thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || {
                let mut child = match command.spawn() {
                    Ok(child) => child,
                    Err(e) => return drop(send.send(Err(e))),
                };
                let Some((stdin, mut stdout)) = child.stdin.take().zip(child.stdout.take()) else {
                    return;
                };
                let child = Arc::new(Mutex::new(child));
                let _ = send.send(Ok((Arc::clone(&child), stdin)));
                let mut buffer = [0; 16 * 1024];
                while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                    shown.append(&buffer[..n]);
                }
                // Reaped before anyone is told that it ended.
                let _ = child.lock().unwrap_or_else(PoisonError::into_inner).wait();
                shown.close();
            })
            .environment(|| "starting the console thread".to_owned())?;
        let (child, stdin) = receive
            .recv()
            .map_err(|_| Error::environment("QEMU was started without its pipes"))??;
        Ok(Qemu {
            child,
            stdin: Mutex::new(stdin),
            console,
            messages: messages.to_path_buf(),
        })
    }

    /// Waits for QEMU to connect to `listener`.
    fn control(&self, listener: &UnixListener) -> Result<Qmp> {
        let deadline = Instant::now() + START;
        loop {
            let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
            // Short, because QEMU may also have ended.
            if poll(&mut fds, PollTimeout::from(50u8)).is_ok_and(|n| n > 0) {
                let (stream, _) = listener
                    .accept()
                    .environment(|| "taking QEMU's control socket".to_owned())?;
                return Qmp::new(stream).map_err(|e| match self.complaint() {
                    said if said.is_empty() => e,
                    _ => self.did_not_start(),
                });
            }
            if self.console.closed() || Instant::now() > deadline {
                return Err(self.did_not_start());
            }
        }
    }

    fn did_not_start(&self) -> Error {
        Error::environment(format!("QEMU did not start: {}", self.complaint()))
            .hint("arguments after `--` go to QEMU as they are; check them")
    }

    fn type_bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        stdin
            .write_all(bytes)
            .and_then(|()| stdin.flush())
            .environment(|| "typing on the console".to_owned())
    }

    fn kill(&self) {
        // The thread may be holding the lock in `wait`; then it is ending anyway.
        if let Ok(mut child) = self.child.try_lock() {
            let _ = child.kill();
        }
    }

    fn status(&self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        self.console.wait_closed(deadline);
        // When the thread still holds the lock, QEMU has not ended.
        self.child.try_lock().ok()?.try_wait().ok().flatten()
    }

    /// What QEMU printed as errors.
    fn complaint(&self) -> String {
        let text = fs::read_to_string(&self.messages).unwrap_or_default();
        text.lines()
            .filter(|l| !l.contains("warning:"))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.kill();
        self.console.wait_closed(Instant::now() + END);
    }
}
