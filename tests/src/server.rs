//! A web server for a folder, as a release repository needs it: plain files and byte
//! ranges (RFC 9110, section 14), on a free port of loopback. Machines reach it through
//! QEMU's user network at `10.0.2.2`. It can be slow, and it remembers what it sent.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use image_build::error::{Context, Result};
use image_build::simulate::http::{Request, Response};

use crate::connection::serve;

/// Bytes written at once.
const PIECE: usize = 16 << 10;

/// What was sent of one file in answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Path below the folder.
    pub path: String,
    /// The bytes that went out; fewer than were asked for if the client went away.
    pub bytes: Range<u64>,
}

#[derive(Debug, Default)]
struct Shared {
    folder: PathBuf,
    /// Bytes per second of each connection; 0 for no limit.
    pace: AtomicU64,
    stop: AtomicBool,
    sent: Mutex<Vec<Sent>>,
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        let what = || "opening a port".to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).environment(what)?;
        let address = listener.local_addr().environment(what)?;
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            ..Shared::default()
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.stop.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&of_thread);
                let Ok(stream) = stream else { continue };
                // A client that goes away is no failure of the server.
                std::thread::spawn(move || serve(stream, |request, to| shared.answer(request, to)));
            }
        });
        Ok(Server {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Sends at most so many bytes a second over each connection.
    pub fn limit(&self, bytes: u64) {
        self.shared.pace.store(bytes, Ordering::SeqCst);
    }

    /// The folder's URL, as a machine sees it.
    pub fn url(&self) -> String {
        format!("http://10.0.2.2:{}", self.address.port())
    }

    /// What was sent so far, in the order of the requests.
    pub fn sent(&self) -> Vec<Sent> {
        self.shared.log().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the thread, which then sees that it is to stop.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file that a request names. Nothing outside of the folder.
    fn file(&self, path: &str) -> Option<(File, u64)> {
        let path = Path::new(path.strip_prefix('/')?);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if !path.components().all(plain) {
            return None;
        }
        let file = File::open(self.folder.join(path)).ok()?;
        let meta = file.metadata().ok().filter(|meta| meta.is_file())?;
        Some((file, meta.len()))
    }

    /// Answers one request.
    fn answer(&self, request: &Request, to: &mut TcpStream) -> std::io::Result<()> {
        let plain = |status| Response::status(status).encode(request);
        if !request.reads() {
            return to.write_all(&plain(405));
        }
        let Some((file, length)) = self.file(&request.path) else {
            return to.write_all(&plain(404));
        };
        let (status, range) = match request.header("range").map(|text| range(text, length)) {
            None => ("200 OK", 0..length),
            Some(Some(range)) => ("206 Partial Content", range),
            Some(None) => return to.write_all(&plain(416)),
        };
        let mut head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\nContent-Length: {}\r\n",
            range.end - range.start
        );
        if status.starts_with("206") {
            let last = range.end - 1;
            head += &format!("Content-Range: bytes {}-{last}/{length}\r\n", range.start);
        }
        to.write_all((head + "\r\n").as_bytes())?;
        if request.method == "HEAD" {
            return Ok(());
        }
        self.body(&request.path, &file, range, to)
    }

    fn body(
        &self,
        path: &str,
        file: &File,
        range: Range<u64>,
        to: &mut TcpStream,
    ) -> std::io::Result<()> {
        let number = {
            let mut log = self.log();
            log.push(Sent {
                path: path.trim_start_matches('/').to_owned(),
                bytes: range.start..range.start,
            });
            log.len() - 1
        };
        let started = Instant::now();
        let mut at = range.start;
        let mut buffer = [0; PIECE];
        while at < range.end {
            let want = usize::try_from(range.end - at).map_or(PIECE, |left| left.min(PIECE));
            let piece = &mut buffer[..want];
            file.read_exact_at(piece, at)?;
            to.write_all(piece)?;
            at += want as u64;
            self.log()[number].bytes.end = at;
            let pace = self.pace.load(Ordering::SeqCst);
            if pace > 0 {
                let due = Duration::from_secs_f64((at - range.start) as f64 / pace as f64);
                std::thread::sleep(due.saturating_sub(started.elapsed()));
            }
            if self.stop.load(Ordering::SeqCst) {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
        }
        Ok(())
    }
}

/// The one range of a `Range` header that a file of `length` bytes can satisfy.
fn range(text: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let end = match last {
        "" => length,
        last => last.parse::<u64>().ok()?.saturating_add(1).min(length),
    };
    (first < end).then_some(first..end)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn ranges() {
        for (text, want) in [
            ("bytes=0-9", Some(0..10)),
            ("bytes=90-", Some(90..100)),
            ("bytes=90-200", Some(90..100)),
            ("bytes=100-", None),
            ("bytes=9-8", None),
            ("bytes=-5", None),
            ("lines=0-1", None),
        ] {
            assert_eq!(range(text, 100), want, "{text}");
        }
    }

    #[test]
    fn files_parts_of_files_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("served")).unwrap();
        std::fs::write(folder.path().join("served/f"), "0123456789").unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        let server = Server::start(&folder.path().join("served")).unwrap();
        let get = |path: &str, more: &str| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            write!(
                stream,
                "GET {path} HTTP/1.1\r\n{more}Connection: close\r\n\r\n"
            )
            .unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        assert!(get("/f", "").ends_with("\r\n\r\n0123456789"));
        let part = get("/f", "Range: bytes=2-4\r\n");
        assert!(part.starts_with("HTTP/1.1 206") && part.ends_with("\r\n\r\n234"));
        assert!(part.contains("Content-Range: bytes 2-4/10\r\n"));
        assert!(get("/f", "Range: bytes=10-\r\n").starts_with("HTTP/1.1 416"));
        for path in ["/g", "/../secret", "/", "//etc/passwd"] {
            assert!(get(path, "").starts_with("HTTP/1.1 404"), "{path}");
        }
        let sent = |bytes| Sent {
            path: "f".to_owned(),
            bytes,
        };
        assert_eq!(server.sent(), [sent(0..10), sent(2..5)]);
    }

    #[test]
    fn it_can_be_slow() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("f"), vec![0; 64 << 10]).unwrap();
        let server = Server::start(folder.path()).unwrap();
        server.limit(256 << 10);
        let started = Instant::now();
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(b"GET /f HTTP/1.0\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        assert!(started.elapsed() >= Duration::from_millis(240));
    }
}
