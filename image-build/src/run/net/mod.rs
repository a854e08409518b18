//! The wire between the machine's network card and QEMU's user network. It
//! plays the provider: DHCP, ARP for metadata addresses, and TCP to the
//! provider's endpoints end here; everything else passes. So a machine finds
//! 169.254.169.254:80 where a real one does, without any privilege on the host.

mod dhcp;
mod frames;
mod packet;
mod tcp;

use std::io::Read;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use self::frames::Port;
use self::packet::{Frame, classify, guarded};
use self::tcp::Server;
use crate::error::{Context, Result};
use crate::simulate::{GATEWAY, Log, Look, Mode, Scenario, Service};

/// Where a frame from the machine goes.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    Drop,
    Reply(Vec<u8>),
    /// The IP packet is for the provider's service.
    Serve(Vec<u8>),
}

/// The provider's part of the network.
struct Middle {
    server: Server,
    look: Look,
    machine: [u8; 6],
}

impl Middle {
    fn new(scenario: Scenario, log: Log) -> Self {
        let look = (scenario.provider.look)(&scenario);
        let accepting = scenario.mode != Mode::Absent;
        Middle {
            server: Server::new(Service::new(scenario, log), accepting),
            look,
            machine: [0xff; 6],
        }
    }

    fn judge(&self, frame: &[u8]) -> Verdict {
        let service = self.server.service();
        let endpoints = service.scenario().provider.endpoints;
        let ours = |ip: IpAddr| endpoints.iter().any(|e| e.0 == ip);
        match classify(frame) {
            Frame::Dhcp(message) => {
                let hostname = service
                    .scenario()
                    .hostname
                    .split('.')
                    .next()
                    .unwrap_or_default();
                match dhcp::answer(message, hostname, &self.look.dhcp) {
                    Some(answer) => Verdict::Reply(packet::wrap(
                        &packet::dhcp_packet(GATEWAY, &answer),
                        [0xff; 6],
                    )),
                    None => Verdict::Drop,
                }
            }
            Frame::Arp(ip) if guarded(ip.into()) => {
                let answer = ours(ip.into())
                    .then(|| packet::arp_reply(frame, ip))
                    .flatten();
                answer.map_or(Verdict::Drop, Verdict::Reply)
            }
            Frame::Tcp(ip, port, packet) if endpoints.contains(&(ip, port)) => {
                if service.vanishes() {
                    Verdict::Drop
                } else {
                    Verdict::Serve(packet.to_vec())
                }
            }
            // Other ports of the metadata address refuse, as the real ones do.
            Frame::Tcp(ip, _, packet) if guarded(ip) && ours(ip) && !service.vanishes() => {
                Verdict::Serve(packet.to_vec())
            }
            Frame::Tcp(ip, ..) | Frame::Ip(ip) if guarded(ip) => Verdict::Drop,
            _ => Verdict::Pass,
        }
    }

    /// One frame from the machine.
    fn take_frame(&mut self, frame: &[u8], machine: &mut Port, outside: &mut Port) {
        if let Some(mac) = packet::source_mac(frame) {
            self.machine = mac;
        }
        match self.judge(frame) {
            Verdict::Pass => outside.send(frame),
            Verdict::Drop => {}
            Verdict::Reply(reply) => machine.send(&reply),
            Verdict::Serve(packet) => self.server.input(&packet),
        }
    }
}

/// Takes a stream of frames as a machine on EC2 might send it, for `fuzz/`.
#[cfg(fuzzing)]
pub fn try_frames(bytes: &[u8]) {
    let Ok(provider) = crate::simulate::Provider::named("ec2") else {
        return;
    };
    let mut middle = Middle::new(Scenario::new(provider), Log::default());
    for frame in frames::split(&mut bytes.to_vec()).unwrap_or_default() {
        packet::source_mac(&frame);
        if let Verdict::Serve(packet) = middle.judge(&frame) {
            middle.server.input(&packet);
            middle.server.poll();
        }
    }
}

/// The running wire; dropping it ends its thread.
#[derive(Debug)]
pub(super) struct Wire {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Listens on `machine` (for the card) and `outside` (for the user network),
    /// waits for QEMU to connect to both, then passes frames in a thread.
    pub(super) fn start(
        machine: &Path,
        outside: &Path,
        scenario: Scenario,
        log: Log,
    ) -> Result<Self> {
        let bind = |path: &Path| {
            UnixListener::bind(path).environment(|| format!("listening on {}", path.display()))
        };
        let listeners = [bind(machine)?, bind(outside)?];
        let (stop, stopped) =
            UnixStream::pair().environment(|| "making a socket pair".to_owned())?;
        let thread = std::thread::Builder::new()
            .name("wire".to_owned())
            .spawn(move || {
                let mut ports = Vec::new();
                for listener in &listeners {
                    let Some(port) = accept(listener, &stopped) else {
                        return;
                    };
                    ports.push(port);
                }
                if let (Some(mut outside), Some(mut machine)) = (ports.pop(), ports.pop()) {
                    pass(
                        Middle::new(scenario, log),
                        &mut machine,
                        &mut outside,
                        &stopped,
                    );
                }
            })
            .environment(|| "starting the network thread".to_owned())?;
        Ok(Wire {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn accept(listener: &UnixListener, stopped: &UnixStream) -> Option<Port> {
    let mut fds = [
        PollFd::new(listener.as_fd(), PollFlags::POLLIN),
        PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
    ];
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return None,
            Ok(_) if fds[1].any() == Some(true) => return None,
            Ok(_) => return Port::new(listener.accept().ok()?.0).ok(),
        }
    }
}

fn pass(mut middle: Middle, machine: &mut Port, outside: &mut Port, mut stopped: &UnixStream) {
    loop {
        let (packets, wait) = middle.server.poll();
        for packet in packets {
            machine.send(&packet::wrap(&packet, middle.machine));
        }
        let timeout = wait.map_or(PollTimeout::NONE, |w| {
            // Rounded up, so that the time has come when we wake.
            PollTimeout::try_from(w.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = [
            PollFd::new(machine.fd(), machine.interest()),
            PollFd::new(outside.fd(), outside.interest()),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
        let ready = fds.map(|fd| fd.any().unwrap_or(true));
        if ready[2] && !matches!(stopped.read(&mut [0]), Ok(n) if n > 0) {
            return;
        }
        if ready[0] {
            machine.flush();
            let Some(frames) = machine.receive() else {
                return;
            };
            for frame in frames {
                middle.take_frame(&frame, machine, outside);
            }
        }
        if ready[1] {
            outside.flush();
            let Some(frames) = outside.receive() else {
                return;
            };
            for frame in frames {
                machine.send(&frame);
            }
        }
    }
}

#[cfg(test)]
mod tests;
