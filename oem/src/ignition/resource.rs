//! What Ignition calls a resource: a source to read, how it is compressed, and
//! what it must hash to. `data:` and `http(s):` are read.

use super::Reading;
use crate::cloudconfig::{Node, Spot};
use crate::userdata::fetch::{Absent, Hash, Wanted};
use crate::userdata::{data_url, unpack};

/// Fields of a resource, in Butane's spelling.
const FIELDS: &[&str] = &[
    "source",
    "compression",
    "http_headers",
    "verification",
    "inline",
    "local",
];
/// Schemes of other platforms.
const OTHERS: &[&str] = &["s3", "gs", "arn", "tftp", "oem"];

/// What became of a resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It names no source.
    Nothing,
    /// Its bytes, checked.
    Bytes(Vec<u8>),
    /// It cannot be had, and that was told.
    Failed,
}

/// Reads a resource.
pub(super) fn read(node: &Node, at: &str, c: &mut Reading<'_, '_>) -> Outcome {
    let Some(f) = c.r.fields(node, at, FIELDS, &[]) else {
        return Outcome::Failed;
    };
    if let Some(n) = f.get("local") {
        let hint = "write the text with `inline`, or run Butane first and send its output";
        let why = "a file that only Butane can read, where it runs";
        c.r.error(n.spot, &f.key("local"), why, hint);
        return Outcome::Failed;
    }
    let gzip = match f
        .get("compression")
        .map(|n| c.r.line(n, &f.key("compression")))
    {
        None => false,
        Some(Some(word)) if word.value.is_empty() => false,
        Some(Some(word)) if word.value == "gzip" => true,
        Some(Some(word)) => {
            c.r.error(
                word.spot,
                &f.key("compression"),
                "unknown compression",
                "gzip, or none",
            );
            return Outcome::Failed;
        }
        Some(None) => return Outcome::Failed,
    };
    let hash = match f.get("verification") {
        None => None,
        Some(n) => match verification(n, &f.key("verification"), c) {
            Ok(hash) => hash,
            Err(()) => return Outcome::Failed,
        },
    };
    let (spot, key, bytes) = match (f.get("inline"), f.get("source")) {
        (Some(n), _) if c.butane => match c.r.bytes(n, &f.key("inline")) {
            // The text itself, whatever `compression` says about a source.
            Some(text) => {
                return checked(text.spot, &f.key("inline"), text.value, hash.as_ref(), c);
            }
            None => return Outcome::Failed,
        },
        (_, Some(n)) => {
            let key = f.key("source");
            let Some(source) = c.r.line(n, &key) else {
                return Outcome::Failed;
            };
            if source.value.is_empty() {
                return Outcome::Nothing;
            }
            let headers = match f.get("http_headers") {
                Some(n) => headers(n, &f.key("http_headers"), c),
                None => Vec::new(),
            };
            let wanted = hash.clone().filter(|_| !gzip);
            match fetch(&source.value, source.spot, &key, headers, wanted, c) {
                Some(bytes) => (source.spot, key, bytes),
                None => return Outcome::Failed,
            }
        }
        _ => return Outcome::Nothing,
    };
    if !gzip {
        return checked(spot, &key, bytes, hash.as_ref(), c);
    }
    match unpack::gunzip_within(&bytes, c.meter.left()) {
        Ok(Some(bytes)) => {
            c.meter.take(bytes.len());
            checked(spot, &key, bytes, hash.as_ref(), c)
        }
        Ok(None) => {
            let e = c.meter.too_large();
            let hint = e.hint_text().unwrap_or_default();
            c.r.error(spot, &key, e.chain(), hint);
            Outcome::Failed
        }
        Err(e) => {
            let hint = "leave `compression` out if it is not compressed";
            c.r.error(spot, &key, e.chain(), hint);
            Outcome::Failed
        }
    }
}

fn checked(
    spot: Spot,
    key: &str,
    bytes: Vec<u8>,
    hash: Option<&Hash>,
    c: &mut Reading<'_, '_>,
) -> Outcome {
    match hash.map(|h| h.check(&bytes)) {
        None | Some(Ok(())) => Outcome::Bytes(bytes),
        Some(Err(e)) => {
            c.r.error(spot, key, e.chain(), e.hint_text().unwrap_or_default());
            Outcome::Failed
        }
    }
}

fn verification(node: &Node, at: &str, c: &mut Reading<'_, '_>) -> Result<Option<Hash>, ()> {
    let f = c.r.fields(node, at, &["hash"], &[]).ok_or(())?;
    let Some(n) = f.get("hash") else {
        return Ok(None);
    };
    let text = c.r.line(n, &f.key("hash")).ok_or(())?;
    match Hash::parse(&text.value) {
        Some(hash) => Ok(Some(hash)),
        None => {
            let hint = "`sha512-` and 128 hexadecimal digits, or `sha256-` and 64";
            c.r.error(text.spot, &f.key("hash"), "not a hash", hint);
            Err(())
        }
    }
}

fn headers(node: &Node, at: &str, c: &mut Reading<'_, '_>) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (i, n) in c.r.list(node, at).iter().enumerate() {
        let Some(f) =
            c.r.fields(n, &format!("{at}[{i}]"), &["name", "value"], &[])
        else {
            continue;
        };
        let mut line = |name: &str| {
            let found = f.get(name).and_then(|n| c.r.line(n, &f.key(name)));
            found.map(|l| l.value).unwrap_or_default()
        };
        let (name, value) = (line("name"), line("value"));
        if !name.is_empty() && !value.is_empty() {
            out.push((name, value));
        }
    }
    out
}

fn fetch(
    source: &str,
    spot: Spot,
    key: &str,
    headers: Vec<(String, String)>,
    hash: Option<Hash>,
    c: &mut Reading<'_, '_>,
) -> Option<Vec<u8>> {
    let scheme = source
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match scheme.as_str() {
        "data" => {
            let bytes = data_url::decode(source);
            if bytes.is_none() {
                let hint = "e.g. `data:,text` with %-escapes, or `data:;base64,dGV4dA==`";
                c.r.error(spot, key, "not a data URL (RFC 2397)", hint);
            }
            bytes
        }
        "http" | "https" => {
            let wanted = Wanted {
                url: source.split('#').next().unwrap_or_default().to_owned(),
                // As Ignition does: at the first boot of an instance.
                once: true,
                hash,
                headers,
            };
            match c.meter.get(&wanted) {
                Ok(bytes) => Some(bytes),
                Err(Absent::Later(why)) => {
                    c.r.warn(spot, key, format!("not looked at: {why}"), "");
                    None
                }
                Err(Absent::Failed(e)) => {
                    c.r.error(spot, key, e.chain(), e.hint_text().unwrap_or_default());
                    None
                }
            }
        }
        other if OTHERS.contains(&other) => {
            let why = format!("{other}: sources are not fetched on this system");
            c.r.error(
                spot,
                key,
                why,
                "serve the file over https, or put it into a data: URL",
            );
            None
        }
        _ => {
            c.r.error(
                spot,
                key,
                "not a URL that is read",
                "data:, http: or https:",
            );
            None
        }
    }
}
