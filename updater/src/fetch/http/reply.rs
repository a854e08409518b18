//! Whether an answer is what was asked for: status and headers, before any of its
//! body is used. Pure.

use std::time::{Duration, SystemTime};

use reqwest::header::{
    CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER,
};

use crate::fetch::retry_after;

/// Why a mirror did not deliver.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It says that the file is not there.
    #[error("answered {0}: it is not there")]
    Absent(u16),
    /// Final for this call: asking again gives the same.
    #[error("{0}")]
    Refused(String),
    /// More bytes than this were announced or sent.
    #[error("longer than {0} bytes")]
    TooLong(u64),
    /// Broken connection, silence, slowness: may pass.
    #[error("{0}")]
    Broken(String),
    /// The server wants fewer requests, or cannot answer now.
    #[error("answered {status}")]
    Busy {
        /// Its status.
        status: u16,
        /// What `Retry-After` says.
        after: Option<Duration>,
    },
    /// The receiver's own failure.
    #[error("{0}")]
    Sink(std::io::Error),
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// All of a file of at most `cap` bytes.
    Document { cap: u64 },
    /// Bytes from `at` to before `end`; of a server that sends whole files only, to
    /// before `all`.
    Range { at: u64, end: u64, all: u64 },
}

/// Where in the file the body lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Body {
    /// Bytes to pass over first.
    pub skip: u64,
    /// Offset in the file after the last byte to use.
    pub stop: u64,
}

/// Checks an answer. `length` is that of its body, if announced.
pub(super) fn check(
    status: u16,
    headers: &HeaderMap,
    length: Option<u64>,
    wanted: Wanted,
) -> Result<Body, Failure> {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    match status {
        200 | 206 => {}
        403 | 404 | 410 => return Err(Failure::Absent(status)),
        408 | 425 | 429 | 500..=599 => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = now.map_or(0, |d| d.as_secs());
            let after = text(RETRY_AFTER).and_then(|v| retry_after::parse(v, text(DATE), now));
            return Err(Failure::Busy { status, after });
        }
        _ => return Err(Failure::Refused(about(status))),
    }
    let refused = |why: String| Err(Failure::Refused(why));
    let kind = text(CONTENT_TYPE).unwrap_or_default().trim_start();
    if kind.to_ascii_lowercase().starts_with("text/html") {
        return refused(PAGE.to_owned());
    }
    if let Some(coding) = text(CONTENT_ENCODING).filter(|c| !c.eq_ignore_ascii_case("identity")) {
        return refused(format!("sent it with the content encoding {coding:?}"));
    }
    match (status, wanted) {
        (200, Wanted::Document { cap }) => match length {
            Some(length) if length > cap => Err(Failure::TooLong(cap)),
            _ => Ok(Body { skip: 0, stop: cap }),
        },
        (200, Wanted::Range { at, all, .. }) => match length {
            Some(length) if length < all => refused(short(length, all)),
            _ => Ok(Body {
                skip: at,
                stop: all,
            }),
        },
        (_, Wanted::Range { at, end, all }) => {
            let header = text(CONTENT_RANGE).unwrap_or_default();
            let Some((first, last, total)) = content_range(header) else {
                return refused(format!("sent a range without saying which: {header:?}"));
            };
            if let Some(total) = total.filter(|total| *total < all) {
                return refused(short(total, all));
            }
            if first != at || last >= end || length.is_some_and(|l| l != last - first + 1) {
                return refused(format!(
                    "was asked for bytes {at}-{}, sent {header:?}",
                    end - 1
                ));
            }
            Ok(Body {
                skip: 0,
                stop: last + 1,
            })
        }
        (_, Wanted::Document { .. }) => refused("sent a range that was not asked for".to_owned()),
    }
}

/// Checks the head of an answer, for `fuzz/`.
#[cfg(fuzzing)]
pub fn try_reply(status: u16, head: &str, range: std::ops::Range<u64>) {
    let mut headers = HeaderMap::new();
    for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.trim().parse()) {
            headers.insert(name, value);
        }
    }
    let length = headers.get("content-length");
    let length = length.and_then(|v| v.to_str().ok()?.parse().ok());
    let (at, all) = (range.start, range.end);
    let end = at + all.saturating_sub(at).div_ceil(2);
    for wanted in [
        Wanted::Range { at, end, all },
        Wanted::Document { cap: all },
    ] {
        match check(status, &headers, length, wanted) {
            Ok(body) => assert!(body.skip <= at && body.stop <= all),
            Err(Failure::Busy { after, .. }) => {
                assert!(after.is_none_or(|after| after.as_secs() <= 86_400));
            }
            Err(_) => {}
        }
    }
}

/// Said of an answer that is a web page.
pub(super) const PAGE: &str = "sent a web page in its place (a login portal, or a proxy?)";

fn short(length: u64, end: u64) -> String {
    format!("has only {length} bytes, at least {end} are needed")
}

fn about(status: u16) -> String {
    match status {
        401 => "answered 401: it needs a user name and password".to_owned(),
        407 => "answered 407: the proxy needs a user name and password".to_owned(),
        416 => "answered 416: it has fewer bytes".to_owned(),
        _ => format!("answered {status}"),
    }
}

/// First byte, last byte and length of the file: `bytes 0-9/100`, `bytes 0-9/*`.
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let number = |digits: &str| -> Option<u64> {
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| plain)
    };
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = match total {
        "*" => None,
        total => Some(number(total)?),
    };
    let sound = first <= last && last < total.unwrap_or(u64::MAX);
    sound.then_some((first, last, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(n, v)| (n.clone(), v.parse().unwrap()))
            .collect()
    }

    const RANGE: Wanted = Wanted::Range {
        at: 10,
        end: 20,
        all: 20,
    };
    const DOCUMENT: Wanted = Wanted::Document { cap: 100 };

    #[test]
    fn ranges_are_checked_against_what_was_asked() {
        let part = |text| check(206, &headers(&[(CONTENT_RANGE, text)]), None, RANGE);
        for (good, stop) in [
            ("bytes 10-19/20", 20),
            ("bytes 10-19/*", 20),
            ("bytes 10-14/999", 15),
        ] {
            let body = part(good).unwrap();
            assert_eq!(body, Body { skip: 0, stop }, "{good}");
        }
        for bad in [
            "bytes 0-9/20",
            "bytes 11-19/20",
            "bytes 10-20/99",
            "bytes 10-19/15",
            "bytes 10-14/15",
            "bytes 19-10/20",
            "bytes */20",
            "bytes 10-+19/20",
            "10-19/20",
            "",
        ] {
            let e = part(bad);
            assert!(matches!(e, Err(Failure::Refused(_))), "{bad}: {e:?}");
        }
        let head = headers(&[(CONTENT_RANGE, "bytes 10-19/20")]);
        assert!(check(206, &head, Some(10), RANGE).is_ok());
        assert!(check(206, &head, Some(11), RANGE).is_err());
        assert!(check(206, &head, None, DOCUMENT).is_err());
    }

    #[test]
    fn a_whole_file_serves_for_a_range() {
        let none = HeaderMap::new();
        let body = Body { skip: 10, stop: 20 };
        assert_eq!(check(200, &none, Some(30), RANGE).unwrap(), body);
        assert_eq!(check(200, &none, None, RANGE).unwrap(), body);
        assert!(check(200, &none, Some(19), RANGE).is_err());
    }

    #[test]
    fn a2_announced_excess_is_refused_before_the_body() {
        let e = check(200, &HeaderMap::new(), Some(101), DOCUMENT);
        assert!(matches!(e, Err(Failure::TooLong(100))), "{e:?}");
        assert!(check(200, &HeaderMap::new(), Some(100), DOCUMENT).is_ok());
    }

    #[test]
    fn c4_c12_pages_encodings_and_statuses_have_their_class() {
        for line in [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_TYPE, "TEXT/HTML"),
            (CONTENT_ENCODING, "gzip"),
        ] {
            let e = check(200, &headers(std::slice::from_ref(&line)), None, DOCUMENT);
            assert!(matches!(e, Err(Failure::Refused(_))), "{line:?}: {e:?}");
        }
        for status in [201, 204, 304, 302, 400, 401, 407, 416, 451] {
            let e = check(status, &HeaderMap::new(), None, RANGE);
            assert!(matches!(e, Err(Failure::Refused(_))), "{status}: {e:?}");
        }
        for status in [403, 404, 410] {
            let e = check(status, &HeaderMap::new(), None, DOCUMENT);
            assert!(matches!(e, Err(Failure::Absent(_))), "{status}: {e:?}");
        }
        let wait = headers(&[(RETRY_AFTER, "7")]);
        for status in [408, 429, 500, 503] {
            let Err(Failure::Busy { after, .. }) = check(status, &wait, None, RANGE) else {
                panic!("{status}");
            };
            assert_eq!(after, Some(Duration::from_secs(7)));
        }
    }

    proptest! {
        #[test]
        fn content_ranges_never_panic(text in "bytes [-0-9*/]{0,50}|.{0,40}") {
            if let Some((first, last, total)) = content_range(&text) {
                prop_assert!(first <= last && total.is_none_or(|t| last < t));
            }
        }
    }
}
