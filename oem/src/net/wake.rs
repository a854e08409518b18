//! Kernel events that make another attempt worthwhile: an address or route
//! appears (rtnetlink), a block device appears (uevent). Messages are not
//! parsed: whoever is woken looks again.

use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket,
};
use std::os::fd::AsRawFd;
use tokio::net::UdpSocket;
use tokio::sync::watch;

// rtnetlink(7), RTMGRP_*.
const LINK: u32 = 0x1;
const IPV4_ADDRESS: u32 = 0x10;
const IPV4_ROUTE: u32 = 0x40;
const IPV6_ADDRESS: u32 = 0x100;
const IPV6_ROUTE: u32 = 0x400;
/// Events of the kernel itself, before udev.
const KERNEL_EVENTS: u32 = 1;

/// A subscription; clones wake independently.
#[derive(Debug, Clone)]
pub struct Wake(Option<watch::Receiver<u64>>);

impl Wake {
    /// Never wakes: for one-shot use and for tests.
    pub fn never() -> Wake {
        Wake(None)
    }

    /// Subscribes to kernel events. Must be called inside a tokio runtime.
    /// Where the kernel refuses, callers' own retry times remain.
    pub fn kernel() -> Wake {
        let (sender, receiver) = watch::channel(0);
        let network = LINK | IPV4_ADDRESS | IPV4_ROUTE | IPV6_ADDRESS | IPV6_ROUTE;
        let sockets = [
            (SockProtocol::NetlinkRoute, network, None),
            (
                SockProtocol::NetlinkKObjectUEvent,
                KERNEL_EVENTS,
                Some(&b"SUBSYSTEM=block"[..]),
            ),
        ];
        for (protocol, groups, only) in sockets {
            match listen(protocol, groups) {
                Ok(socket) => drop(tokio::spawn(pump(socket, only, sender.clone()))),
                Err(e) => tracing::debug!("no kernel events of {protocol:?}: {e}"),
            }
        }
        Wake(Some(receiver))
    }

    /// Waits for the next event.
    pub async fn changed(&mut self) {
        if let Some(receiver) = &mut self.0
            && receiver.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

/// A netlink socket in the guise of a datagram socket: only `recv` is used.
fn listen(protocol: SockProtocol, groups: u32) -> std::io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    UdpSocket::from_std(fd.into())
}

/// Counts events that contain `only` until the socket fails.
async fn pump(socket: UdpSocket, only: Option<&'static [u8]>, sender: watch::Sender<u64>) {
    let mut buffer = [0; 8192];
    loop {
        let relevant = match socket.recv(&mut buffer).await {
            Ok(n) => only.is_none_or(|o| buffer[..n].windows(o.len()).any(|w| w == o)),
            // The queue overflowed: something did happen.
            Err(e) if e.raw_os_error() == Some(nix::Error::ENOBUFS as i32) => true,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => false,
            Err(_) => return,
        };
        if relevant {
            sender.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[test]
    fn quiet_without_events() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let short = Duration::from_millis(20);
            assert!(timeout(short, Wake::never().changed()).await.is_err());
            // May or may not wake on a busy machine, but must not end or spin.
            let _ = timeout(short, Wake::kernel().changed()).await;
        });
    }
}
