//! A little HTTP server whose answers are closures over the socket.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone)]
pub(super) struct Request {
    /// What follows `GET`.
    pub target: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    /// Requests to this server before.
    pub before: usize,
    /// Connections to this server before.
    pub connection: usize,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The bytes asked for.
    pub(super) fn range(&self) -> Option<Range<usize>> {
        let (first, last) = self
            .header("range")
            .strip_prefix("bytes=")?
            .split_once('-')?;
        Some(first.parse().ok()?..last.parse::<usize>().ok()? + 1)
    }
}

pub(super) struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers each request with `answer`; the connection is closed when it fails.
    pub(super) fn new(
        answer: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), seen.clone());
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                let (answer, log) = (answer.clone(), log.clone());
                std::thread::spawn(move || talk(connection, stream, &*answer, &log));
            }
        });
        Server { url, seen }
    }

    /// One that serves `body` properly under every name.
    pub(super) fn good(body: Vec<u8>) -> Server {
        Server::new(move |request, stream| serve(request, stream, &body))
    }

    pub(super) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// First bytes of the ranges asked for.
    pub(super) fn starts(&self) -> Vec<usize> {
        let ranges = self.seen().into_iter().filter_map(|r| r.range());
        ranges.map(|r| r.start).collect()
    }
}

fn talk(
    connection: usize,
    mut stream: TcpStream,
    answer: &dyn Fn(&Request, &mut TcpStream) -> io::Result<()>,
    log: &Mutex<Vec<Request>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(first) = lines.next().transpose()? {
        let mut headers = HashMap::new();
        for line in lines.by_ref() {
            let line = line?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let request = {
            let mut log = log.lock().unwrap();
            let request = Request {
                target: first.split(' ').nth(1).unwrap_or_default().to_owned(),
                headers,
                before: log.len(),
                connection,
            };
            log.push(request.clone());
            request
        };
        answer(&request, &mut stream)?;
    }
    Ok(())
}

/// Sends head lines, an empty one and `body`.
pub(super) fn send(stream: &mut TcpStream, head: &[&str], body: &[u8]) -> io::Result<()> {
    let mut all = head.join("\r\n").into_bytes();
    all.extend_from_slice(b"\r\n\r\n");
    all.extend_from_slice(body);
    stream.write_all(&all)
}

/// 200 with all of `body`.
pub(super) fn whole(stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    let length = format!("Content-Length: {}", body.len());
    send(stream, &["HTTP/1.1 200 OK", &length], body)
}

/// Only a status, with more head lines.
pub(super) fn status(stream: &mut TcpStream, status: u16, more: &[&str]) -> io::Result<()> {
    let first = format!("HTTP/1.1 {status} X");
    send(
        stream,
        &[&[&first, "Content-Length: 0"][..], more].concat(),
        b"",
    )
}

/// The head of a proper 206 for `range` of a file of `length` bytes.
pub(super) fn part(stream: &mut TcpStream, range: &Range<usize>, length: usize) -> io::Result<()> {
    let place = format!(
        "Content-Range: bytes {}-{}/{length}",
        range.start,
        range.end - 1
    );
    let size = format!("Content-Length: {}", range.len());
    let etag = "ETag: \"first\"";
    send(
        stream,
        &["HTTP/1.1 206 Partial Content", &place, &size, etag],
        b"",
    )
}

/// As a good server does.
pub(super) fn serve(request: &Request, stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    match request.range() {
        None => whole(stream, body),
        Some(range) if range.end > body.len() => status(stream, 416, &[]),
        Some(range) => {
            part(stream, &range, body.len())?;
            stream.write_all(&body[range])
        }
    }
}

/// Closes the connection.
pub(super) fn hang_up() -> io::Result<()> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

/// Says nothing more, until the client goes away.
pub(super) fn silence(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink())?;
    hang_up()
}
