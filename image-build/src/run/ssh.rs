//! Commands in the machine, over SSH, with the client of the tools.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::cache::Cache;
use crate::error::{Context, Error, Result};
use crate::tools::{Command, Tool, Tools};

/// Time between attempts while the machine does not accept connections yet.
const PAUSE: Duration = Duration::from_millis(500);
/// Time for one of them.
const ATTEMPT: Duration = Duration::from_secs(30);
/// Time between looks whether a login has worked.
const LOOK: Duration = Duration::from_millis(20);

/// Exit status of an SSH client that has none of the command's.
const CLIENT_FAILED: i32 = 255;
/// What the client says of a host it has not met, which is every host here.
const NEW_HOST: &str = "Warning: Permanently added";

/// An SSH key pair on disk.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// Private key file.
    pub private: PathBuf,
    /// The public key, one line.
    pub public: String,
}

impl KeyPair {
    /// The pair in the cache, made when there is none. Every machine that is run
    /// gets it, so that one command line reaches them all.
    pub fn in_cache(tools: &Tools, cache: &Cache) -> Result<Self> {
        let _guard = cache.lock("ssh", "run")?;
        let dir = match cache.get("ssh", "run") {
            Some(dir) => dir,
            None => cache.put_dir("ssh", "run", |dir| Self::make(tools, &dir.join("key")))?,
        };
        Self::read(dir.join("key"))
    }

    fn make(tools: &Tools, path: &Path) -> Result<()> {
        let mut command = tools.command(Tool::SshKeygen)?;
        command
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "image-build", "-f"])
            .arg(path);
        command.run().map(drop)
    }

    fn read(private: PathBuf) -> Result<Self> {
        let path = private.with_extension("pub");
        let public =
            fs::read_to_string(&path).environment(|| format!("reading {}", path.display()))?;
        Ok(KeyPair {
            private,
            public: public.trim().to_owned(),
        })
    }
}

/// How a command in the machine ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit status; 255 also when the connection failed.
    pub status: i32,
    /// What it printed.
    pub stdout: String,
    /// What it printed as errors.
    pub stderr: String,
}

impl Output {
    /// What was printed, if the command succeeded.
    pub fn ok(self) -> Result<String> {
        if self.status == 0 {
            return Ok(self.stdout);
        }
        Err(Error::environment(format!(
            "the command ended with status {}: {}",
            self.status,
            self.stderr.trim()
        )))
    }

    /// Whether this is the client's own status: no connection, a refused key, or a
    /// session that ended before the command did.
    pub fn broken(&self) -> bool {
        self.status == CLIENT_FAILED
    }
}

/// One machine's SSH service. After [`Ssh::wait`], commands share one connection: a
/// login costs an emulated machine seconds.
#[derive(Debug)]
pub(super) struct Ssh {
    port: u16,
    key: PathBuf,
    /// Folder of the sockets of shared connections.
    dir: PathBuf,
    /// The client that keeps the connection open.
    shared: Mutex<Option<Reaper>>,
}

impl Ssh {
    pub(super) fn new(port: u16, key: PathBuf, dir: PathBuf) -> Self {
        Ssh {
            port,
            key,
            dir,
            shared: Mutex::new(None),
        }
    }

    /// The command line a person would type.
    pub(super) fn command_line(&self) -> String {
        format!(
            "ssh -i {} -p {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null core@127.0.0.1",
            self.key.display(),
            self.port
        )
    }

    /// Runs `command` with the shell of `user`, with `input` as standard input; over
    /// that user's shared connection if there is one, else over one of its own.
    pub(super) fn run(
        &self,
        tools: &Tools,
        user: &str,
        command: &str,
        input: &[u8],
        timeout: Duration,
    ) -> Result<Output> {
        let mut ssh = self.client(tools, user)?;
        ssh.arg(command);
        run_with_deadline(&mut ssh, input, timeout)
            .map_err(|e| e.hint(format!("the command was: {command}")))
    }

    /// Waits until `user` can log in, and keeps that connection for commands.
    pub(super) fn wait(&self, tools: &Tools, user: &str, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let attempt = Instant::now() + ATTEMPT;
            let why = match self.connect(tools, user, attempt.min(deadline))? {
                None => {
                    let left = attempt.saturating_duration_since(Instant::now());
                    match self.run(tools, user, "true", &[], left) {
                        Ok(output) if output.status == 0 => return Ok(()),
                        Ok(output) if !output.broken() => return output.ok().map(drop),
                        Ok(output) => output.stderr.trim().to_owned(),
                        Err(e) => e.chain(),
                    }
                }
                Some(why) => why,
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(Error::environment(format!(
                    "no SSH to the machine within {} s: {why}",
                    timeout.as_secs()
                )));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Logs in and shares the connection. What went wrong, if it did not work.
    fn connect(&self, tools: &Tools, user: &str, deadline: Instant) -> Result<Option<String>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        *shared = None;
        let socket = self.dir.join(format!("ssh-{user}"));
        let _ = fs::remove_file(&socket);
        let mut ssh = self.client(tools, user)?;
        ssh.args(["-N", "-M"]);
        ssh.stdio(Stdio::null(), Stdio::null(), Stdio::piped());
        let mut client = Reaper(ssh.spawn()?);
        // Read to its end, so that the client never waits for a reader.
        let complaint = client.0.stderr.take().map(read_all);
        while Instant::now() < deadline {
            // It exists once the login has worked.
            if socket.exists() {
                *shared = Some(client);
                return Ok(None);
            }
            if matches!(client.0.try_wait(), Ok(Some(_))) {
                let text = complaint.and_then(|c| c.recv_timeout(PAUSE).ok());
                return Ok(Some(said(&text.unwrap_or_default()).trim().to_owned()));
            }
            std::thread::sleep(LOOK);
        }
        Ok(Some("no answer to the login".to_owned()))
    }

    fn client(&self, tools: &Tools, user: &str) -> Result<Command> {
        let mut ssh = tools.command_for_life(Tool::Ssh)?;
        ssh.args(["-F", "none", "-T", "-p", &self.port.to_string(), "-i"])
            .arg(&self.key);
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            "PreferredAuthentications=publickey",
            "LogLevel=INFO",
            "ConnectTimeout=10",
            "ServerAliveInterval=5",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.arg("-S").arg(self.dir.join("ssh-%r"));
        ssh.arg(format!("{user}@127.0.0.1"));
        Ok(ssh)
    }
}

/// What the client printed as errors, without what says nothing.
fn said(stderr: &[u8]) -> String {
    String::from_utf8_lossy(stderr)
        .split_inclusive('\n')
        .filter(|line| !line.starts_with(NEW_HOST))
        .collect()
}

fn read_all(mut from: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut out = Vec::new();
        // What came before an error is worth having.
        let _ = from.read_to_end(&mut out);
        let _ = send.send(out);
    });
    receive
}

/// Kills and reaps the child however its owner ends.
#[derive(Debug)]
struct Reaper(Child);

impl Drop for Reaper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run_with_deadline(command: &mut Command, input: &[u8], timeout: Duration) -> Result<Output> {
    let deadline = Instant::now() + timeout;
    command.stdio(Stdio::piped(), Stdio::piped(), Stdio::piped());
    let mut child = Reaper(command.spawn()?);
    if let Some(mut stdin) = child.0.stdin.take() {
        let input = input.to_vec();
        // The command may end without reading it.
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let stdout = child.0.stdout.take().map(read_all);
    let stderr = child.0.stderr.take().map(read_all);
    let collect = |from: Option<mpsc::Receiver<Vec<u8>>>| -> Result<Vec<u8>> {
        let left = deadline.saturating_duration_since(Instant::now());
        from.map_or(Ok(Vec::new()), |f| f.recv_timeout(left))
            .map_err(|_| {
                Error::environment(format!(
                    "a command in the machine did not end within {} s",
                    timeout.as_secs()
                ))
            })
    };
    let (stdout, stderr) = (collect(stdout)?, collect(stderr)?);
    let status = child
        .0
        .wait()
        .environment(|| "waiting for ssh".to_owned())?;
    Ok(Output {
        status: status.code().unwrap_or(CLIENT_FAILED),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: said(&stderr),
    })
}
