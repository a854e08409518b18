//! From received bytes to parts: unpacks gzip and base64, and tells
//! cloud-config, script and everything else apart. Pure, bounded memory.

pub mod unpack;

use crate::cloudconfig::HEADER;
use crate::error::Result;
use serde::Serialize;

/// One piece of user-data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// `#cloud-config`; its text with the header line.
    CloudConfig(String),
    /// A script with its `#!` line.
    Script(Vec<u8>),
    /// Recognised or not, it is not applied.
    Refused(Refusal),
}

/// Why a part is not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What it is.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// Unpacks and splits user-data. Empty input has no parts. Fails only on what
/// cannot be unpacked.
pub fn decode(bytes: &[u8]) -> Result<Vec<Part>> {
    let bytes = unpack::unpack(bytes)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    Ok(vec![classify(bytes)])
}

/// Starts of formats that are known but not applied, with what to do.
const KNOWN: &[(&str, &str, &str)] = &[
    ("#include", "an #include list", NEXT),
    (
        "#cloud-boothook",
        "a cloud-init boothook",
        "write a unit with `command: start` in coreos.units",
    ),
    ("#cloud-config-archive", "a cloud-config archive", NEXT),
    (
        "#cloud-config-jsonp",
        "a JSON patch for cloud-config",
        "write the merged cloud-config",
    ),
    (
        "#part-handler",
        "a cloud-init part handler",
        "there is no Python here; use a `#!` script",
    ),
    (
        "## template:",
        "a templated cloud-config",
        "this version does not expand templates; use $public_ipv4 and the like",
    ),
];
const NEXT: &str = "this version does not read it; send one plain #cloud-config";

fn classify(bytes: &[u8]) -> Part {
    let line_end = bytes
        .iter()
        .position(|b| *b == b'\n')
        .unwrap_or(bytes.len());
    let first = String::from_utf8_lossy(&bytes[..line_end.min(200)]);
    let first = first.trim_end();
    if first == HEADER {
        return Part::CloudConfig(String::from_utf8_lossy(bytes).into_owned());
    }
    if first.starts_with("#!") {
        return Part::Script(bytes.to_vec());
    }
    let refused = |what: &str, hint: &str| {
        Part::Refused(Refusal {
            what: what.to_owned(),
            hint: hint.to_owned(),
        })
    };
    if let Some((_, what, hint)) = KNOWN
        .iter()
        .filter(|(start, ..)| first.starts_with(start))
        .max_by_key(|(s, ..)| s.len())
    {
        return refused(what, hint);
    }
    if bytes.first().is_some_and(|b| *b == b'{') {
        return if is_ignition(bytes) {
            refused(
                "an Ignition configuration",
                "this version does not apply Ignition; write a #cloud-config",
            )
        } else {
            refused(
                "JSON, but not an Ignition configuration",
                "the first line of a cloud-config is `#cloud-config`",
            )
        };
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).to_ascii_lowercase();
    if head.starts_with("mime-version:") || head.starts_with("content-type: multipart/") {
        return refused("a multipart MIME message", NEXT);
    }
    if first
        .to_ascii_lowercase()
        .replace(['-', '_', ' '], "")
        .starts_with("#cloudconfig")
    {
        return refused(
            &format!("text with a first line like, but not, `{HEADER}`"),
            "write the first line exactly as `#cloud-config`",
        );
    }
    refused(
        "of no known format",
        "the first line must be `#cloud-config` or start with `#!`",
    )
}

fn is_ignition(bytes: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else {
        return false;
    };
    value.get("ignition").is_some() || value.get("ignitionVersion").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        e.write_all(bytes).unwrap();
        e.finish().unwrap()
    }
    fn base64(bytes: &[u8]) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD
            .encode(bytes)
            .into_bytes()
    }

    #[test]
    fn wrappings_give_the_same_text() {
        let text = b"#cloud-config\r\nhostname: a\r\n";
        let want = vec![Part::CloudConfig(String::from_utf8(text.to_vec()).unwrap())];
        for bytes in [
            text.to_vec(),
            gzip(text),
            base64(text),
            base64(&gzip(text)),
            gzip(&base64(text)),
            [b"\xef\xbb\xbf", &text[..]].concat(),
            gzip(&[b"\xef\xbb\xbf", &text[..]].concat()),
        ] {
            assert_eq!(decode(&bytes).unwrap(), want);
        }
    }

    #[test]
    fn known_but_not_applied_is_named() {
        for (text, word) in [
            ("{\"ignition\": {\"version\": \"3.4.0\"}}", "Ignition"),
            ("#include\nhttp://x/", "#include"),
            ("#cloud-config-archive\n- x", "archive"),
            (
                "Content-Type: multipart/mixed; boundary=\"b\"\n",
                "multipart",
            ),
            ("MIME-Version: 1.0\n", "multipart"),
            ("#cloud_config\n", "like, but not"),
            ("hostname: a\n", "no known format"),
        ] {
            let parts = decode(text.as_bytes()).unwrap();
            let [Part::Refused(r)] = &parts[..] else {
                panic!("{text}: {parts:?}")
            };
            assert!(r.what.contains(word), "{text}: {}", r.what);
            assert!(!r.hint.is_empty());
        }
        assert_eq!(decode(b" \n\n").unwrap(), vec![]);
        assert!(matches!(
            &decode(b"#!/bin/sh\n").unwrap()[..],
            [Part::Script(_)]
        ));
    }

    #[test]
    fn bomb_is_refused() {
        let bomb = gzip(&vec![0u8; 80 << 20]);
        assert!(
            decode(&bomb)
                .unwrap_err()
                .to_string()
                .contains("larger than")
        );
        assert!(decode(&gzip(b"#cloud-config\n")[..12]).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
            let _ = decode(&[b"\x1f\x8b", &bytes[..]].concat());
        }
    }
}
