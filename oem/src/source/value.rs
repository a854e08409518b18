//! Documents that are JSON or YAML, read without a schema: what is odd is left out with
//! a warning that tells where, never what.

use super::document::{line, scalar, text};
use super::{Raw, keys};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The JSON document `name`; null, with a warning, when it is none.
pub(crate) fn json(raw: &Raw, name: &str, warnings: &mut Vec<String>) -> Value {
    let parsed = text(raw, name).map(|t| serde_json::from_str(t).map_err(|e| e.to_string()));
    settle(parsed, name, warnings)
}

/// The YAML document `name`; null, with a warning, when it is none.
pub(crate) fn yaml(raw: &Raw, name: &str, warnings: &mut Vec<String>) -> Value {
    let parsed = text(raw, name).map(|t| {
        serde_saphyr::from_str(t).map_err(|e| {
            let cause = e.to_string();
            cause.lines().next().unwrap_or_default().to_owned()
        })
    });
    settle(parsed, name, warnings)
}

fn settle(parsed: Option<Result<Value, String>>, name: &str, warnings: &mut Vec<String>) -> Value {
    match parsed {
        Some(Ok(value)) => value,
        Some(Err(cause)) => {
            warnings.push(format!("{name} is left out: {cause}"));
            Value::Null
        }
        None => Value::Null,
    }
}

/// Whether a document is a JSON object: what proves most services.
pub(crate) fn is_object(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|v| v.is_object())
}

/// The text at `key`, of any number of lines; empty is none.
pub(crate) fn block<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|t| !t.trim().is_empty())
}

/// An address as text, whatever prefix length follows it.
pub(crate) fn address(value: &Value, key: &str) -> Option<IpAddr> {
    text_address(value.get(key)?)
}

/// The same of a text in a list.
pub(crate) fn text_address(value: &Value) -> Option<IpAddr> {
    value.as_str()?.split('/').next()?.trim().parse().ok()
}

/// As [`address`], of IPv4.
pub(crate) fn ipv4(value: &Value, key: &str) -> Option<Ipv4Addr> {
    text_ipv4(value.get(key)?)
}

/// As [`text_address`], of IPv4.
pub(crate) fn text_ipv4(value: &Value) -> Option<Ipv4Addr> {
    match text_address(value)? {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// As [`address`], of IPv6.
pub(crate) fn ipv6(value: &Value, key: &str) -> Option<Ipv6Addr> {
    text_ipv6(value.get(key)?)
}

/// As [`text_address`], of IPv6.
pub(crate) fn text_ipv6(value: &Value) -> Option<Ipv6Addr> {
    match text_address(value)? {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

/// Items of the list at `key`; none when it is no list.
pub(crate) fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Warns of those of `fields` that are there and are neither texts nor numbers: they are
/// left out.
pub(crate) fn odd(document: &Value, name: &str, fields: &[&str], warnings: &mut Vec<String>) {
    for field in fields {
        let value = document.get(field).unwrap_or(&Value::Null);
        let blank = value.as_str().is_some_and(|t| t.trim().is_empty());
        if !value.is_null() && !blank && scalar(document, field).is_none() {
            warnings.push(format!("{name}: `{field}` is left out: not a line of text"));
        }
    }
    if !document.is_null() && !document.is_object() {
        warnings.push(format!("{name} is left out: not a map"));
    }
}

/// As [`odd`], of fields that may be texts of many lines.
pub(crate) fn odd_blocks(
    document: &Value,
    name: &str,
    fields: &[&str],
    warnings: &mut Vec<String>,
) {
    for field in fields {
        let value = document.get(field).unwrap_or(&Value::Null);
        if !value.is_null() && !value.is_string() {
            warnings.push(format!("{name}: `{field}` is left out: not a text"));
        }
    }
}

/// As [`odd`], of addresses.
pub(crate) fn odd_addresses(
    document: &Value,
    name: &str,
    fields: &[&str],
    warnings: &mut Vec<String>,
) {
    for field in fields {
        let value = document.get(field).unwrap_or(&Value::Null);
        let blank = value.as_str().is_some_and(|t| t.trim().is_empty());
        if !value.is_null() && !blank && text_address(value).is_none() {
            warnings.push(format!("{name}: `{field}` is left out: not an address"));
        }
    }
}

/// As [`odd`], of documents that are one line each.
pub(crate) fn odd_lines(raw: &Raw, names: &[&str], warnings: &mut Vec<String>) {
    for name in names {
        let blank = raw.get(*name).is_none_or(|b| b.trim_ascii().is_empty());
        if !blank && line(raw, name).is_none() {
            warnings.push(format!("{name} is left out: not a line of text"));
        }
    }
}

/// As [`ssh_keys`], of a document that is keys, one a line.
pub(crate) fn key_lines(raw: &Raw, name: &str, warnings: &mut Vec<String>) -> Vec<String> {
    let found = text(raw, name).map(keys::lines).unwrap_or_default();
    let blank = raw.get(name).is_none_or(|b| b.trim_ascii().is_empty());
    if found.is_empty() && !blank {
        warnings.push(format!("{name} holds no public key"));
    }
    found
}

/// What `read` makes of the items of a list, and a warning of those it makes nothing of.
pub(crate) fn each<T>(
    list: &[Value],
    name: &str,
    read: impl Fn(&Value) -> Option<T>,
    warnings: &mut Vec<String>,
) -> Vec<T> {
    let found: Vec<T> = list.iter().filter_map(read).collect();
    if found.len() < list.len() {
        let lost = list.len() - found.len();
        warnings.push(format!("{name}: {lost} of {} make no sense", list.len()));
    }
    found
}

/// Public keys of the field, in any shape; a warning when something is there that holds
/// none.
pub(crate) fn ssh_keys(
    document: &Value,
    name: &str,
    field: &str,
    warnings: &mut Vec<String>,
) -> Vec<String> {
    let value = document.get(field).unwrap_or(&Value::Null);
    let found = keys::of(value);
    let empty = match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    if found.is_empty() && !empty {
        warnings.push(format!("{name}: `{field}` holds no public key"));
    }
    found
}

/// Takes off the base64 that a service says it wraps data in. What is none is used as it
/// is.
pub(crate) fn unwrap(bytes: &[u8], name: &str, warnings: &mut Vec<String>) -> Option<Vec<u8>> {
    let packed: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    if packed.is_empty() {
        return None;
    }
    match STANDARD.decode(&packed) {
        Ok(data) => Some(data).filter(|d| !d.is_empty()),
        Err(_) => {
            warnings.push(format!("{name} is not base64: it is used as it is"));
            Some(bytes.to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn base64_or_as_it_is() {
        let mut warnings = Vec::new();
        assert_eq!(
            unwrap(b"I2Nsb3VkLWNv\nbmZpZwo=\n", "user-data", &mut warnings).unwrap(),
            b"#cloud-config\n"
        );
        assert!(warnings.is_empty());
        assert_eq!(
            unwrap(b"#cloud-config\n", "user-data", &mut warnings).unwrap(),
            b"#cloud-config\n"
        );
        assert_eq!(warnings.len(), 1);
        assert_eq!(unwrap(b" \n", "user-data", &mut warnings), None);
    }

    #[test]
    fn odd_values_are_absent() {
        let value = json!({"a": "192.0.2.1/24", "b": 7, "c": "x", "d": " \n", "e": {"f": 1}});
        assert_eq!(address(&value, "a"), Some([192, 0, 2, 1].into()));
        for key in ["b", "c", "d", "e", "z"] {
            assert_eq!(address(&value, key), None, "{key}");
            assert!(items(&value, key).is_empty(), "{key}");
        }
        assert_eq!((block(&value, "d"), block(&value, "b")), (None, None));
        assert!(is_object(b"{}") && !is_object(b"[]") && !is_object(b"<html>"));
    }

    #[test]
    fn what_is_odd_is_named_and_not_shown() {
        let value = json!({"a": ["secret"], "b": "two\nlines", "c": null, "d": " ", "e": 7});
        let mut warnings = Vec::new();
        odd(
            &value,
            "doc",
            &["a", "b", "c", "d", "e", "f"],
            &mut warnings,
        );
        assert_eq!(ssh_keys(&value, "doc", "a", &mut warnings), [""; 0]);
        assert_eq!(ssh_keys(&value, "doc", "c", &mut warnings), [""; 0]);
        odd(&json!("secret"), "text", &["a"], &mut warnings);
        assert_eq!(
            warnings,
            [
                "doc: `a` is left out: not a line of text",
                "doc: `b` is left out: not a line of text",
                "doc: `a` holds no public key",
                "text is left out: not a map",
            ]
        );
    }

    #[test]
    fn so_are_texts_addresses_and_lines() {
        let mut warnings = Vec::new();
        let value = json!({"a": {"b": "secret"}, "c": "secret", "d": "two\nlines", "e": " "});
        odd_blocks(&value, "doc", &["a", "d", "z"], &mut warnings);
        odd_addresses(&value, "doc", &["c", "e", "z"], &mut warnings);
        let raw = Raw::from([
            ("page".to_owned(), b"<html>\nsecret".to_vec()),
            ("none".to_owned(), b"\n".to_vec()),
        ]);
        odd_lines(&raw, &["page", "none", "z"], &mut warnings);
        assert_eq!(key_lines(&raw, "page", &mut warnings), [""; 0]);
        assert_eq!(key_lines(&raw, "none", &mut warnings), [""; 0]);
        let list = [json!(1), json!("secret")];
        assert_eq!(each(&list, "list", Value::as_u64, &mut warnings), [1]);
        assert_eq!(
            warnings,
            [
                "doc: `a` is left out: not a text",
                "doc: `c` is left out: not an address",
                "page is left out: not a line of text",
                "page holds no public key",
                "list: 1 of 2 make no sense",
            ]
        );
    }

    #[test]
    fn a_damaged_document_says_where() {
        let raw = Raw::from([
            ("j".to_owned(), b"{\"password\": \"secret\",".to_vec()),
            ("y".to_owned(), b"a: [secret\nb: }".to_vec()),
        ]);
        let mut warnings = Vec::new();
        assert!(json(&raw, "j", &mut warnings).is_null());
        assert!(yaml(&raw, "y", &mut warnings).is_null());
        assert!(json(&raw, "none", &mut warnings).is_null());
        assert_eq!(warnings.len(), 2);
        assert!(!warnings.concat().contains("secret"), "{warnings:?}");
    }
}
