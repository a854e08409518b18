//! Renames a network card at once (rtnetlink(7)). udev does it where its
//! `.link` file was there before the card.

use crate::error::{Context as _, Error, Result};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// linux/rtnetlink.h
const RTM_SETLINK: u16 = 19;
/// linux/netlink.h: a request, to be acknowledged.
const REQUEST_ACK: u16 = 0x1 | 0x4;
/// linux/netlink.h
const NLMSG_ERROR: u16 = 2;
/// linux/if_link.h
const IFLA_IFNAME: u16 = 3;

/// Renames the interface `from` of this machine to `to`.
pub(super) fn rename(from: &str, to: &str) -> Result<()> {
    let what = || format!("cannot rename the network card {from} to {to}");
    let path = Path::new("/sys/class/net").join(from).join("ifindex");
    let index = std::fs::read_to_string(path).environment(what)?;
    let index: i32 = index.trim().parse().environment(what)?;
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )
    .environment(what)?;
    let kernel = NetlinkAddr::new(0, 0);
    sendto(
        socket.as_raw_fd(),
        &request(index, to),
        &kernel,
        MsgFlags::empty(),
    )
    .environment(what)?;
    // Only the acknowledgement comes: no group was joined.
    let mut reply = [0; 4096];
    let length = recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty()).environment(what)?;
    match acknowledged(reply.get(..length).unwrap_or_default()) {
        Some(0) => Ok(()),
        Some(code) => Err(Error::environment(what())
            .because(nix::errno::Errno::from_raw(code))
            .hint("udev does it at the next boot")),
        None => Err(Error::environment(what()).hint("the kernel's answer makes no sense")),
    }
}

/// Header, `ifinfomsg`, one attribute.
fn request(index: i32, name: &str) -> Vec<u8> {
    let mut attribute = Vec::new();
    let length = u16::try_from(4 + name.len() + 1).unwrap_or(u16::MAX);
    attribute.extend(length.to_ne_bytes());
    attribute.extend(IFLA_IFNAME.to_ne_bytes());
    attribute.extend(name.as_bytes());
    attribute.push(0);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    let length = u32::try_from(16 + 16 + attribute.len()).unwrap_or(u32::MAX);
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(RTM_SETLINK.to_ne_bytes());
    message.extend(REQUEST_ACK.to_ne_bytes());
    // Sequence number and port: one question, one answer.
    message.extend([0; 8]);
    // Family and type: any.
    message.extend([0; 4]);
    message.extend(index.to_ne_bytes());
    // No flag is changed.
    message.extend([0; 8]);
    message.extend(attribute);
    message
}

/// The error number of an acknowledgement, 0 when it was done.
fn acknowledged(reply: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(reply.get(4..6)?.try_into().ok()?);
    let code = i32::from_ne_bytes(reply.get(16..20)?.try_into().ok()?);
    (kind == NLMSG_ERROR).then_some(code.saturating_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_as_long_as_it_says() {
        for name in ["a", "eth0", "fifteen-letters"] {
            let message = request(7, name);
            assert_eq!(message[..4], (message.len() as u32).to_ne_bytes());
            assert!(message.len().is_multiple_of(4) && message.len() > 36 + name.len());
        }
    }

    #[test]
    fn errors_are_told() {
        assert_eq!(acknowledged(&[]), None);
        let mut reply = vec![0; 20];
        reply[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        assert_eq!(acknowledged(&reply), Some(0));
        reply[16..20].copy_from_slice(&(-17i32).to_ne_bytes());
        assert_eq!(acknowledged(&reply), Some(17));
        assert!(rename("no-such-card-0", "x").is_err());
    }

    /// `unshare -n` and `ip link add one type veth peer name two` first.
    #[test]
    #[ignore = "needs a network namespace of its own with a link named one"]
    fn a_card_is_renamed() {
        rename("one", "three").unwrap();
        rename("three", "two").unwrap_err();
    }
}
