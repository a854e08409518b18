//! Strict JSON, and the canonical form whose bytes are signed.
//!
//! The reader takes less than JSON: a key may occur once in an object, numbers are
//! whole and fit 64 bits, nesting is limited, nothing follows the document. So every
//! reader of a signed document sees the same content.
//!
//! The canonical form is OLPC's, as securesystemslib writes it: keys sorted by code
//! point, no white space, only `"` and `\` escaped.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

/// Deepest nesting that is read.
pub const MAX_DEPTH: usize = 32;

/// A JSON value without fractions and without repeated keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object.
    Object(BTreeMap<String, Value>),
}

/// Bytes that are not the JSON this module reads; says where.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BadJson(#[from] serde_json::Error);

/// Reads one document.
pub fn decode(bytes: &[u8]) -> Result<Value, BadJson> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Depth(0).deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Reads one document strictly, then as `T`.
pub fn decode_as<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, BadJson> {
    decode(bytes)?.to()
}

/// The bytes that are signed.
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

impl Value {
    /// The value as `T`. Keys that `T` does not know are ignored.
    pub fn to<T: serde::de::DeserializeOwned>(&self) -> Result<T, BadJson> {
        Ok(serde_json::from_value(serde_json::to_value(self)?)?)
    }

    /// A member of an object.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(members) => members.get(key),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Text(text) => write_text(text, out),
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (at, (key, member)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_text(key, out);
                out.push(b':');
                write(member, out);
            }
            out.push(b'}');
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(bool) => serializer.serialize_bool(*bool),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(items) => items.serialize(serializer),
            Value::Object(members) => members.serialize(serializer),
        }
    }
}

/// Reads a value that lies this deep.
struct Depth(usize);

impl Depth {
    fn inner<E: serde::de::Error>(&self) -> Result<usize, E> {
        if self.0 < MAX_DEPTH {
            Ok(self.0 + 1)
        } else {
            Err(E::custom(format_args!(
                "more than {MAX_DEPTH} levels of nesting"
            )))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON whose numbers are whole and fit 64 bits")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
        Ok(Value::Bool(bool))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number)
            .map(Value::Integer)
            .map_err(|_| E::custom(format_args!("the number {number} is too large")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Depth(inner))? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut members = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            let member = entries.next_value_seed(Depth(inner))?;
            if members.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key {key:?} occurs twice"
                )));
            }
            members.insert(key, member);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn canonical_form_is_olpc() {
        let value = decode(br#" {"b": [1, -2, true, null], "a": "q\"\\\n\u00e9", "B": {}} "#);
        assert_eq!(
            canonical(&value.expect("good JSON")),
            "{\"B\":{},\"a\":\"q\\\"\\\\\né\",\"b\":[1,-2,true,null]}".as_bytes()
        );
    }

    #[test]
    fn a12_what_readers_may_read_differently_is_refused() {
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":1,"\u0061":1}"#,
            "1.0",
            "1e3",
            "-0",
            "18446744073709551615",
            "{} {}",
            "{}\0",
            "[1,]",
            "NaN",
            r#""\ud800""#,
            "\u{feff}{}",
            "",
        ] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(decode(b"\"\xff\"").is_err());
    }

    #[test]
    fn a2_nesting_is_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(decode(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(decode(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(decode("[".repeat(1 << 20).as_bytes()).is_err());
        assert!(decode("{\"a\":".repeat(1 << 18).as_bytes()).is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Integer),
            ".*".prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
                prop::collection::btree_map(".{0,4}", inner, 0..5).prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in values()) {
            let bytes = serde_json::to_vec_pretty(&value).expect("JSON");
            let read = decode(&bytes).expect("own JSON");
            prop_assert_eq!(canonical(&read), canonical(&value));
            prop_assert_eq!(read, value);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn never_panics_on_nearly_json(text in r#"[\[\]{}",:0-9a-z\\.eE+-]{0,60}"#) {
            if let Ok(value) = decode(text.as_bytes()) {
                let again = decode(&canonical(&value)).expect("canonical JSON");
                prop_assert_eq!(again, value);
            }
        }
    }
}
