//! A web server of files on loopback that counts every byte it sends and can be
//! slow. Ranges as in RFC 9110, several in one request included: zchunk asks so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use image_build::simulate::http::{Parsed, Request, parse};

/// Between the parts of an answer with several ranges.
const BOUNDARY: &str = "holdfast-bench";
/// Most ranges that are answered in one request, as common web servers have it.
const MAX_RANGES: usize = 256;
/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(120);
/// Bytes of one write.
const PIECE: usize = 64 << 10;

/// What went over the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that were sent: headers and bodies.
    pub sent: u64,
    /// Bytes of requests.
    pub received: u64,
    /// Requests.
    pub requests: u64,
}

impl Traffic {
    /// Both directions.
    pub fn bytes(self) -> u64 {
        self.sent + self.received
    }
}

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// Traffic by the file's path.
    traffic: Mutex<BTreeMap<String, Traffic>>,
    pace: Mutex<Option<Pace>>,
    /// Files with one of these in their path are not there.
    hidden: Mutex<Vec<&'static str>>,
}

/// All connections together send so many bytes in a second.
#[derive(Debug)]
struct Pace {
    rate: f64,
    /// When all that was sent will have been due.
    even: Instant,
}

impl Server {
    /// Serves the files below `root` on a free port of loopback.
    pub fn start(root: &Path) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("opening a port")?;
        let port = listener.local_addr().context("opening a port")?.port();
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            traffic: Mutex::default(),
            pace: Mutex::new(None),
            hidden: Mutex::default(),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let (all, stopped) = (Arc::clone(&shared), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&all);
                // A client that goes away is nobody's failure.
                thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Ok(Server {
            port,
            shared,
            stop,
            thread: Some(thread),
        })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL of a path below the root.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Sends at most so many bytes per second from now on; none: as fast as it can.
    pub fn limit(&self, rate: Option<f64>) {
        *lock(&self.shared.pace) = rate.map(|rate| Pace {
            rate,
            even: Instant::now(),
        });
    }

    /// From now on, files with one of these texts in their path are not there.
    pub fn hide(&self, texts: &[&'static str]) {
        *lock(&self.shared.hidden) = texts.to_vec();
    }

    /// What went over the wire since this was asked last, by path of the file.
    pub fn take(&self) -> BTreeMap<String, Traffic> {
        std::mem::take(&mut lock(&self.shared.traffic))
    }
}

/// All of it.
pub fn total(traffic: &BTreeMap<String, Traffic>) -> Traffic {
    traffic.values().fold(Traffic::default(), |sum, t| Traffic {
        sent: sum.sent + t.sent,
        received: sum.received + t.received,
        requests: sum.requests + t.requests,
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread, which then sees that it is to stop.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(IDLE))?;
        stream.set_nodelay(true)?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            let (request, len) = match parse(&bytes) {
                Parsed::Whole(request, len) => (request, len),
                Parsed::Bad(_) => return Ok(()),
                Parsed::Incomplete => {
                    let more = stream.read(&mut buffer)?;
                    if more == 0 {
                        return Ok(());
                    }
                    bytes.extend_from_slice(&buffer[..more]);
                    continue;
                }
            };
            bytes.drain(..len);
            {
                let mut traffic = lock(&self.traffic);
                let entry = traffic.entry(request.path.clone()).or_default();
                entry.requests += 1;
                entry.received += len as u64;
            }
            self.answer(&request, &stream)?;
            if !request.keep_alive {
                return Ok(());
            }
        }
    }

    fn answer(&self, request: &Request, stream: &TcpStream) -> io::Result<()> {
        let mut to = BufWriter::with_capacity(
            PIECE,
            Counted {
                stream,
                shared: self,
                path: &request.path,
            },
        );
        let file = match self.file(&request.path) {
            Some(file) if request.reads() => file,
            _ => {
                to.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
                return to.flush();
            }
        };
        let len = file.metadata()?.len();
        let body = request.method == "GET";
        let ranges = request.header("range").map(|text| ranges(text, len));
        match ranges {
            None | Some(Wanted::All) => {
                write!(
                    to,
                    "HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nContent-Length: {len}\r\n\r\n"
                )?;
                if body {
                    copy(&file, 0..len, &mut to)?;
                }
            }
            Some(Wanted::Nothing) => {
                write!(
                    to,
                    "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{len}\r\n\
                     Content-Length: 0\r\n\r\n"
                )?;
            }
            Some(Wanted::Ranges(ranges)) if ranges.len() == 1 => {
                let range = ranges[0].clone();
                write!(
                    to,
                    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {}-{}/{len}\r\n\
                     Content-Length: {}\r\n\r\n",
                    range.start,
                    range.end - 1,
                    range.end - range.start
                )?;
                if body {
                    copy(&file, range, &mut to)?;
                }
            }
            Some(Wanted::Ranges(ranges)) => {
                let heads: Vec<String> = ranges.iter().map(|range| part(range, len)).collect();
                let end = format!("\r\n--{BOUNDARY}--\r\n");
                let bytes: u64 = heads.iter().map(|head| head.len() as u64).sum::<u64>()
                    + ranges.iter().map(|r| r.end - r.start).sum::<u64>()
                    + end.len() as u64;
                write!(
                    to,
                    "HTTP/1.1 206 Partial Content\r\nContent-Length: {bytes}\r\n\
                     Content-Type: multipart/byteranges; boundary={BOUNDARY}\r\n\r\n"
                )?;
                if body {
                    for (head, range) in heads.iter().zip(ranges) {
                        to.write_all(head.as_bytes())?;
                        copy(&file, range, &mut to)?;
                    }
                    to.write_all(end.as_bytes())?;
                }
            }
        }
        to.flush()
    }

    fn file(&self, path: &str) -> Option<File> {
        if lock(&self.hidden).iter().any(|text| path.contains(text)) {
            return None;
        }
        let path = Path::new(path.strip_prefix('/')?);
        let plain = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        let path = self.root.join(path);
        (plain && path.is_file()).then(|| File::open(path).ok())?
    }

    /// Counts bytes and waits until they are due.
    fn sent(&self, path: &str, bytes: u64) {
        if let Some(traffic) = lock(&self.traffic).get_mut(path) {
            traffic.sent += bytes;
        } else {
            lock(&self.traffic).entry(path.to_owned()).or_default().sent += bytes;
        }
        let wait = lock(&self.pace).as_mut().map(|pace| {
            let now = Instant::now();
            pace.even = pace.even.max(now) + Duration::from_secs_f64(bytes as f64 / pace.rate);
            pace.even - now
        });
        thread::sleep(wait.unwrap_or_default());
    }
}

struct Counted<'a> {
    stream: &'a TcpStream,
    shared: &'a Shared,
    path: &'a str,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.stream.write(&bytes[..bytes.len().min(PIECE)])?;
        self.shared.sent(self.path, sent as u64);
        Ok(sent)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn copy(file: &File, range: Range<u64>, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut at = range.start;
    while at < range.end {
        let now = buffer.len().min((range.end - at) as usize);
        file.read_exact_at(&mut buffer[..now], at)?;
        to.write_all(&buffer[..now])?;
        at += now as u64;
    }
    Ok(())
}

fn part(range: &Range<u64>, len: u64) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "\r\n--{BOUNDARY}\r\nContent-Range: bytes {}-{}/{len}\r\n\r\n",
        range.start,
        range.end - 1
    );
    text
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// The header is not understood, or has too many ranges: it does not count.
    All,
    Nothing,
    Ranges(Vec<Range<u64>>),
}

fn ranges(text: &str, len: u64) -> Wanted {
    let Some(list) = text.strip_prefix("bytes=") else {
        return Wanted::All;
    };
    let mut ranges = Vec::new();
    for spec in list.split(',') {
        let Some((from, to)) = spec.trim().split_once('-') else {
            return Wanted::All;
        };
        let range = match (from.parse::<u64>(), to.parse::<u64>()) {
            (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(len),
            (Ok(from), Err(_)) if to.is_empty() => from..len,
            (Err(_), Ok(last)) if from.is_empty() => len.saturating_sub(last)..len,
            _ => return Wanted::All,
        };
        if range.start < range.end {
            ranges.push(range);
        }
    }
    match ranges.len() {
        0 => Wanted::Nothing,
        n if n > MAX_RANGES => Wanted::All,
        _ => Wanted::Ranges(ranges),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(server: &Server, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn ranges_as_clients_write_them() {
        assert_eq!(
            ranges("bytes=0-1, 4-4,8-", 10),
            Wanted::Ranges(vec![0..2, 4..5, 8..10])
        );
        assert_eq!(ranges("bytes=-3", 10), Wanted::Ranges(vec![7..10]));
        assert_eq!(ranges("bytes=5-99", 10), Wanted::Ranges(vec![5..10]));
        assert_eq!(ranges("bytes=10-", 10), Wanted::Nothing);
        assert_eq!(ranges("lines=1-2", 10), Wanted::All);
        assert_eq!(ranges("bytes=2-1", 10), Wanted::All);
    }

    #[test]
    fn what_is_sent_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "0123456789").unwrap();
        let server = Server::start(dir.path()).unwrap();
        let close = "Connection: close\r\n\r\n";
        let request = format!("GET /f HTTP/1.1\r\n{close}");
        let whole = ask(&server, &request);
        assert!(whole.ends_with("\r\n\r\n0123456789"), "{whole}");
        let traffic = total(&server.take());
        assert_eq!(traffic.sent, whole.len() as u64);
        assert_eq!(traffic.received, request.len() as u64);
        assert_eq!(traffic.requests, 1);

        let two = ask(
            &server,
            &format!("GET /f HTTP/1.1\r\nRange: bytes=1-2,5-6\r\n{close}"),
        );
        let (head, body) = two.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 206"), "{head}");
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{head}"
        );
        assert!(body.contains("bytes 1-2/10\r\n\r\n12\r\n"), "{body}");
        for path in ["/g", "/../f", "//f"] {
            let answer = ask(&server, &format!("GET {path} HTTP/1.1\r\n{close}"));
            assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        }
    }

    #[test]
    fn a_limit_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), vec![0; 50_000]).unwrap();
        let server = Server::start(dir.path()).unwrap();
        server.limit(Some(200_000.0));
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        let start = Instant::now();
        stream
            .write_all(b"GET /f HTTP/1.1\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(240));
    }
}
