//! Against real servers on loopback that misbehave as told.

mod attacks;
mod faults;
mod mirrors;
mod server;
mod tls;
mod way_out;

use std::time::Duration;

use super::*;
use crate::fetch::{Backoff, Floor, Proxy};
use server::Server;

const PIECE: usize = crate::fetch::PIECE as usize;

/// Short pauses, so that tests are quick; long windows, so that a busy machine does
/// not fail them.
fn options() -> Options {
    Options {
        proxy: Proxy::None,
        document: Duration::from_secs(60),
        range: Duration::from_secs(120),
        patience: Duration::from_secs(3),
        backoff: Backoff {
            first: Duration::from_millis(10),
            longest: Duration::from_millis(50),
            tries: 3,
        },
        ..Options::default()
    }
}

/// As [`options`], for servers that are too slow.
fn impatient() -> Options {
    Options {
        floor: Floor {
            rate: 2000,
            window: Duration::from_secs(1),
        },
        ..options()
    }
}

fn source(servers: &[&Server], options: &Options) -> Http {
    let urls: Vec<&str> = servers.iter().map(|s| s.url.as_str()).collect();
    Http::new(&urls, options).unwrap()
}

/// Bytes that repeat late and tell where they are from.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u8)
        .collect()
}

fn fetch(source: &mut Http, range: Range<u64>) -> (Vec<u8>, Result<(), Error>) {
    let mut got = Vec::new();
    let result = source.range("data", range, &mut |chunk| {
        assert!(chunk.len() <= 1 << 20, "chunks are bounded");
        got.extend_from_slice(chunk);
        Ok(())
    });
    (got, result)
}

/// The reason of an `Unreachable`.
fn unreachable<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Unreachable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}
