//! Several mirrors, and what is told of them.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::server::*;
use super::*;

/// An address where nothing listens.
fn dead() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a6_wrong_bytes_are_blamed_and_come_from_elsewhere() {
    let body = bytes(10_000);
    let evil = Server::good(vec![0; 10_000]);
    let good = Server::good(body.clone());
    let mut source = source(&[&evil, &good], &options());
    let (got, _) = fetch(&mut source, 0..10_000);
    assert_ne!(got, body);
    assert!(source.blame("data"));
    let (got, result) = fetch(&mut source, 0..10_000);
    result.unwrap();
    assert_eq!(got, body);
    assert_eq!(evil.seen().len(), 1);

    // Bytes that are wrong everywhere end the search.
    assert!(!source.blame("data"));
    let (_, result) = fetch(&mut source, 0..10);
    assert!(unreachable(result).contains("every mirror sent wrong bytes"));
    // Another file is not touched by that.
    assert!(source.document("other", 10_000).unwrap().is_some());
}

#[test]
fn a6_a_mirror_that_breaks_off_bad_bytes_cannot_hide_behind_a_good_one() {
    let body = bytes(200_000);
    let copy = body.clone();
    let evil = Server::new(move |request, stream| {
        let range = request.range().unwrap();
        part(stream, &range, 200_000)?;
        stream.write_all(&[0; 70_000])?;
        hang_up()
    });
    let good = Server::good(copy);
    let mut source = source(&[&evil, &good], &options());
    let (got, result) = fetch(&mut source, 0..200_000);
    result.unwrap();
    assert_ne!(got, body);
    assert!(source.blame("data"));
    let (got, result) = fetch(&mut source, 0..200_000);
    result.unwrap();
    assert_eq!(got, body);
}

#[test]
fn a6_the_receiver_may_find_wrong_bytes_while_they_come() {
    let evil = Server::good(vec![0; 10_000]);
    let good = Server::good(bytes(10_000));
    let mut source = source(&[&evil, &good], &options());
    let wrong = std::io::ErrorKind::InvalidData;
    let e = source.range("data", 0..10_000, &mut |_| Err(wrong.into()));
    assert!(matches!(e, Err(Error::Sink(_))), "{e:?}");
    assert!(source.blame("data"));
    assert_eq!(fetch(&mut source, 0..10_000).0, bytes(10_000));
}

#[test]
fn c12_a_dead_mirror_is_passed_over() {
    let body = bytes(1000);
    let good = Server::good(body.clone());
    let mut source = Http::new(&[dead().as_str(), &good.url], &options()).unwrap();
    assert_eq!(source.document("a", 1000).unwrap(), Some(body));
    let mut source = Http::new(&[dead()], &options()).unwrap();
    let reason = unreachable(source.document("a", 1000));
    assert!(reason.contains("refused"), "{reason}");
}

#[test]
fn a_range_survives_the_death_of_its_mirror() {
    let body = bytes(500_000);
    let copy = body.clone();
    let dying = Server::new(move |request, stream| {
        if request.before > 0 {
            return hang_up();
        }
        let range = request.range().unwrap();
        part(stream, &range, copy.len())?;
        stream.write_all(&copy[range][..200_000])?;
        hang_up()
    });
    let good = Server::good(body.clone());
    let (got, result) = fetch(&mut source(&[&dying, &good], &options()), 0..500_000);
    result.unwrap();
    assert_eq!(got, body);
    assert_eq!(good.starts(), [200_000]);
    // The other server's validator means nothing here.
    assert_eq!(good.seen()[0].header("if-range"), "");
}

#[test]
fn a_document_is_absent_only_if_no_mirror_has_it() {
    let missing = || Server::new(|_, stream| status(stream, 404, &[]));
    let good = Server::good(b"{}".to_vec());
    let found = source(&[&missing(), &good], &options()).document("2.root.json", 9);
    assert_eq!(found.unwrap().as_deref(), Some(&b"{}"[..]));
    let found = source(&[&missing(), &missing()], &options()).document("2.root.json", 9);
    assert_eq!(found.unwrap(), None);
    // A dead mirror does not hold back what a live one knows.
    let urls = [dead(), missing().url];
    let mut source = Http::new(&urls, &options()).unwrap();
    assert_eq!(source.document("2.root.json", 9).unwrap(), None);
}

#[test]
fn a2_one_mirrors_excess_does_not_hide_anothers_document() {
    let long = Server::good(bytes(1000));
    let good = Server::good(b"{}".to_vec());
    let found = source(&[&long, &good], &options()).document("timestamp.json", 9);
    assert_eq!(found.unwrap().as_deref(), Some(&b"{}"[..]));
}

#[test]
fn progress_is_told_without_credentials() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = events.clone();
    let mut options = options();
    options.progress = Some(Arc::new(move |event: &Event<'_>| {
        let line = serde_json::to_string(event).unwrap();
        log.lock().unwrap().push(format!("{line} {event}"));
    }));
    let good = Server::good(bytes(100_000));
    let user = |url: &str| url.replace("http://", "http://user:secret@");
    let urls = [user(&dead()), user(&good.url)];
    let mut source = Http::new(&urls, &options).unwrap();
    fetch(&mut source, 1000..100_000).1.unwrap();
    source.blame("data");

    let events = std::mem::take(&mut *events.lock().unwrap());
    let text = events.join("\n");
    assert!(!text.contains("secret") && !text.contains("user"), "{text}");
    assert!(
        events[0].starts_with(r#"{"event":"failed","name":"data""#),
        "{text}"
    );
    let end = &events[events.len() - 2];
    assert!(end.contains(r#""done":99000,"total":99000"#), "{text}");
    let blamed = events.last().unwrap();
    assert!(
        blamed.contains(r#""blamed","name":"data","others":true"#),
        "{text}"
    );

    let reason = unreachable(Http::new(&urls[..1], &options).unwrap().document("a", 9));
    assert!(!reason.contains("secret"), "{reason}");
}
