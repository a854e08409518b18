//! One document or range on its way, over as many requests as it takes.

use std::ops::Range;
use std::pin::pin;
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT_ENCODING, ETAG, IF_RANGE, RANGE};
use reqwest::{RequestBuilder, Response};

use super::reply::{self, Body, Failure, Wanted};
use crate::fetch::progress::{Event, Meter};
use crate::fetch::throughput::Throughput;
use crate::fetch::{PIECE, Sink};

/// Bytes of one request after which a mirror counts as working. Less does not: a
/// mirror could else keep us for ever with a byte a connection.
const SUBSTANTIAL: u64 = 64 << 10;

pub(super) struct Transfer<'a> {
    pub(super) name: &'a str,
    kind: Kind<'a>,
    meter: Meter,
    /// The mirror of the last request, and the strong validator it gave.
    mirror: Option<usize>,
    etag: Option<String>,
    /// Where the body of this request lies.
    body: Body,
    /// Bytes of this request that were used.
    fresh: u64,
    /// Length of the document, if announced.
    announced: Option<u64>,
}

enum Kind<'a> {
    Document {
        cap: u64,
        body: Vec<u8>,
    },
    Range {
        start: u64,
        at: u64,
        end: u64,
        sink: &'a mut Sink<'a>,
    },
}

/// How a request ended.
pub(super) enum Done {
    /// All came.
    All,
    /// One piece, or what the server sends of one at a time.
    Part,
}

impl<'a> Transfer<'a> {
    pub(super) fn document(name: &'a str, cap: u64) -> Self {
        let body = Vec::new();
        Self::new(name, Kind::Document { cap, body })
    }

    pub(super) fn range(name: &'a str, range: Range<u64>, sink: &'a mut Sink<'a>) -> Self {
        let (start, end) = (range.start, range.end);
        Self::new(
            name,
            Kind::Range {
                start,
                at: start,
                end,
                sink,
            },
        )
    }

    fn new(name: &'a str, kind: Kind<'a>) -> Self {
        Transfer {
            name,
            kind,
            meter: Meter::new(Instant::now()),
            mirror: None,
            etag: None,
            body: Body { skip: 0, stop: 0 },
            fresh: 0,
            announced: None,
        }
    }

    pub(super) fn is_document(&self) -> bool {
        matches!(self.kind, Kind::Document { .. })
    }

    /// The document's bytes; none of a range.
    pub(super) fn into_body(self) -> Vec<u8> {
        match self.kind {
            Kind::Document { body, .. } => body,
            Kind::Range { .. } => Vec::new(),
        }
    }

    /// Begins a request to `mirror`.
    pub(super) fn begin(&mut self, mirror: usize) {
        if self.mirror != Some(mirror) {
            self.mirror = Some(mirror);
            self.etag = None;
        }
        self.fresh = 0;
        if let Kind::Document { body, .. } = &mut self.kind {
            body.clear();
            self.announced = None;
            self.meter.restart();
        }
    }

    pub(super) fn request(&self, mut request: RequestBuilder) -> RequestBuilder {
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Kind::Range { at, end, .. } = self.kind {
            let last = piece_end(at, end) - 1;
            request = request.header(RANGE, format!("bytes={at}-{last}"));
            if let Some(etag) = &self.etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        request
    }

    /// Decides whether the body may be read.
    pub(super) fn check(&mut self, response: &Response) -> Result<(), Failure> {
        let wanted = match self.kind {
            Kind::Document { cap, .. } => Wanted::Document { cap },
            Kind::Range { at, end, .. } => Wanted::Range {
                at,
                end: piece_end(at, end),
                all: end,
            },
        };
        let (headers, length) = (response.headers(), response.content_length());
        self.body = reply::check(response.status().as_u16(), headers, length, wanted)?;
        self.announced = length;
        let etag = headers.get(ETAG).and_then(|v| v.to_str().ok());
        let strong = etag.filter(|etag| etag.starts_with('"'));
        if let (Some(old), Some(new)) = (&self.etag, strong)
            && old != new
        {
            return Err(Failure::Refused("the file changed meanwhile".to_owned()));
        }
        self.etag = strong.map(str::to_owned);
        Ok(())
    }

    /// Passes on what of `chunk` was asked for; says how many bytes that were.
    pub(super) fn accept(&mut self, chunk: &[u8]) -> Result<u64, Failure> {
        let used = match &mut self.kind {
            Kind::Document { cap, body } => {
                if (body.len() + chunk.len()) as u64 > *cap {
                    return Err(Failure::TooLong(*cap));
                }
                body.extend_from_slice(chunk);
                chunk.len() as u64
            }
            Kind::Range { at, sink, .. } => {
                let skip = self.body.skip.min(chunk.len() as u64);
                self.body.skip -= skip;
                let chunk = &chunk[skip as usize..];
                let used = self.body.stop.saturating_sub(*at).min(chunk.len() as u64);
                if used > 0 {
                    sink(&chunk[..used as usize]).map_err(Failure::Sink)?;
                }
                *at += used;
                used
            }
        };
        self.fresh += used;
        Ok(used)
    }

    /// Nothing more is needed. A document is complete only at its body's end.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.kind, Kind::Range { at, end, .. } if at == end)
    }

    /// This request brought enough to call the mirror a working one. Of a document
    /// that is all of it, as it would be fetched anew.
    pub(super) fn is_substantial(&self) -> bool {
        !self.is_document() && self.fresh >= SUBSTANTIAL
    }

    /// The body ended.
    pub(super) fn ended(&self) -> Result<Done, Failure> {
        match &self.kind {
            Kind::Document { body, .. } => {
                let first = body.iter().find(|b| !b.is_ascii_whitespace());
                if self.name.ends_with(".json") && first == Some(&b'<') {
                    return Err(Failure::Refused(reply::PAGE.to_owned()));
                }
                Ok(Done::All)
            }
            Kind::Range { at, .. } if *at == self.body.stop && self.is_substantial() => {
                Ok(Done::Part)
            }
            Kind::Range { at, end, .. } => {
                let missing = end - at;
                Err(Failure::Broken(format!(
                    "the answer ended {missing} bytes early"
                )))
            }
        }
    }

    /// Counts bytes; true if it is time for an event.
    pub(super) fn due(&mut self, now: Instant, bytes: u64) -> bool {
        self.meter.add(now, bytes)
    }

    pub(super) fn event(&self, now: Instant) -> Event<'_> {
        Event::Bytes {
            name: self.name,
            done: self.meter.done(),
            total: match self.kind {
                Kind::Document { .. } => self.announced,
                Kind::Range { start, end, .. } => Some(end - start),
            },
            rate: self.meter.rate(now),
        }
    }
}

/// Where a request from `at` on ends, if all to before `end` is wanted.
fn piece_end(at: u64, end: u64) -> u64 {
    // No request for a few bytes alone.
    let next = (at + SUBSTANTIAL).next_multiple_of(PIECE);
    if next + SUBSTANTIAL > end { end } else { next }
}

/// Waits for the mirror, as long as it is fast enough.
pub(super) async fn wait<F: Future>(speed: &mut Throughput, work: F) -> Result<F::Output, Failure> {
    let mut work = pin!(work);
    loop {
        let began = Instant::now();
        let done = tokio::time::timeout(speed.left(), work.as_mut()).await;
        match done {
            // Judged once its bytes are counted.
            Ok(output) => {
                speed.waited(began.elapsed());
                return Ok(output);
            }
            Err(_) => speed
                .add(began.elapsed().max(Duration::from_millis(1)), 0)
                .map_err(|e| Failure::Broken(e.to_string()))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_at_multiples_and_are_never_tiny() {
        let all = 10 * PIECE + 5;
        let ends = |start, end| {
            let next = |at: &u64| (*at < end).then(|| piece_end(*at, end));
            let mut ends: Vec<u64> = std::iter::successors(Some(start), next).collect();
            ends.remove(0);
            ends
        };
        assert_eq!(ends(0, 100), [100]);
        assert_eq!(ends(0, 2 * PIECE), [PIECE, 2 * PIECE]);
        assert_eq!(ends(PIECE - 1, 2 * PIECE + 5), [2 * PIECE + 5]);
        let many = ends(PIECE - SUBSTANTIAL, all);
        assert_eq!(many.len(), 10);
        assert_eq!(many.last(), Some(&all));
        assert!(many.iter().rev().skip(1).all(|end| end % PIECE == 0));
    }
}
