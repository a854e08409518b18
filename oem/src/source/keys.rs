//! Public keys in the shapes metadata services give them.

use serde_json::Value;

/// Key types of `authorized_keys` lines (sshd(8)).
const TYPES: [&str; 4] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];

/// Keys of a text, one a line. Lines without a key type in them (blank lines,
/// comments, error pages) are dropped.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let is_key = |line: &&str| {
        !line.starts_with(['#', '<'])
            && line
                .split_whitespace()
                .any(|w| TYPES.iter().any(|t| w.starts_with(t)))
    };
    text.lines()
        .map(str::trim)
        .filter(is_key)
        .map(str::to_owned)
        .collect()
}

/// Keys of a JSON or YAML value: a text, a list, or a map of names to keys
/// (EC2-like maps hold `openssh-key`, OpenStack's `keys` hold `data`).
pub(crate) fn of(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => lines(text),
        Value::Array(items) => items.iter().flat_map(of).collect(),
        Value::Object(map) => map.values().flat_map(of).collect(),
        _ => Vec::new(),
    }
}

/// Adds `more` without repeating a key.
pub(crate) fn merge(keys: &mut Vec<String>, more: Vec<String>) {
    for key in more {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
}
