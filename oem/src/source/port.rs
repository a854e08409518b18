//! A dialogue over a device: serial ports and the like, by which some hypervisors tell
//! things. Every wait has a deadline.

use crate::error::{Context, Error, Result};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::termios::{FlushArg, SetArg, cfmakeraw, tcflush, tcgetattr, tcsetattr};
use std::io::ErrorKind;
use std::path::Path;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::{Instant, timeout_at};

/// Largest answer accepted, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// An open device, in the guise of two pipes: only reading and writing are used.
#[derive(Debug)]
pub(crate) struct Port {
    input: Receiver,
    output: Sender,
    /// For people.
    name: String,
    deadline: Instant,
    /// Received, and not yet taken.
    ahead: Vec<u8>,
}

impl Port {
    /// Opens `device` below `root`; a terminal is made to pass bytes as they are. Must be
    /// called inside a tokio runtime. `None` when there is no such device.
    ///
    /// # Errors
    /// It is there, and cannot be opened.
    pub(crate) fn open(root: &Path, device: &str, deadline: Instant) -> Result<Option<Port>> {
        let name = format!("/{device}");
        let failed = || format!("cannot open {name}");
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let fd = match open(&root.join(device), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(nix::errno::Errno::ENOENT) => return Ok(None),
            Err(e) => return Err(e).environment(failed),
        };
        // Other devices have no settings.
        if let Ok(mut settings) = tcgetattr(&fd) {
            cfmakeraw(&mut settings);
            tcsetattr(&fd, SetArg::TCSANOW, &settings).environment(failed)?;
            tcflush(&fd, FlushArg::TCIFLUSH).environment(failed)?;
        }
        let input = fd.try_clone().environment(failed)?;
        let input = Receiver::from_owned_fd_unchecked(input).environment(failed)?;
        let output = Sender::from_owned_fd_unchecked(fd).environment(failed)?;
        Ok(Some(Port {
            input,
            output,
            name,
            deadline,
            ahead: Vec::new(),
        }))
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// The device fails, or does not take them in time.
    pub(crate) async fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            timeout_at(self.deadline, self.output.writable())
                .await
                .map_err(|_| Error::environment(format!("{} takes nothing", self.name)))?
                .environment(|| format!("cannot write to {}", self.name))?;
            match self.output.try_write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if is_passing(&e) => {}
                Err(e) => return Err(e).environment(|| format!("cannot write to {}", self.name)),
            }
        }
        Ok(())
    }

    /// What comes before the next `end`, which is taken too.
    ///
    /// # Errors
    /// The device fails or ends, or no `end` comes in time.
    pub(crate) async fn until(&mut self, end: u8) -> Result<Vec<u8>> {
        let mut seen = 0;
        loop {
            if let Some(at) = self.ahead[seen..].iter().position(|b| *b == end) {
                let rest = self.ahead.split_off(seen + at + 1);
                let mut answer = std::mem::replace(&mut self.ahead, rest);
                answer.pop();
                return Ok(answer);
            }
            seen = self.ahead.len();
            self.more().await?;
        }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// As [`Port::until`].
    pub(crate) async fn exactly(&mut self, len: usize) -> Result<Vec<u8>> {
        while self.ahead.len() < len {
            self.more().await?;
        }
        let rest = self.ahead.split_off(len);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    async fn more(&mut self) -> Result<()> {
        if self.ahead.len() > MAX_ANSWER {
            let what = format!("the answer of {} is over {MAX_ANSWER} bytes", self.name);
            return Err(Error::input(what));
        }
        let mut block = [0; 4096];
        loop {
            timeout_at(self.deadline, self.input.readable())
                .await
                .map_err(|_| Error::environment(format!("{} says nothing", self.name)))?
                .environment(|| format!("cannot read {}", self.name))?;
            match self.input.try_read(&mut block) {
                Ok(0) => return Err(Error::environment(format!("{} ended", self.name))),
                Ok(n) => {
                    self.ahead.extend_from_slice(&block[..n]);
                    return Ok(());
                }
                Err(e) if is_passing(&e) => {}
                Err(e) => return Err(e).environment(|| format!("cannot read {}", self.name)),
            }
        }
    }
}

fn is_passing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

#[cfg(test)]
pub(crate) mod double {
    //! The other end of a device.

    use nix::pty::openpty;
    use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
    use std::fs::File;
    use std::io::{Read, Write};
    use std::path::Path;

    /// Makes `device` below `root`. Whatever is said to it is gathered until `answer` has
    /// one: how much of it that takes, and what is said back.
    pub(crate) fn device(
        root: &Path,
        device: &str,
        mut answer: impl FnMut(&[u8]) -> Option<(usize, Vec<u8>)> + Send + 'static,
    ) {
        let pty = openpty(None, None).unwrap();
        let mut settings = tcgetattr(&pty.slave).unwrap();
        cfmakeraw(&mut settings);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &settings).unwrap();
        let path = root.join(device);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let slave = nix::unistd::ttyname(&pty.slave).unwrap();
        std::os::unix::fs::symlink(slave, path).unwrap();
        std::thread::spawn(move || {
            let _open = pty.slave;
            let mut master = File::from(pty.master);
            let mut said = Vec::new();
            let mut block = [0; 4096];
            while let Ok(n @ 1..) = master.read(&mut block) {
                said.extend_from_slice(&block[..n]);
                while let Some((used, back)) = answer(&said) {
                    said.drain(..used);
                    if master.write_all(&back).is_err() {
                        return;
                    }
                }
            }
        });
    }

    /// One source, asked in a runtime of its own, for at most this many milliseconds.
    pub(crate) fn ask(
        source: &'static crate::source::Source,
        root: &Path,
        milliseconds: u64,
    ) -> crate::error::Result<Option<crate::source::Found>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let scene = crate::source::Scene {
            root: root.into(),
            ..crate::source::Scene::default()
        };
        runtime.block_on(async {
            let http = crate::http::Http::new(crate::net::Wake::never())?;
            let limit = std::time::Duration::from_millis(milliseconds);
            let deadline = tokio::time::Instant::now() + limit;
            (source.fetch)(&scene, &http, deadline).await
        })
    }
}
