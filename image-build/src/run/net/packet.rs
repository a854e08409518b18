//! Just enough Ethernet, ARP, IP and UDP to decide where a frame goes and to
//! answer ARP and DHCP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol,
    Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket,
};

/// The gateway's Ethernet address, the same as QEMU's user network has.
pub(super) const GATEWAY_MAC: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];
const ETHERNET_HEADER: usize = 14;

/// What a frame from the machine is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A question for the owner of an address.
    Arp(Ipv4Addr),
    /// A message to a DHCP server.
    Dhcp(&'a [u8]),
    /// TCP to an address and port; the IP packet.
    Tcp(IpAddr, u16, &'a [u8]),
    /// Something else on IP, to this address.
    Ip(IpAddr),
    /// Anything else.
    Other,
}

/// Looks into a frame.
pub(super) fn classify(frame: &[u8]) -> Frame<'_> {
    look(frame).unwrap_or(Frame::Other)
}

fn look(frame: &[u8]) -> Option<Frame<'_>> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let payload = frame.get(ETHERNET_HEADER..)?;
    match ethernet.ethertype() {
        EthernetProtocol::Arp => {
            match ArpRepr::parse(&ArpPacket::new_checked(payload).ok()?).ok()? {
                ArpRepr::EthernetIpv4 {
                    operation: ArpOperation::Request,
                    target_protocol_addr,
                    ..
                } => Some(Frame::Arp(target_protocol_addr)),
                _ => None,
            }
        }
        EthernetProtocol::Ipv4 => {
            let ip = Ipv4Packet::new_checked(payload).ok()?;
            let to = IpAddr::V4(ip.dst_addr());
            let body = payload.get(usize::from(ip.header_len())..usize::from(ip.total_len()))?;
            if ip.frag_offset() != 0 || ip.more_frags() {
                return Some(Frame::Ip(to));
            }
            Some(transport(
                to,
                ip.next_header(),
                body,
                payload.get(..usize::from(ip.total_len()))?,
            ))
        }
        EthernetProtocol::Ipv6 => {
            let ip = Ipv6Packet::new_checked(payload).ok()?;
            let to = IpAddr::V6(ip.dst_addr());
            let whole = payload.get(..ip.total_len())?;
            let body = whole.get(ip.header_len()..)?;
            Some(transport(to, ip.next_header(), body, whole))
        }
        _ => None,
    }
}

fn transport<'a>(to: IpAddr, protocol: IpProtocol, body: &'a [u8], packet: &'a [u8]) -> Frame<'a> {
    match protocol {
        IpProtocol::Tcp => match TcpPacket::new_checked(body) {
            Ok(tcp) => Frame::Tcp(to, tcp.dst_port(), packet),
            Err(_) => Frame::Ip(to),
        },
        IpProtocol::Udp if to.is_ipv4() => match UdpPacket::new_checked(body) {
            Ok(udp) if udp.dst_port() == 67 => Frame::Dhcp(&body[8..usize::from(udp.len())]),
            _ => Frame::Ip(to),
        },
        _ => Frame::Ip(to),
    }
}

/// Whether `address` belongs to providers. What is sent there never leaves: the
/// host may itself be a cloud machine, whose metadata is no business of the guest.
pub(super) fn guarded(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            a.is_link_local()
                || a == Ipv4Addr::new(168, 63, 129, 16)
                || a == Ipv4Addr::new(100, 100, 100, 200)
        }
        // fd00::/8 holds EC2's, Scaleway's, Linode's and Oracle's addresses.
        IpAddr::V6(a) => {
            a.segments()[0] >> 8 == 0xfd
                || a == Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe)
        }
    }
}

/// The Ethernet source address of a frame.
pub(super) fn source_mac(frame: &[u8]) -> Option<[u8; 6]> {
    frame.get(6..12)?.try_into().ok()
}

/// An IP packet in a frame from the gateway.
pub(super) fn wrap(packet: &[u8], to: [u8; 6]) -> Vec<u8> {
    let ethertype: u16 = if packet.first().is_some_and(|b| b >> 4 == 6) {
        0x86dd
    } else {
        0x0800
    };
    let mut out = Vec::with_capacity(ETHERNET_HEADER + packet.len());
    out.extend(to);
    out.extend(GATEWAY_MAC);
    out.extend(ethertype.to_be_bytes());
    out.extend_from_slice(packet);
    out
}

/// Says that `address` is the gateway's, in answer to the ARP request `frame`.
pub(super) fn arp_reply(frame: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let request = ArpPacket::new_checked(frame.get(ETHERNET_HEADER..)?).ok()?;
    let ArpRepr::EthernetIpv4 {
        source_hardware_addr,
        source_protocol_addr,
        ..
    } = ArpRepr::parse(&request).ok()?
    else {
        return None;
    };
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(GATEWAY_MAC),
        source_protocol_addr: address,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let mut out = vec![0; ETHERNET_HEADER + reply.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut out);
    ethernet.set_dst_addr(source_hardware_addr);
    ethernet.set_src_addr(EthernetAddress(GATEWAY_MAC));
    ethernet.set_ethertype(EthernetProtocol::Arp);
    reply.emit(&mut ArpPacket::new_unchecked(ethernet.payload_mut()));
    Some(out)
}

/// An IP packet with a DHCP server's message. It is broadcast, so that a client
/// without an address gets it.
pub(super) fn dhcp_packet(from: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let to = Ipv4Addr::BROADCAST;
    let total = 28 + message.len();
    let mut out = vec![0; total];
    let mut ip = Ipv4Packet::new_unchecked(&mut out);
    ip.set_version(4);
    ip.set_header_len(20);
    ip.set_total_len(total as u16);
    ip.set_hop_limit(64);
    ip.set_next_header(IpProtocol::Udp);
    ip.set_src_addr(from);
    ip.set_dst_addr(to);
    ip.fill_checksum();
    let mut udp = UdpPacket::new_unchecked(ip.payload_mut());
    udp.set_src_port(67);
    udp.set_dst_port(68);
    udp.set_len((8 + message.len()) as u16);
    udp.payload_mut().copy_from_slice(message);
    udp.fill_checksum(&from.into(), &to.into());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dhcp_goes_round() {
        let packet = dhcp_packet(Ipv4Addr::new(10, 0, 2, 2), b"hello");
        let ip = Ipv4Packet::new_checked(&packet[..]).unwrap();
        assert!(ip.verify_checksum());
        assert_eq!(&packet[28..], b"hello");
        assert_eq!(
            classify(&wrap(&packet, [255; 6])),
            Frame::Ip(Ipv4Addr::BROADCAST.into())
        );
    }

    #[test]
    fn metadata_addresses_are_guarded() {
        for a in [
            "169.254.169.254",
            "169.254.42.42",
            "168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
        ] {
            assert!(guarded(a.parse().unwrap()), "{a}");
        }
        for a in ["10.0.2.2", "8.8.8.8", "fe80::1", "2001:db8::1"] {
            assert!(!guarded(a.parse().unwrap()), "{a}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(kind in prop_oneof![Just([8u8, 0]), Just([8, 6]), Just([0x86, 0xdd])],
                        first in any::<u8>(), bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut frame = vec![0; 12];
            frame.extend(kind);
            frame.push(first);
            frame.extend(bytes);
            classify(&frame);
            arp_reply(&frame, Ipv4Addr::LOCALHOST);
        }
    }
}
