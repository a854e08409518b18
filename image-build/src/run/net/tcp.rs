//! The TCP end of intercepted connections: smoltcp below, HTTP above. Packets
//! come and go as bytes, so no device, privilege or port of the host is used.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, Ipv6Address};

use crate::simulate::http::{self, Parsed, Response};
use crate::simulate::{GATEWAY, Service};

/// Listening sockets per port: connections that may begin between two polls.
const LISTENERS: usize = 8;
const BUFFER: usize = 64 * 1024;
/// A connection that says nothing for so long is dropped.
const IDLE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(120);
/// Bytes of a request kept while it is not whole.
const REQUEST_LIMIT: usize = 2 * 1024 * 1024;

/// A network device in memory.
#[derive(Debug)]
pub(super) struct Queues {
    medium: Medium,
    pub(super) input: VecDeque<Vec<u8>>,
    pub(super) output: VecDeque<Vec<u8>>,
}

impl Queues {
    pub(super) fn new(medium: Medium) -> Self {
        Queues {
            medium,
            input: VecDeque::new(),
            output: VecDeque::new(),
        }
    }
}

pub(super) struct Incoming(Vec<u8>);
pub(super) struct Outgoing<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let out = f(&mut packet);
        self.0.push_back(packet);
        out
    }
}

impl Device for Queues {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Incoming, Outgoing<'_>)> {
        let packet = self.input.pop_front()?;
        Some((Incoming(packet), Outgoing(&mut self.output)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.output))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = self.medium;
        // Of Ethernet, smoltcp wants the header counted.
        caps.max_transmission_unit = if self.medium == Medium::Ethernet {
            1514
        } else {
            1500
        };
        // Nothing is damaged on the way, and a card may leave sums to the wire.
        caps.checksum.tcp = Checksum::Tx;
        caps
    }
}

/// What a connection still has to do.
#[derive(Debug)]
struct Connection {
    handle: SocketHandle,
    request: Vec<u8>,
    response: VecDeque<u8>,
    /// Nothing is sent before this time.
    not_before: Instant,
    /// Between two bytes, if they are to be sent one by one.
    pace: Option<Duration>,
    closing: bool,
}

/// Serves HTTP on every port of the provider's endpoints.
pub(super) struct Server {
    service: Service,
    interface: Interface,
    sockets: SocketSet<'static>,
    wire: Queues,
    ports: Vec<u16>,
    listeners: Vec<(u16, SocketHandle)>,
    connections: Vec<Connection>,
}

impl Server {
    /// With `accepting` false, every connection is refused.
    pub(super) fn new(service: Service, accepting: bool) -> Self {
        let mut wire = Queues::new(Medium::Ip);
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = 0x686f_6c64_6661_7374;
        let mut interface = Interface::new(config, &mut wire, Instant::ZERO);
        let v6 = Ipv6Address::new(0xfec0, 0, 0, 0, 0, 0, 0, 2);
        interface.update_ip_addrs(|list| {
            // There is room for both: the lists are sized when smoltcp is built.
            let _ = list.push(IpCidr::new(IpAddress::Ipv4(GATEWAY), 24));
            let _ = list.push(IpCidr::new(IpAddress::Ipv6(v6), 64));
        });
        let _ = interface.routes_mut().add_default_ipv4_route(GATEWAY);
        let _ = interface.routes_mut().add_default_ipv6_route(v6);
        // Accept packets to every address that is routed to us.
        interface.set_any_ip(true);
        let mut ports: Vec<u16> = Vec::new();
        if accepting {
            ports.extend(service.scenario().provider.endpoints.iter().map(|e| e.1));
            ports.sort_unstable();
            ports.dedup();
        }
        Server {
            service,
            interface,
            sockets: SocketSet::new(Vec::new()),
            wire,
            ports,
            listeners: Vec::new(),
            connections: Vec::new(),
        }
    }

    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    /// Takes an IP packet from the machine.
    pub(super) fn input(&mut self, packet: &[u8]) {
        self.wire.input.push_back(packet.to_vec());
    }

    /// Works; returns packets for the machine, and when to call again at the latest.
    pub(super) fn poll(&mut self) -> (Vec<Vec<u8>>, Option<Duration>) {
        let now = self.now();
        self.listen();
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
        self.accept(now);
        for connection in &mut self.connections {
            let socket = self.sockets.get_mut::<tcp::Socket>(connection.handle);
            serve(&self.service, connection, socket, now);
        }
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
        let sockets = &mut self.sockets;
        self.connections.retain(|c| {
            let open = sockets.get::<tcp::Socket>(c.handle).is_open();
            if !open {
                sockets.remove(c.handle);
            }
            open
        });
        let delayed = self
            .connections
            .iter()
            .filter(|c| !c.response.is_empty())
            .map(|c| c.not_before)
            .filter(|t| *t > now)
            .min();
        let next = [self.interface.poll_at(now, &self.sockets), delayed]
            .into_iter()
            .flatten()
            .min();
        let wait = next.map(|at| {
            Duration::from_micros((at - now).total_micros()).max(Duration::from_millis(1))
        });
        (self.wire.output.drain(..).collect(), wait)
    }

    fn now(&self) -> Instant {
        Instant::from_micros(i64::try_from(self.service.age().as_micros()).unwrap_or(i64::MAX))
    }

    fn listen(&mut self) {
        for &port in &self.ports {
            let have = self.listeners.iter().filter(|(p, _)| *p == port).count();
            for _ in have..LISTENERS {
                let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
                let mut socket = tcp::Socket::new(buffer(), buffer());
                socket.set_timeout(Some(IDLE));
                socket.set_nagle_enabled(false);
                if socket.listen(port).is_ok() {
                    self.listeners.push((port, self.sockets.add(socket)));
                }
            }
        }
    }

    /// Listeners that were called become connections.
    fn accept(&mut self, now: Instant) {
        let (sockets, connections) = (&self.sockets, &mut self.connections);
        self.listeners.retain(|&(_, handle)| {
            let listening = sockets.get::<tcp::Socket>(handle).is_listening();
            if !listening {
                connections.push(Connection {
                    handle,
                    request: Vec::new(),
                    response: VecDeque::new(),
                    not_before: now,
                    pace: None,
                    closing: false,
                });
            }
            listening
        });
    }
}

fn serve(
    service: &Service,
    connection: &mut Connection,
    socket: &mut tcp::Socket<'_>,
    now: Instant,
) {
    while socket.can_recv() {
        let taken = socket.recv(|bytes| {
            connection.request.extend_from_slice(bytes);
            (bytes.len(), ())
        });
        if taken.is_err() || connection.request.len() > REQUEST_LIMIT {
            socket.abort();
            return;
        }
    }
    while connection.response.is_empty() && !connection.closing && !connection.request.is_empty() {
        let Some(called) = socket
            .local_endpoint()
            .map(|e| SocketAddr::new(e.addr.into(), e.port))
        else {
            return;
        };
        match http::parse(&connection.request) {
            Parsed::Incomplete => break,
            Parsed::Bad(status) => {
                let request = http::Request::default();
                connection
                    .response
                    .extend(Response::status(status).encode(&request));
                connection.closing = true;
            }
            Parsed::Whole(mut request, used) => {
                request.port = socket.remote_endpoint().map(|e| e.port);
                connection.request.drain(..used);
                let answer = service.respond(called, &request);
                connection.response.extend(answer.bytes);
                connection.not_before = now + smoltcp::time::Duration::from(answer.delay);
                connection.pace = answer.pace;
                connection.closing = answer.closes;
            }
        }
    }
    if now < connection.not_before {
        return;
    }
    while socket.can_send() && !connection.response.is_empty() {
        let whole = connection.response.make_contiguous();
        let part = match connection.pace {
            Some(_) => &whole[..1],
            None => whole,
        };
        match socket.send_slice(part) {
            Ok(n) if n > 0 => drop(connection.response.drain(..n)),
            _ => break,
        }
        if let Some(pace) = connection.pace {
            connection.not_before = now + smoltcp::time::Duration::from(pace);
            break;
        }
    }
    let peer_done =
        !socket.may_recv() && socket.is_active() && socket.state() != tcp::State::SynReceived;
    if connection.response.is_empty() && (connection.closing || peer_done) {
        socket.close();
    }
}
