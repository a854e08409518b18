//! The manager's own socket: D-Bus without a bus, for root, there before any
//! message bus is.

use super::reply::{self, FIXED, Reply};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection to the manager.
pub struct Private {
    stream: UnixStream,
}

impl Private {
    /// Connects and authenticates as the present user.
    pub fn connect(path: &Path, timeout: Duration) -> io::Result<Private> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let uid = nix::unistd::geteuid().to_string();
        let hex: String = uid.bytes().map(|b| format!("{b:02x}")).collect();
        // All at once, and both answers read before any call: systemd sees no
        // event for a call that arrives in the same read as BEGIN.
        let hello = format!("\0AUTH EXTERNAL {hex}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
        stream.write_all(hello.as_bytes())?;
        if !line(&mut stream)?.starts_with(b"OK ") {
            let why = "systemd refused to talk to this user";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        line(&mut stream)?;
        Ok(Private { stream })
    }

    /// Sends a call and waits for its reply; signals in between are dropped.
    pub fn call(&mut self, message: &[u8], serial: u32) -> io::Result<Reply> {
        self.stream.write_all(message)?;
        let bad = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "systemd sent something that is not D-Bus",
            )
        };
        loop {
            let mut fixed = [0; FIXED];
            self.stream.read_exact(&mut fixed)?;
            let mut whole = fixed.to_vec();
            whole.resize(FIXED + reply::rest_len(&fixed).ok_or_else(bad)?, 0);
            self.stream.read_exact(&mut whole[FIXED..])?;
            let reply = reply::parse(&whole).ok_or_else(bad)?;
            if reply.to == serial {
                return Ok(reply);
            }
        }
    }
}

fn line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") && line.len() < 256 {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(line)
}
