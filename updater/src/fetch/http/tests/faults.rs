//! Servers and networks that fail without malice (rows C of the fault list).

use std::io::{Read, Write};
use std::net::TcpListener;

use super::server::*;
use super::*;

#[test]
fn a_broken_range_goes_on_where_it_broke() {
    let body = bytes(1_000_000);
    let copy = body.clone();
    let server = Server::new(move |request, stream| {
        let range = request.range().unwrap();
        part(stream, &range, copy.len())?;
        let most = range.len().min(300_000);
        stream.write_all(&copy[range][..most])?;
        if most == 300_000 { hang_up() } else { Ok(()) }
    });
    let (got, result) = fetch(&mut source(&[&server], &options()), 10..999_990);
    result.unwrap();
    assert_eq!(got, &body[10..999_990]);
    assert_eq!(server.starts(), [10, 300_010, 600_010, 900_010]);
    let conditions: Vec<_> = server
        .seen()
        .iter()
        .map(|r| r.header("if-range").to_owned())
        .collect();
    assert_eq!(conditions, ["", "\"first\"", "\"first\"", "\"first\""]);
}

/// Seen on machines whose power was cut while their disk was slower than the network:
/// megabytes lay in the buffers on the way, and were fetched twice.
#[test]
fn no_more_than_a_piece_is_under_way() {
    let server = Server::good(bytes(3_000_000));
    let mut source = source(&[&server], &options());
    let mut at = 100;
    source
        .range("data", 100..3_000_000, &mut |chunk| {
            let asked = server.seen().last().unwrap().range().unwrap();
            assert!(asked.end <= (at / PIECE + 1) * PIECE, "{asked:?} at {at}");
            at += chunk.len();
            Ok(())
        })
        .unwrap();
    assert_eq!(at, 3_000_000);
    assert_eq!(
        server.starts(),
        [100, PIECE, 2 * PIECE, 3 * PIECE, 4 * PIECE]
    );
    assert!(server.seen().iter().all(|request| request.connection == 0));
}

#[test]
fn a_server_without_ranges_sends_the_whole_file_once() {
    let server = Server::new(|_, stream| {
        let head = ["HTTP/1.1 200 OK", "Content-Length: 2000000"];
        send(stream, &head, &bytes(2_000_000))
    });
    let (got, result) = fetch(&mut source(&[&server], &options()), 10..1_999_990);
    result.unwrap();
    assert_eq!(got, &bytes(2_000_000)[10..1_999_990]);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_mirror_that_sends_next_to_nothing_is_given_up() {
    let server = Server::new(|request, stream| {
        let range = request.range().unwrap();
        part(stream, &range, 1_000_000)?;
        stream.write_all(b"x")?;
        hang_up()
    });
    let (got, result) = fetch(&mut source(&[&server], &options()), 0..1_000_000);
    unreachable(result);
    assert_eq!(got.len(), 3);
}

#[test]
fn a_document_that_always_breaks_is_given_up() {
    let server = Server::new(|_, stream| {
        let head = ["HTTP/1.1 200 OK", "Content-Length: 200000"];
        send(stream, &head, &[b' '; 150_000])?;
        hang_up()
    });
    unreachable(source(&[&server], &options()).document("a.json", 200_000));
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn reset_connections_are_tried_again() {
    let body = bytes(5000);
    let copy = body.clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (count, mut stream) in listener.incoming().flatten().enumerate() {
            // Unread bytes make the kernel send a reset.
            if count < 2 {
                let _ = stream.read(&mut [0; 4]);
            } else {
                let _ = stream.read(&mut [0; 4096]);
                let _ = whole(&mut stream, &copy);
            }
        }
    });
    let mut source = Http::new(&[url], &options()).unwrap();
    assert_eq!(source.document("a.json", 5000).unwrap(), Some(body));
}

#[test]
fn a_server_without_ranges_serves_all_the_same() {
    let body = bytes(400_000);
    let copy = body.clone();
    let server = Server::new(move |request, stream| {
        // The first answer breaks.
        if request.before == 0 {
            let length = format!("Content-Length: {}", copy.len());
            send(stream, &["HTTP/1.0 200 OK", &length], &copy[..250_000])?;
            return hang_up();
        }
        whole(stream, &copy)
    });
    let (got, result) = fetch(&mut source(&[&server], &options()), 1000..399_000);
    result.unwrap();
    assert_eq!(got, &body[1000..399_000]);
}

#[test]
fn a_server_may_send_a_long_range_in_parts() {
    let body = bytes(500_000);
    let copy = body.clone();
    let server = Server::new(move |request, stream| {
        let mut range = request.range().unwrap();
        range.end = range.end.min(range.start + 100_000);
        part(stream, &range, copy.len())?;
        stream.write_all(&copy[range])
    });
    let (got, result) = fetch(&mut source(&[&server], &options()), 0..500_000);
    result.unwrap();
    assert_eq!(got, body);
    assert_eq!(server.seen().len(), 5);
    assert!(server.seen().iter().all(|r| r.connection == 0));
}

#[test]
fn wrong_and_missing_ranges_are_refused() {
    let body = bytes(1000);
    let shifted = Server::new(|request, stream| {
        let range = request.range().unwrap();
        part(stream, &(range.start + 1..range.end + 1), 1000)?;
        stream.write_all(&[0; 10])
    });
    let (got, result) = fetch(&mut source(&[&shifted], &options()), 10..20);
    assert!(unreachable(result).contains("was asked for bytes 10-19"));
    assert_eq!(got, b"");

    let short = Server::good(body);
    let (got, result) = fetch(&mut source(&[&short], &options()), 990..1001);
    assert!(unreachable(result).contains("answered 416"));
    assert_eq!((got.len(), short.seen().len()), (0, 1));

    let missing = Server::new(|_, stream| status(stream, 404, &[]));
    let (_, result) = fetch(&mut source(&[&missing], &options()), 0..1);
    assert!(unreachable(result).contains("404"));
}

#[test]
fn a_file_that_changes_meanwhile_is_not_mixed() {
    let server = Server::new(|request, stream| {
        if request.before == 0 {
            part(stream, &request.range().unwrap(), 200_000)?;
            stream.write_all(&[1; 100_000])?;
            return hang_up();
        }
        let head = [
            "HTTP/1.1 200 OK",
            "ETag: \"second\"",
            "Content-Length: 200000",
        ];
        send(stream, &head, &[2; 200_000])
    });
    let (got, result) = fetch(&mut source(&[&server], &options()), 0..200_000);
    assert!(unreachable(result).contains("changed meanwhile"));
    assert_eq!(got, [1; 100_000]);
}

#[test]
fn empty_ranges_ask_nothing() {
    let server = Server::good(bytes(10));
    let mut source = source(&[&server], &options());
    source.range("data", 5..5, &mut |_| Ok(())).unwrap();
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn the_receivers_error_ends_it() {
    let server = Server::good(bytes(1_000_000));
    let mut source = source(&[&server], &options());
    let mut chunks = 0;
    let e = source.range("data", 0..1_000_000, &mut |_| {
        chunks += 1;
        Err(std::io::ErrorKind::StorageFull.into())
    });
    let full = |e: &std::io::Error| e.kind() == std::io::ErrorKind::StorageFull;
    assert!(matches!(&e, Err(Error::Sink(e)) if full(e)), "{e:?}");
    assert_eq!((chunks, server.seen().len()), (1, 1));
}

#[test]
fn documents_that_do_not_exist_are_none() {
    for code in [403, 404, 410] {
        let server = Server::new(move |_, stream| status(stream, code, &[]));
        let found = source(&[&server], &options()).document("2.root.json", 9);
        assert_eq!(found.unwrap(), None);
    }
}

#[test]
fn c4_errors_pass_and_are_tried_again() {
    let server = Server::new(|request, stream| match request.before {
        0 => status(stream, 503, &[]),
        1 => hang_up(),
        _ => whole(stream, b"{}"),
    });
    let found = source(&[&server], &options()).document("timestamp.json", 9);
    assert_eq!(found.unwrap().as_deref(), Some(&b"{}"[..]));

    let broken = Server::new(|_, stream| status(stream, 500, &[]));
    let reason = unreachable(source(&[&broken], &options()).document("timestamp.json", 9));
    assert!(reason.contains("answered 500"), "{reason}");
    assert_eq!(broken.seen().len(), 3);
}

#[test]
fn c4_retry_after_is_waited_for_or_told() {
    let started = Instant::now();
    let short = Server::new(|request, stream| match request.before {
        0 => status(stream, 429, &["Retry-After: 1"]),
        _ => whole(stream, b"{}"),
    });
    let found = source(&[&short], &options()).document("timestamp.json", 9);
    assert_eq!(found.unwrap().as_deref(), Some(&b"{}"[..]));
    assert!(started.elapsed() >= Duration::from_secs(1));

    let long = Server::new(|_, stream| status(stream, 503, &["Retry-After: 3600"]));
    let mut source = source(&[&long], &options());
    for _ in 0..2 {
        let e = source.document("timestamp.json", 9);
        let Err(Error::Later { after, .. }) = &e else {
            panic!("{e:?}");
        };
        assert!((3590..=4200).contains(&after.as_secs()), "{after:?}");
    }
    assert_eq!(long.seen().len(), 1, "it was asked to be left alone");
}

#[test]
fn c4_c12_a_web_page_is_not_a_document() {
    let page = b" <!DOCTYPE html><title>Log in</title>";
    let portal = Server::new(|_, stream| {
        let head = [
            "HTTP/1.1 200 OK",
            "Content-Type: text/html",
            "Content-Length: 37",
        ];
        send(stream, &head, page)
    });
    let untold = Server::new(|_, stream| whole(stream, page));
    for server in [portal, untold] {
        let reason = unreachable(source(&[&server], &options()).document("timestamp.json", 99));
        assert!(reason.contains("web page"), "{reason}");
    }
}

#[test]
fn c4_what_is_not_http_is_told() {
    let ssh = Server::new(|_, stream| {
        stream.write_all(b"SSH-2.0-OpenSSH_10.0\r\n")?;
        hang_up()
    });
    unreachable(source(&[&ssh], &options()).document("timestamp.json", 9));
}

#[test]
fn the_rate_limit_holds() {
    let server = Server::good(bytes(300_000));
    let mut options = options();
    options.limit = std::num::NonZeroU64::new(150_000);
    // Lower than the floor: that is our wish, not the mirror's fault.
    options.floor.rate = 10_000_000;
    options.floor.window = Duration::from_secs(60);
    let started = Instant::now();
    let (got, result) = fetch(&mut source(&[&server], &options), 0..300_000);
    result.unwrap();
    assert_eq!((got.len(), server.seen().len()), (300_000, 1));
    // A burst of half a second is free.
    assert!(started.elapsed() >= Duration::from_millis(900));
}

#[test]
fn one_connection_serves_many_requests_that_say_who_asks() {
    let server = Server::good(bytes(1000));
    let mut source = source(&[&server], &options());
    for start in 0..10 {
        fetch(&mut source, start..start + 50).1.unwrap();
    }
    assert!(source.document("a.json", 1000).unwrap().is_some());
    for request in server.seen() {
        assert_eq!(request.connection, 0);
        let agent = request.header("user-agent");
        assert_eq!(
            agent,
            concat!("holdfast-updater/", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(request.header("accept-encoding"), "identity");
    }
}
