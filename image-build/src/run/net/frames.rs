//! Ethernet frames on a stream socket, as QEMU's `-netdev stream` sends them: a
//! 32-bit big-endian length, then the frame.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::poll::PollFlags;

/// Larger than any frame QEMU sends, offloads included.
const FRAME_LIMIT: usize = 128 * 1024;
/// When the other side does not read, frames beyond this are dropped, as a
/// switch would.
const BACKLOG_LIMIT: usize = 4 * 1024 * 1024;

/// Takes whole frames off the front of `bytes`. `None` means the stream is no
/// stream of frames.
pub(super) fn split(bytes: &mut Vec<u8>) -> Option<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 4) {
        let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if len > FRAME_LIMIT {
            return None;
        }
        let Some(frame) = bytes.get(at + 4..at + 4 + len) else {
            break;
        };
        frames.push(frame.to_vec());
        at += 4 + len;
    }
    bytes.drain(..at);
    Some(frames)
}

/// One side of the wire.
#[derive(Debug)]
pub(super) struct Port {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Port {
    pub(super) fn new(stream: UnixStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Port {
            stream,
            input: Vec::new(),
            output: Vec::new(),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> PollFlags {
        if self.output.is_empty() {
            PollFlags::POLLIN
        } else {
            PollFlags::POLLIN | PollFlags::POLLOUT
        }
    }

    /// Whole frames that have come; `None` when the other side is gone.
    pub(super) fn receive(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => None,
            Ok(n) => {
                self.input.extend_from_slice(&buffer[..n]);
                split(&mut self.input)
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Some(Vec::new())
            }
            Err(_) => None,
        }
    }

    /// Queues a frame and sends what can be sent.
    pub(super) fn send(&mut self, frame: &[u8]) {
        if self.output.len() + frame.len() < BACKLOG_LIMIT {
            self.output
                .extend_from_slice(&(frame.len() as u32).to_be_bytes());
            self.output.extend_from_slice(frame);
        }
        self.flush();
    }

    /// Sends what can be sent. A broken stream is noticed by the next receive.
    pub(super) fn flush(&mut self) {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(n) if n > 0 => drop(self.output.drain(..n)),
                _ => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_in_pieces() {
        let mut bytes = vec![0, 0, 0, 2, 7, 8, 0, 0, 0, 3, 1];
        assert_eq!(split(&mut bytes).unwrap(), [[7, 8]]);
        bytes.extend([2, 3]);
        assert_eq!(split(&mut bytes).unwrap(), [[1, 2, 3]]);
        assert!(bytes.is_empty());
        assert!(split(&mut vec![255, 255, 255, 255]).is_none());
    }
}
