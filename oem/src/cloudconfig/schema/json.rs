//! The keys as a JSON Schema (draft 2020-12), for editors. What it refuses the
//! parser has a finding about (but for keys without a value, which are as none);
//! not the other way around, as most of what the parser knows about values cannot
//! be said in a schema.

use super::{Fate, Key, Type, keys, refused};
use serde_json::{Map, Value, json};

/// A name in the tree of keys, `[]` for items of a list, `*` for a name of the
/// user's choice.
#[derive(Default)]
struct Branch {
    key: Option<&'static Key>,
    /// Known, refused, and what to use instead.
    instead: Option<&'static str>,
    below: Vec<(String, Branch)>,
}

impl Branch {
    fn at(&mut self, path: &str) -> &mut Branch {
        let mut here = self;
        for word in path.replace("[]", ".[]").split('.') {
            let known = here.below.iter().position(|(name, _)| name == word);
            let number = known.unwrap_or_else(|| {
                here.below.push((word.to_owned(), Branch::default()));
                here.below.len() - 1
            });
            here = &mut here.below[number].1;
        }
        here
    }
    fn child(&self, word: &str) -> &Branch {
        let found = self.below.iter().find(|(name, _)| name == word);
        found.map_or(self, |(_, branch)| branch)
    }
}

/// The whole language.
pub fn json_schema() -> Value {
    let mut root = Branch::default();
    for key in keys() {
        root.at(key.name).key = Some(key);
    }
    for (name, instead) in refused() {
        root.at(&name).instead = Some(instead);
    }
    let mut out = object(&root, "#");
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Holdfast cloud-config",
        "description": "Keys of #cloud-config files, as `oem schema` lists them. `-` may be written for `_` in any key.",
        "$defs": {
            "text": {"type": ["string", "number", "boolean"]},
            "flag": {"anyOf": [
                {"type": "boolean"},
                {"enum": [0, 1]},
                {"type": "string", "pattern": "^([Tt]rue|TRUE|[Yy]es|YES|[Oo]n|ON|[Yy1]|[Ff]alse|FALSE|[Nn]o|NO|[Oo]ff|OFF|[Nn0])$"},
            ]},
            "number": {"anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^\\s*[0-9]+\\s*$"},
            ]},
        },
    });
    if let (Some(out), Value::Object(head)) = (out.as_object_mut(), head) {
        out.extend(head);
    }
    out
}

/// A value with its description; `path` is its own place in the schema.
fn value(branch: &Branch, path: &str) -> Value {
    let mut out = Map::new();
    if let Some(instead) = branch.instead {
        let about = format!("Not applied on this system: {instead}");
        out.insert("description".into(), about.into());
        out.insert("deprecated".into(), true.into());
        return Value::Object(out);
    }
    let kind = branch.key.map_or(Type::Table, |k| k.kind);
    if let Some(key) = branch.key {
        out.insert("description".into(), key.told().into());
        if key.fate == Fate::NotApplied {
            out.insert("deprecated".into(), true.into());
        }
    }
    if let Value::Object(shape) = shape(kind, branch, path) {
        out.extend(shape);
    }
    Value::Object(out)
}

fn shape(kind: Type, branch: &Branch, path: &str) -> Value {
    match kind {
        Type::Text | Type::As(_) => json!({"$ref": "#/$defs/text"}),
        Type::Flag => json!({"$ref": "#/$defs/flag"}),
        Type::Number => json!({"$ref": "#/$defs/number"}),
        Type::Word(words) => {
            let mut words: Vec<Value> = words.iter().map(|w| (*w).into()).collect();
            // What older YAML makes of these, written without quotes.
            for (word, meant) in [("on", true), ("off", false)] {
                if words.contains(&word.into()) {
                    words.push(meant.into());
                }
            }
            json!({"enum": words})
        }
        Type::List(item) => {
            let path = format!("{path}/items");
            json!({"type": "array", "items": shape(*item, branch.child("[]"), &path)})
        }
        Type::Table => object(branch, path),
        Type::Names(names) => {
            let fields = names
                .split_whitespace()
                .map(|name| (name.to_owned(), json!({"$ref": "#/$defs/text"})));
            let refused = branch.below.iter();
            let refused = refused.map(|(name, b)| (name.clone(), value(b, path)));
            closed(fields.chain(refused).collect(), Vec::new(), path)
        }
        Type::Map(kind) => {
            let path = format!("{path}/additionalProperties");
            json!({
                "type": "object",
                "additionalProperties": shape(*kind, branch.child("*"), &path),
            })
        }
        Type::Either(kinds) => {
            let kinds = kinds.iter().enumerate();
            let kinds = kinds.map(|(i, k)| shape(*k, branch, &format!("{path}/anyOf/{i}")));
            json!({"anyOf": kinds.collect::<Vec<_>>()})
        }
        Type::Null => json!({"type": "null"}),
        Type::Any => json!({}),
    }
}

fn object(branch: &Branch, path: &str) -> Value {
    let mut fields = Map::new();
    let mut required = Vec::new();
    for (name, below) in &branch.below {
        let at = format!("{path}/properties/{name}");
        fields.insert(name.clone(), value(below, &at));
        if below.key.is_some_and(|k| k.required) {
            required.push(name.as_str());
        }
    }
    closed(fields, required, path)
}

/// A mapping that has these fields only, `-` for `_` in their names or not.
fn closed(fields: Map<String, Value>, required: Vec<&str>, path: &str) -> Value {
    let dashed: Map<String, Value> = fields
        .keys()
        .filter(|name| name.contains('_'))
        .map(|name| {
            let target = format!("{path}/properties/{name}");
            let pattern = format!("^{}$", name.replace('_', "[-_]"));
            (pattern, json!({"$ref": target}))
        })
        .collect();
    let mut out = json!({"type": "object", "properties": fields, "additionalProperties": false});
    if !dashed.is_empty() {
        out["patternProperties"] = dashed.into();
    }
    if !required.is_empty() {
        out["required"] = json!(required);
    }
    out
}
