//! Reading values out of documents whose authors follow no schema: a wrong
//! type is "absent", never an error.

use super::Raw;
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Text of a document without surrounding blanks; `None` when absent, empty or
/// not UTF-8.
pub(crate) fn text<'a>(raw: &'a Raw, name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(raw.get(name)?).ok()?.trim();
    (!text.is_empty()).then_some(text)
}

/// Text that is one short line: names, ids, zones. An error page is none.
pub(crate) fn line<'a>(raw: &'a Raw, name: &str) -> Option<&'a str> {
    text(raw, name).filter(|t| is_line(t))
}

/// Whether a text can be a name, an id or the like.
pub(crate) fn is_line(text: &str) -> bool {
    text.len() <= 1024 && !text.starts_with('<') && !text.chars().any(char::is_control)
}

/// First word of a name: services may list several.
pub(crate) fn first_word(text: &str) -> Option<String> {
    text.split_whitespace().next().map(str::to_owned)
}

/// An address in a document of its own.
pub(crate) fn ipv4(raw: &Raw, name: &str) -> Option<Ipv4Addr> {
    text(raw, name)?.split_whitespace().next()?.parse().ok()
}

/// As [`ipv4`].
pub(crate) fn ipv6(raw: &Raw, name: &str) -> Option<Ipv6Addr> {
    text(raw, name)?.split_whitespace().next()?.parse().ok()
}

/// A non-empty one-line string, or a number as text.
pub(crate) fn scalar(value: &Value, key: &str) -> Option<String> {
    let text = match value.get(key)? {
        Value::String(s) => s.trim().to_owned(),
        Value::Number(n) => n.to_string(),
        _ => return None,
    };
    (!text.is_empty() && is_line(&text)).then_some(text)
}

/// User-data as it is; empty is none.
pub(crate) fn data(raw: &Raw, name: &str) -> Option<Vec<u8>> {
    raw.get(name).filter(|d| !d.is_empty()).cloned()
}
