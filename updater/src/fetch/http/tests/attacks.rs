//! What a hostile server or network may try (rows A of the attack list).

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::server::*;
use super::*;

const CHUNKED: [&str; 2] = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"];

fn endless(stream: &mut std::net::TcpStream, sent: &AtomicU64) -> std::io::Result<()> {
    let mut block = b"10000\r\n".to_vec();
    block.extend([b'x'; 0x10000]);
    block.extend(b"\r\n");
    loop {
        stream.write_all(&block)?;
        sent.fetch_add(0x10000, Ordering::Relaxed);
    }
}

#[test]
fn a2_an_endless_document_is_cut() {
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let server = Server::new(move |_, stream| {
        send(stream, &CHUNKED, b"")?;
        endless(stream, &count)
    });
    let e = source(&[&server], &options()).document("timestamp.json", 100_000);
    assert!(
        matches!(e, Err(Error::TooLong { cap: 100_000, .. })),
        "{e:?}"
    );
    assert_eq!(server.seen().len(), 1, "a liar is not asked twice");
    // What lies in socket buffers, and no more.
    assert!(sent.load(Ordering::Relaxed) < 32 << 20);
}

#[test]
fn a2_an_announced_excess_is_refused_unread() {
    let server = Server::new(|_, stream| {
        let head = ["HTTP/1.1 200 OK", "Content-Length: 999999999999"];
        send(stream, &head, b"x")?;
        silence(stream)
    });
    let e = source(&[&server], &options()).document("timestamp.json", 100);
    assert!(matches!(e, Err(Error::TooLong { cap: 100, .. })), "{e:?}");
}

#[test]
fn a2_an_endless_range_gives_what_was_asked_and_no_more() {
    let server = Server::new(|_, stream| {
        let head = [
            "HTTP/1.1 206 Partial Content",
            "Content-Range: bytes 5-99999/*",
            "Transfer-Encoding: chunked",
        ];
        send(stream, &head, b"")?;
        endless(stream, &AtomicU64::new(0))
    });
    let (got, result) = fetch(&mut source(&[&server], &options()), 5..100_000);
    result.unwrap();
    assert_eq!(got, vec![b'x'; 99_995]);
}

#[test]
fn a2_endless_headers_are_cut() {
    let server = Server::new(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            stream.write_all(&b"X-More: and more and more and more\r\n".repeat(100))?;
        }
    });
    let started = Instant::now();
    unreachable(source(&[&server], &options()).document("timestamp.json", 100));
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn a3_strange_names_never_leave_this_machine() {
    let server = Server::good(bytes(10));
    let mut source = source(&[&server], &options());
    for bad in ["../x", "/x", "a//b", "a?b", "http://elsewhere/x", ""] {
        let e = source.document(bad, 10);
        assert!(matches!(e, Err(Error::Name(_))), "{bad}: {e:?}");
        let e = source.range(bad, 0..1, &mut |_| Ok(()));
        assert!(matches!(e, Err(Error::Name(_))), "{bad}: {e:?}");
    }
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn a9_a_trickle_is_left_for_another_mirror_at_the_same_byte() {
    let body = bytes(300_000);
    let copy = body.clone();
    let slow = Server::new(move |request, stream| {
        let range = request.range().unwrap();
        part(stream, &range, copy.len())?;
        // A good start, then a byte now and then.
        let (start, rest) = copy[range].split_at(100_000);
        stream.write_all(start)?;
        for byte in rest.chunks(1) {
            stream.write_all(byte)?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    });
    let good = Server::good(body.clone());
    let mut options = impatient();
    options.floor.rate = 150_000;
    options.floor.window = Duration::from_secs(2);
    let (got, result) = fetch(&mut source(&[&slow, &good], &options), 0..300_000);
    result.unwrap();
    assert_eq!(got, body);
    assert!(
        good.starts()[0] >= 100_000,
        "what came is kept: {:?}",
        good.starts()
    );
}

#[test]
fn a9_silence_before_and_after_the_headers() {
    for early in [true, false] {
        let silent = Server::new(move |_, stream| {
            if early {
                stream.write_all(b"HTTP/1.1 200")?;
            } else {
                send(stream, &["HTTP/1.1 200 OK", "Content-Length: 9"], b"1")?;
            }
            silence(stream)
        });
        let good = Server::good(b"123456789".to_vec());
        let found = source(&[&silent, &good], &impatient()).document("timestamp.json", 9);
        assert_eq!(
            found.unwrap().as_deref(),
            Some(&b"123456789"[..]),
            "{early}"
        );
        let reason = unreachable(source(&[&silent], &impatient()).document("timestamp.json", 9));
        assert!(reason.contains("bytes came in 1s"), "{reason}");
    }
}

#[test]
fn a9_stalled_tls_ends_with_the_time_to_connect() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let mut options = options();
    options.connect = Duration::from_millis(300);
    let mut source = Http::new(&[&url], &options).unwrap();
    let reason = unreachable(source.document("timestamp.json", 9));
    assert!(reason.contains("no connection in time"), "{reason}");
}

#[test]
fn a9_the_deadline_holds_against_a_mirror_that_is_just_fast_enough() {
    let server = Server::new(|_, stream| {
        send(
            stream,
            &["HTTP/1.1 200 OK", "Content-Length: 99999999"],
            b"",
        )?;
        loop {
            stream.write_all(&[b' '; 100])?;
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let mut options = options();
    options.document = Duration::from_millis(1500);
    let started = Instant::now();
    let reason = unreachable(source(&[&server], &options).document("a.json", 99_999_999));
    assert!(reason.contains("not complete after 1.5s"), "{reason}");
    let took = started.elapsed();
    assert!((1500..20_000).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a9_a_slow_receiver_is_not_the_mirrors_fault() {
    let body = bytes(2_000_000);
    let server = Server::good(body.clone());
    let mut source = source(&[&server], &impatient());
    let mut slept = 0;
    let mut got = 0;
    source
        .range("data", 0..2_000_000, &mut |chunk| {
            if slept < 2 {
                slept += 1;
                std::thread::sleep(Duration::from_millis(1200));
            }
            got += chunk.len();
            Ok(())
        })
        .unwrap();
    assert_eq!(got, 2_000_000);
    assert_eq!(server.starts(), [0, PIECE, 2 * PIECE]);
}

#[test]
fn a13_a_redirect_loop_ends() {
    let server = Server::new(|_, stream| status(stream, 302, &["Location: /again"]));
    let reason = unreachable(source(&[&server], &options()).document("timestamp.json", 9));
    assert!(reason.contains("more than 5 redirects"), "{reason}");
    assert_eq!(server.seen().len(), 6);
}

#[test]
fn a13_redirects_to_other_schemes_are_refused() {
    for to in ["ftp://127.0.0.1/x", "file:///etc/passwd"] {
        let server =
            Server::new(move |_, stream| status(stream, 302, &[&format!("Location: {to}")]));
        unreachable(source(&[&server], &options()).document("timestamp.json", 9));
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn a13_a_redirect_keeps_the_range_and_gives_no_credentials_away() {
    let body = bytes(1000);
    let target = Server::good(body.clone());
    let to = format!("Location: {}/there", target.url);
    let first = Server::new(move |_, stream| status(stream, 307, &[&to]));
    let url = first.url.replace("http://", "http://user:secret@");
    let mut source = Http::new(&[&url], &options()).unwrap();
    let (got, result) = fetch(&mut source, 10..20);
    result.unwrap();
    assert_eq!(got, &body[10..20]);
    assert!(
        first.seen()[0]
            .header("authorization")
            .starts_with("Basic ")
    );
    assert_eq!(target.seen()[0].header("authorization"), "");
    assert_eq!(target.seen()[0].header("referer"), "");
}
