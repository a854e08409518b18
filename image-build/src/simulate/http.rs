//! The part of HTTP/1.1 (RFC 9112) a metadata service needs: requests with a
//! length, responses with a length, persistent connections.

/// Largest request line and headers accepted.
const HEAD_LIMIT: usize = 32 * 1024;
/// Largest request body accepted.
const BODY_LIMIT: usize = 1024 * 1024;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Method, in upper case as clients send it.
    pub method: String,
    /// Path without query, always starting with `/`.
    pub path: String,
    /// What follows `?`, else empty.
    pub query: String,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Whether the client will use the connection again.
    pub keep_alive: bool,
    /// The port it came from, where that is known.
    pub port: Option<u16>,
}

impl Request {
    /// A `GET` of `path`.
    pub fn get(path: &str) -> Self {
        Request {
            method: "GET".to_owned(),
            path: path.to_owned(),
            keep_alive: true,
            ..Request::default()
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers
            .push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// First value of the header `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Whether the method only reads.
    pub fn reads(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// What the start of a byte stream holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// No whole request yet.
    Incomplete,
    /// A request, and how many bytes it took.
    Whole(Box<Request>, usize),
    /// No request; answer with this status and close.
    Bad(u16),
}

/// Reads one request from the start of `bytes`.
pub fn parse(bytes: &[u8]) -> Parsed {
    let Some(head_len) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_LIMIT {
            Parsed::Bad(431)
        } else {
            Parsed::Incomplete
        };
    };
    let Ok(head) = std::str::from_utf8(&bytes[..head_len]) else {
        return Parsed::Bad(400);
    };
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (first.next(), first.next(), first.next(), first.next())
    else {
        return Parsed::Bad(400);
    };
    if !version.starts_with("HTTP/1.") || method.is_empty() {
        return Parsed::Bad(400);
    }
    // Absolute form, as sent to proxies.
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    if !target.starts_with('/') {
        return Parsed::Bad(400);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return Parsed::Bad(400);
        };
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
        keep_alive: version != "HTTP/1.0",
        port: None,
    };
    if let Some(connection) = request.header("connection") {
        request.keep_alive = match connection.to_ascii_lowercase().as_str() {
            "close" => false,
            "keep-alive" => true,
            _ => request.keep_alive,
        };
    }
    if request.header("transfer-encoding").is_some() {
        return Parsed::Bad(501);
    }
    let length = match request.header("content-length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(n)) if n <= BODY_LIMIT => n,
        Some(Ok(_)) => return Parsed::Bad(413),
        Some(Err(_)) => return Parsed::Bad(400),
    };
    let start = head_len + 4;
    match bytes.get(start..start + length) {
        None => Parsed::Incomplete,
        Some(body) => {
            request.body = body.to_vec();
            Parsed::Whole(Box::new(request), start + length)
        }
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Other headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    /// 200 with plain text.
    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Response {
            status: 200,
            content_type: "text/plain",
            headers: Vec::new(),
            body: body.into(),
        }
    }
    /// 200 with JSON.
    pub fn json(value: &serde_json::Value) -> Self {
        Response {
            content_type: "application/json",
            ..Response::text(format!("{value:#}"))
        }
    }
    /// 200 with raw bytes.
    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Response {
            content_type: "application/octet-stream",
            ..Response::text(body)
        }
    }
    /// A status with its name as the body.
    pub fn status(status: u16) -> Self {
        Response {
            status,
            ..Response::text(format!("{status} - {}\n", reason(status)))
        }
    }
    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// As bytes, in answer to `request`.
    pub fn encode(&self, request: &Request) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n",
            self.status,
            reason(self.status),
            self.content_type,
            self.body.len(),
            if request.keep_alive {
                "keep-alive"
            } else {
                "close"
            },
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut out = head.into_bytes();
        if request.method != "HEAD" {
            out.extend_from_slice(&self.body);
        }
        out
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_requests_and_what_follows() {
        let bytes =
            b"PUT /latest/api/token?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET";
        let Parsed::Whole(r, used) = parse(bytes) else {
            panic!()
        };
        assert_eq!(
            (r.method.as_str(), r.path.as_str(), r.query.as_str()),
            ("PUT", "/latest/api/token", "x=1")
        );
        assert_eq!(
            (r.body.as_slice(), used, r.keep_alive),
            (&b"abc"[..], bytes.len() - 3, true)
        );
        assert_eq!(parse(&bytes[..bytes.len() - 4]), Parsed::Incomplete);
    }

    #[test]
    fn connection_ends_when_asked() {
        for (head, keep) in [
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", false),
            ("GET http://x/y HTTP/1.1\r\n\r\n", true),
        ] {
            let Parsed::Whole(r, _) = parse(head.as_bytes()) else {
                panic!("{head}")
            };
            assert_eq!(r.keep_alive, keep, "{head}");
        }
    }

    #[test]
    fn bad_requests() {
        assert_eq!(parse(b"hello\r\n\r\n"), Parsed::Bad(400));
        assert_eq!(parse(b"GET x HTTP/1.1\r\n\r\n"), Parsed::Bad(400));
        assert_eq!(
            parse(b"PUT / HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n"),
            Parsed::Bad(413)
        );
        assert_eq!(parse(&vec![b'a'; HEAD_LIMIT + 1]), Parsed::Bad(431));
    }

    #[test]
    fn head_has_no_body() {
        let head = Request {
            method: "HEAD".to_owned(),
            ..Request::get("/")
        };
        let out = Response::text("abc").encode(&head);
        assert!(out.ends_with(b"\r\n\r\n"));
        assert!(
            String::from_utf8(out)
                .unwrap()
                .contains("Content-Length: 3\r\n")
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
        }
        #[test]
        fn never_panics_on_near_requests(tail in "[ -~\r\n:]{0,80}") {
            parse(format!("GET / HTTP/1.1\r\n{tail}\r\n\r\n").as_bytes());
        }
    }
}
