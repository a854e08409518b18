//! Requests from a privileged port, by which a service knows that root asks. The usual
//! client leaves the choice of its port to the kernel, and has no other way.

use super::{Failure, innermost};
use crate::error::Error;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use reqwest::{Body, Request, Response};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::{TcpSocket, TcpStream};

/// Ports tried, the highest first: nobody but root has one of these.
const PORTS: std::ops::Range<u16> = 512..1024;

/// Sends a plain HTTP request to the IP address in its URL.
pub(super) async fn send(request: Request) -> Result<Response, Failure> {
    let url = request.url();
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let (Ok(ip), "http") = (ip, url.scheme()) else {
        let what = format!("{host} is not asked from a privileged port: not an IP address");
        return Err(Failure::Final(Error::input(what)));
    };
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let to = SocketAddr::new(ip, url.port_or_known_default().unwrap_or(80));
    let stream = connect(to).await.map_err(Failure::Retry)?;
    let retry = |e: &dyn std::error::Error| Failure::Retry(innermost(e));
    let (mut sender, connection) = http1::handshake::<_, Body>(TokioIo::new(stream))
        .await
        .map_err(|e| retry(&e))?;
    // Ends with the connection: once the answer is read, or nobody reads it any more.
    tokio::spawn(connection);
    let mut request = hyper::Request::<Body>::try_from(request).map_err(|e| retry(&e))?;
    // To the server itself only the path is said.
    if let Ok(path) = path.parse() {
        *request.uri_mut() = path;
    }
    let headers = request.headers_mut();
    if let (false, Ok(value)) = (headers.contains_key("host"), authority.parse()) {
        headers.insert("host", value);
    }
    let response = sender.send_request(request).await.map_err(|e| retry(&e))?;
    Ok(response.map(Body::wrap).into())
}

/// A connection from the first port that is free.
async fn connect(to: SocketAddr) -> Result<TcpStream, String> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    for port in PORTS.rev() {
        let socket = match to {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.map_err(|e| e.to_string())?;
        match socket.bind(SocketAddr::new(any, port)) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AddrInUse => continue,
            Err(e) => return Err(format!("port {port} cannot be sent from: {e}")),
        }
        match socket.connect(to).await {
            // The one before may linger at the other end.
            Err(e) if e.kind() == ErrorKind::AddrNotAvailable => {}
            other => return other.map_err(|e| e.to_string()),
        }
    }
    Err("no privileged port is free".to_owned())
}
