//! The kernel's device events.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};

/// One event of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uevent {
    /// `KEY=VALUE`.
    values: Vec<String>,
}

impl Uevent {
    /// Parses a message: `ACTION@DEVPATH`, then `KEY=VALUE`, each ended by a zero byte. Anything else gives none
    /// (udev's own messages among them).
    pub fn parse(message: &[u8]) -> Option<Self> {
        let mut parts = message
            .split(|byte| *byte == 0)
            .map(String::from_utf8_lossy);
        parts.next().filter(|head| head.contains('@'))?;
        let values = parts.map(String::from).collect();
        Some(Self { values })
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values
            .iter()
            .filter_map(|value| value.split_once('='))
            .find_map(|(name, value)| (name == key).then_some(value))
    }
}

/// What [`Listener::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// An event.
    Event(Uevent),
    /// Events were lost: look at everything again.
    Lost,
    /// Nothing in the given time.
    Quiet,
}

/// A socket on which the kernel reports every device that comes.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
}

impl Listener {
    /// Starts to listen. Open it before looking at `/sys`, so that no device falls between.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            flags,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        // A burst of events on a machine with many devices must fit; the default holds some hundreds.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &(8 * 1024 * 1024));
        const KERNEL_EVENTS: u32 = 1;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_EVENTS))?;
        Ok(Self { socket })
    }

    /// Waits for the next event, at most `timeout`.
    pub fn next(&self, timeout: Duration) -> io::Result<Next> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => match Uevent::parse(&buffer[..length]) {
                    Some(event) => return Ok(Next::Event(event)),
                    None => continue,
                },
                Err(Errno::EINTR) => continue,
                Err(Errno::ENOBUFS) => return Ok(Next::Lost),
                Err(Errno::EAGAIN) => {}
                Err(error) => return Err(error.into()),
            }
            let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            let limit = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
            match poll(&mut ready, limit) {
                Ok(0) => return Ok(Next::Quiet),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_kernel_message() {
        let event =
            Uevent::parse(b"add@/devices/x/block/vda\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=vda\0")
                .unwrap();
        assert_eq!(event.get("DEVNAME"), Some("vda"));
        assert_eq!(event.get("MODALIAS"), None);
        assert_eq!(Uevent::parse(b"libudev\0\xfe\xed\xca\xfe"), None);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(message in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Uevent::parse(&message);
        }
    }
}
