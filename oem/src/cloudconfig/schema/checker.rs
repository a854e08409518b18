//! As much of a JSON Schema validator as the schema of keys needs. An unknown
//! keyword is a fault of the schema.

use crate::cloudconfig::node::{Kind, Node};
use regex::Regex;
use serde_json::{Map, Value};

/// A YAML tree as editors see it (YAML 1.2's core types). Keys without a value
/// are as none, here as for the parser.
pub fn value_of(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar { text, plain, .. } => match text.as_str() {
            "true" | "false" if *plain => (text == "true").into(),
            _ if *plain && node.is_null() => Value::Null,
            _ if *plain => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(n), _) => n.into(),
                (_, Ok(n)) if text.starts_with(|c: char| c.is_ascii_digit()) => n.into(),
                _ => text.clone().into(),
            },
            _ => text.clone().into(),
        },
        Kind::Seq(items) => items.iter().map(|i| value_of(i)).collect(),
        Kind::Map(entries) => {
            let mut out = Map::new();
            for (key, value) in entries.iter().filter(|(_, v)| !v.is_null()) {
                if let Kind::Scalar { text, .. } = &key.kind {
                    out.insert(text.clone(), value_of(value));
                }
            }
            out.into()
        }
    }
}

/// Adds the places where `value` is not what `schema` says.
pub fn check(root: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let mut ok = true;
    for (word, rule) in schema.as_object().expect("a schema is an object") {
        match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "deprecated" => {}
            // Looked at with `properties`.
            "patternProperties" | "additionalProperties" => {}
            "$ref" => {
                let path = rule.as_str().unwrap().strip_prefix('#').unwrap();
                let target = root.pointer(path).unwrap_or_else(|| panic!("{rule}"));
                check(root, target, value, at, faults);
            }
            "type" => {
                let kinds = rule.as_array().cloned().unwrap_or(vec![rule.clone()]);
                ok &= kinds.iter().any(|k| is(value, k.as_str().unwrap()));
            }
            "enum" => ok &= rule.as_array().unwrap().contains(value),
            "minimum" => ok &= value.as_f64() >= rule.as_f64(),
            "pattern" => {
                let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
                ok &= value.as_str().is_none_or(|v| pattern.is_match(v));
            }
            "anyOf" => {
                ok &= rule.as_array().unwrap().iter().any(|rule| {
                    let mut inner = Vec::new();
                    check(root, rule, value, at, &mut inner);
                    inner.is_empty()
                });
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, item, &format!("{at}[{i}]"), faults);
                }
            }
            "required" => {
                let there = value.as_object();
                ok &= there.is_none_or(|there| {
                    let names = rule.as_array().unwrap().iter();
                    names
                        .map(|n| n.as_str().unwrap())
                        .all(|n| there.contains_key(n))
                });
            }
            "properties" => {}
            other => panic!("the checker has no {other}"),
        }
    }
    if let Some(fields) = value.as_object() {
        members(root, schema, fields, at, faults);
    }
    if !ok {
        faults.push(at.to_owned());
    }
}

fn members(
    root: &Value,
    schema: &Value,
    fields: &Map<String, Value>,
    at: &str,
    faults: &mut Vec<String>,
) {
    for (name, value) in fields {
        let path = match at {
            "" => name.clone(),
            at => format!("{at}.{name}"),
        };
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let by_pattern = patterns.into_iter().flatten().find(|(pattern, _)| {
            let pattern = Regex::new(pattern).unwrap();
            pattern.is_match(name)
        });
        let known = schema.get("properties").and_then(|p| p.get(name));
        let rule = known
            .or(by_pattern.map(|(_, rule)| rule))
            .or(schema.get("additionalProperties"));
        match rule {
            Some(Value::Bool(false)) => faults.push(path),
            Some(rule) => check(root, rule, value, &path, faults),
            None => {}
        }
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    }
}
