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
    let stream = connect(to).await?;
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
async fn connect(to: SocketAddr) -> Result<TcpStream, Failure> {
    let retry = |e: std::io::Error| Failure::Retry(e.to_string());
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    for port in PORTS.rev() {
        let socket = match to {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.map_err(retry)?;
        match socket.bind(SocketAddr::new(any, port)) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AddrInUse => continue,
            Err(e) => {
                let what = format!("cannot send from port {port}");
                return Err(Failure::Final(Error::environment(what).because(e)));
            }
        }
        match socket.connect(to).await {
            // The one before may linger at the other end.
            Err(e) if e.kind() == ErrorKind::AddrNotAvailable => {}
            other => return other.map_err(retry),
        }
    }
    Err(Failure::Retry("no privileged port is free".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::{Http, Request};
    use crate::net::Wake;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::Duration;
    use tokio::time::Instant;

    /// As anybody but root there is an error at once that says why.
    #[test]
    fn the_other_end_sees_a_low_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a?b=c", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, from) = listener.accept().unwrap();
            let mut said = vec![0; 4096];
            let n = stream.read(&mut said).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\nok")
                .unwrap();
            (
                from.port(),
                String::from_utf8_lossy(&said[..n]).into_owned(),
            )
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let reply = runtime.block_on(async {
            let http = Http::new(Wake::never()).unwrap();
            let request = Request::get(&url)
                .headers(&[("X-One", "1")])
                .from_low_port();
            http.send(&request, Instant::now() + Duration::from_secs(10))
                .await
        });
        match reply {
            Ok(reply) => {
                assert_eq!(reply.body, b"ok");
                let (port, said) = server.join().unwrap();
                assert!(port < 1024, "{port}");
                assert!(said.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{said}");
                let said = said.to_ascii_lowercase();
                assert!(said.contains("\r\nhost: 127.0.0.1:"), "{said}");
                assert!(said.contains("\r\nx-one: 1\r\n"), "{said}");
            }
            Err(error) => {
                assert!(!nix::unistd::geteuid().is_root(), "{}", error.chain());
                assert!(
                    error.chain().contains("cannot send from port"),
                    "{}",
                    error.chain()
                );
            }
        }
    }
}
