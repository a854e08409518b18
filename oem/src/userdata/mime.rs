//! MIME messages (RFC 2045, 2046) as far as user-data uses them: header fields,
//! multipart bodies, base64 and quoted-printable. Slices of the message, never
//! copies, and few of them: a mail library keeps every field of every part, so
//! that sixteen megabytes of `a:` lines take a gigabyte.

use super::unpack::decode_base64;
use std::borrow::Cow;

/// Longest header of an entity, in bytes.
const MAX_HEADER: usize = 64 << 10;
/// Most entities of one multipart body. Empty ones count.
pub const MAX_ENTITIES: usize = 256;
/// Longest boundary (RFC 2046, 5.1.1, says 70).
const MAX_BOUNDARY: usize = 200;

/// A message, or one part of a multipart body.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entity<'a> {
    /// `type/subtype` in lower case; empty when not given.
    pub kind: String,
    /// Parameter `boundary`.
    pub boundary: Option<String>,
    /// Name of the file, from either header field that can tell it.
    pub file_name: Option<String>,
    /// `Merge-Type`, or its old spelling.
    pub merge: Option<String>,
    /// `Content-Transfer-Encoding` in lower case; empty when not given.
    pub encoding: String,
    /// What follows the header.
    pub body: &'a [u8],
    /// Lines before the body.
    pub lines: u32,
}

/// A multipart body, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Multipart<'a> {
    /// Each entity with the number of lines before it.
    pub entities: Vec<(&'a [u8], u32)>,
    /// The last line is missing: the message was cut.
    pub cut: bool,
    /// There were more than [`MAX_ENTITIES`].
    pub more: bool,
}

/// Reads the header of an entity.
pub fn entity(bytes: &[u8]) -> Result<Entity<'_>, String> {
    let mut found = Entity::default();
    let mut field = String::new();
    let mut rest = bytes;
    let mut disposition = None;
    loop {
        let (line, after) = next_line(rest);
        if bytes.len() - rest.len() > MAX_HEADER {
            return Err(format!("a header over {} KiB", MAX_HEADER >> 10));
        }
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end();
        let folded = text.starts_with([' ', '\t']);
        if !folded && !field.is_empty() {
            take(&mut found, &mut disposition, &field);
            field.clear();
        }
        let is_first = found.lines == 0;
        if text.is_empty() {
            if !rest.is_empty() {
                found.lines += 1;
            }
            found.body = after;
            break;
        }
        if folded {
            field.push_str(text);
        } else if text.contains(':') && !text.starts_with(':') {
            text.clone_into(&mut field);
        } else if !(is_first && text.starts_with("From ")) {
            // No header at all: everything is body.
            found.body = rest;
            break;
        }
        found.lines += 1;
        rest = after;
    }
    found.file_name = disposition.or(found.file_name);
    Ok(found)
}

fn take(found: &mut Entity<'_>, disposition: &mut Option<String>, field: &str) {
    let Some((name, value)) = field.split_once(':') else {
        return;
    };
    match name.trim().to_ascii_lowercase().as_str() {
        "content-type" => {
            found.kind = first_word(value);
            for (name, value) in parameters(value) {
                match name.as_str() {
                    "boundary" => found.boundary = Some(value),
                    "name" => found.file_name = Some(value),
                    _ => {}
                }
            }
        }
        "content-disposition" => {
            let file = parameters(value).into_iter().find(|(n, _)| n == "filename");
            *disposition = file.map(|(_, v)| v);
        }
        "content-transfer-encoding" => found.encoding = first_word(value),
        "merge-type" | "x-merge-type" => found.merge = Some(value.trim().to_owned()),
        _ => {}
    }
}

fn first_word(value: &str) -> String {
    let word = value.split(';').next().unwrap_or_default();
    word.trim().to_ascii_lowercase()
}

/// `; name=value; name="quoted value"`.
fn parameters(value: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = value.split_once(';').map_or("", |(_, r)| r);
    while let Some((name, after)) = rest.split_once('=') {
        let mut text = String::new();
        let after = after.trim_start();
        rest = match after.strip_prefix('"') {
            None => {
                let (word, next) = after.split_once(';').unwrap_or((after, ""));
                text.push_str(word.trim());
                next
            }
            Some(quoted) => {
                let mut chars = quoted.char_indices();
                let mut end = quoted.len();
                while let Some((i, c)) = chars.next() {
                    match c {
                        '"' => {
                            end = i + 1;
                            break;
                        }
                        '\\' => text.extend(chars.next().map(|(_, c)| c)),
                        c => text.push(c),
                    }
                }
                let next = quoted.get(end..).unwrap_or_default();
                next.split_once(';').map_or("", |(_, r)| r)
            }
        };
        out.push((name.trim().to_ascii_lowercase(), text));
    }
    out
}

/// Takes a multipart body apart. Linear.
pub fn split<'a>(body: &'a [u8], boundary: &str) -> Result<Multipart<'a>, String> {
    if boundary.is_empty() || boundary.len() > MAX_BOUNDARY {
        return Err("no usable boundary".to_owned());
    }
    let mut out = Multipart {
        cut: true,
        ..Multipart::default()
    };
    // Where the entity that is being read starts, and its number of lines before.
    let mut open: Option<(usize, u32)> = None;
    let (mut at, mut line_number) = (0, 0);
    while at < body.len() {
        let rest = &body[at..];
        let (line, after) = next_line(rest);
        let next = body.len() - after.len();
        if let Some(last) = delimiter(line, boundary) {
            if let Some((from, lines)) = open.take() {
                if out.entities.len() == MAX_ENTITIES {
                    out.more = true;
                    return Ok(out);
                }
                // The line break before a delimiter belongs to it.
                let entity = &body[from..at.max(from)];
                let entity = entity.strip_suffix(b"\n").unwrap_or(entity);
                let entity = entity.strip_suffix(b"\r").unwrap_or(entity);
                out.entities.push((entity, lines));
            }
            if last {
                out.cut = false;
                return Ok(out);
            }
            open = Some((next, line_number + 1));
        }
        line_number += 1;
        at = next;
    }
    match open {
        Some((from, lines)) => {
            let entity = &body[from..];
            if out.entities.is_empty() || !entity.trim_ascii().is_empty() {
                out.entities.push((entity, lines));
            }
        }
        None => return Err("no line with its boundary".to_owned()),
    }
    Ok(out)
}

/// Whether a line is `--boundary`, and whether it is the last: `--boundary--`.
fn delimiter(line: &[u8], boundary: &str) -> Option<bool> {
    let rest = line
        .strip_prefix(b"--")?
        .strip_prefix(boundary.as_bytes())?;
    match rest.trim_ascii_end() {
        b"" => Some(false),
        b"--" => Some(true),
        _ => None,
    }
}

/// The first line, with its line break, and what follows.
fn next_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| *b == b'\n');
    bytes.split_at(end.map_or(bytes.len(), |e| e + 1))
}

/// Undoes a transfer encoding.
pub fn decode<'a>(encoding: &str, body: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    match encoding {
        "" | "7bit" | "8bit" | "binary" => Ok(Cow::Borrowed(body)),
        "base64" => match decode_base64(body) {
            Some(bytes) => Ok(Cow::Owned(bytes)),
            None => Err("content that is not base64, though its header says so".to_owned()),
        },
        "quoted-printable" => Ok(Cow::Owned(quoted_printable(body))),
        other => Err(format!("the unknown transfer encoding {other:?}")),
    }
}

/// RFC 2045, 6.7. What is not an escape stays as it is.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        let (line, after) = next_line(rest);
        rest = after;
        let text = line.trim_ascii_end();
        let (text, end) = match text.strip_suffix(b"=") {
            Some(soft) => (soft, &b""[..]),
            None => match line {
                [.., b'\r', b'\n'] => (text, &b"\r\n"[..]),
                [.., b'\n'] => (text, &b"\n"[..]),
                _ => (text, &b""[..]),
            },
        };
        out.extend(super::unpack::escapes(text, b'='));
        out.extend_from_slice(end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_are_read() {
        let text = b"From x\r\nContent-Type: Multipart/Mixed;\r\n\tboundary=\"a \\\"b\"; x=1\r\n\
            X-Merge-Type: list(append)\r\n\r\nbody\r\n";
        let e = entity(text).unwrap();
        assert_eq!((e.kind.as_str(), e.lines), ("multipart/mixed", 5));
        assert_eq!(e.boundary.as_deref(), Some("a \"b"));
        assert_eq!(e.merge.as_deref(), Some("list(append)"));
        assert_eq!(e.body, b"body\r\n");
        let e = entity(b"Content-Disposition: attachment; filename=\"a b.sh\"\nContent-Type: text/x-shellscript; name=c\ncontent-transfer-encoding: Base64\n\n").unwrap();
        assert_eq!(e.file_name.as_deref(), Some("a b.sh"));
        assert_eq!((e.encoding.as_str(), e.body), ("base64", &b""[..]));
        let e = entity(b"#cloud-config\nhostname: a\n").unwrap();
        assert_eq!((e.body, e.lines), (&b"#cloud-config\nhostname: a\n"[..], 0));
        assert!(entity("a: b\n".repeat(20_000).as_bytes()).is_err());
    }

    #[test]
    fn bodies_are_split() {
        let body =
            b"preamble\n--b\n\none\n--b \r\nX: y\r\n\r\ntwo\r\n\r\n--bc\n--b--\nepilogue\n--b\n";
        let m = split(body, "b").unwrap();
        let want: [(&[u8], u32); 2] = [(b"\none", 2), (b"X: y\r\n\r\ntwo\r\n\r\n--bc", 5)];
        assert_eq!(m.entities, want);
        assert!(!m.cut && !m.more);
        assert!(split(b"--b\nx", "b").unwrap().cut);
        assert!(split(b"x", "b").is_err() && split(b"--\n", "").is_err());
        let body = "--b\n".repeat(1000);
        let many = split(body.as_bytes(), "b").unwrap();
        assert!(many.more && many.entities.len() == MAX_ENTITIES);
    }

    #[test]
    fn transfer_encodings_are_undone() {
        assert_eq!(
            *decode("quoted-printable", b"a=3Db =\r\n c=\n=C3=a9 \r\n=zz=4").unwrap(),
            *"a=b  c\u{e9}\r\n=zz=4".as_bytes()
        );
        assert_eq!(*decode("base64", b"aGk=\r\n").unwrap(), *b"hi");
        assert!(decode("base64", b"%").is_err() && decode("x-uuencode", b"").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "(Content-Type|:|;|boundary=|\"|\\\\|--b|--|=|=3D|[\r\n ]|é|x)*") {
            if let Ok(e) = entity(text.as_bytes()) {
                let _ = split(e.body, "b").map(|m| m.entities.len());
                let _ = decode("quoted-printable", e.body);
            }
        }
        #[test]
        fn quoted_printable_of_plain_text_is_it(text in "[ -<>-~]{0,70}x(\n[ -<>-~]{0,70}x)*\n?") {
            prop_assert_eq!(quoted_printable(text.as_bytes()), text.as_bytes());
        }
    }
}
