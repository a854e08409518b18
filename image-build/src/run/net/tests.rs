//! The whole wire with smoltcp in the machine's place: an HTTP exchange, frame
//! by frame, without QEMU.

use std::time::Duration;

use super::*;
use crate::simulate::{GUEST, Provider};

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::Medium;
use smoltcp::socket::tcp as client;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};

const CLIENT_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/// What a machine at the wire got from `url_path` at `address`:80.
fn exchange(
    scenario: Scenario,
    address: &str,
    request: &str,
) -> std::result::Result<String, &'static str> {
    let mut middle = Middle::new(scenario, Log::default());
    let mut device = tcp::Queues::new(Medium::Ethernet);
    let now = Instant::from_millis(0);
    let mut interface = Interface::new(
        Config::new(EthernetAddress(CLIENT_MAC).into()),
        &mut device,
        now,
    );
    interface.update_ip_addrs(|list| {
        list.push(IpCidr::new(GUEST.into(), 24)).unwrap();
        // The metadata address is on the link: it is asked for by ARP.
        list.push(IpCidr::new(
            std::net::Ipv4Addr::new(169, 254, 1, 1).into(),
            16,
        ))
        .unwrap();
    });
    let buffer = || client::SocketBuffer::new(vec![0; 8192]);
    let mut sockets = SocketSet::new(Vec::new());
    let handle = sockets.add(client::Socket::new(buffer(), buffer()));
    let ip: std::net::IpAddr = address.parse().unwrap();
    sockets
        .get_mut::<client::Socket>(handle)
        .connect(interface.context(), (ip, 80), 50000)
        .unwrap();

    let (mut sent, mut got) = (false, Vec::new());
    for step in 0..2000 {
        let now = Instant::from_millis(step);
        interface.poll(now, &mut device, &mut sockets);
        let mut answers = Vec::new();
        for frame in device.output.drain(..) {
            match middle.judge(&frame) {
                Verdict::Reply(reply) => answers.push(reply),
                Verdict::Serve(packet) => middle.server.input(&packet),
                Verdict::Pass | Verdict::Drop => {}
            }
        }
        answers.extend(
            middle
                .server
                .poll()
                .0
                .iter()
                .map(|p| packet::wrap(p, CLIENT_MAC)),
        );
        device.input.extend(answers);
        interface.poll(now, &mut device, &mut sockets);
        let socket = sockets.get_mut::<client::Socket>(handle);
        if socket.state() == client::State::Closed {
            return if got.is_empty() {
                Err("refused")
            } else {
                Ok(String::from_utf8(got).unwrap())
            };
        }
        if socket.can_send() && !sent {
            socket.send_slice(request.as_bytes()).unwrap();
            sent = true;
        }
        while socket.can_recv() {
            socket
                .recv(|b| {
                    got.extend_from_slice(b);
                    (b.len(), ())
                })
                .unwrap();
        }
        if !socket.may_recv() && sent {
            socket.close();
        }
    }
    if got.is_empty() {
        Err("no answer")
    } else {
        Ok(String::from_utf8(got).unwrap())
    }
}

fn ec2() -> Scenario {
    let mut scenario = Scenario::new(Provider::named("ec2").unwrap());
    scenario.tokens = crate::simulate::Tokens::Optional;
    scenario.user_data = Some(vec![b'x'; 5000]);
    scenario
}

const GET: &str = "GET /latest/user-data HTTP/1.1\r\nConnection: close\r\n\r\n";

#[test]
fn metadata_answers_on_its_own_address() {
    let answer = exchange(ec2(), "169.254.169.254", GET).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(&"x".repeat(5000)));
}

#[test]
fn absent_refuses_and_silent_does_not_answer() {
    let with = |mode| Scenario { mode, ..ec2() };
    assert_eq!(
        exchange(with(Mode::Absent), "169.254.169.254", GET),
        Err("refused")
    );
    assert_eq!(
        exchange(with(Mode::Silent), "169.254.169.254", GET),
        Err("no answer")
    );
    assert_eq!(
        exchange(
            with(Mode::Late(Duration::from_secs(60))),
            "169.254.169.254",
            GET
        ),
        Err("no answer")
    );
}

#[test]
fn other_metadata_addresses_do_not_leave() {
    assert_eq!(exchange(ec2(), "169.254.42.42", GET), Err("no answer"));
}
