//! CoreOS's and Flatcar's `update.conf`: lines `NAME=VALUE`, `#` comments.

use std::path::Path;

use super::{Entry, Problem, Raw, Spot, Value, merged};

/// Their names that have a meaning here, and our key. CoreOS called a channel a group.
const NAMES: [(&str, &str); 8] = [
    ("GROUP", "channel"),
    ("SERVER", "servers"),
    ("REBOOT_STRATEGY", "reboot-strategy"),
    ("LOCKSMITHD_GROUP", "group"),
    ("LOCKSMITHD_REBOOT_WINDOW_START", START),
    ("LOCKSMITHD_REBOOT_WINDOW_LENGTH", LENGTH),
    ("REBOOT_WINDOW_START", START),
    ("REBOOT_WINDOW_LENGTH", LENGTH),
];
const START: &str = "window start";
const LENGTH: &str = "window length";

/// Reads one file. A name that is not known is a problem; the rest is used.
pub(super) fn parse(file: &Path, text: &str, problems: &mut Vec<Problem>) -> Result<Raw, Problem> {
    let mut entries: Vec<Entry> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let column = line.len() - line.trim_start().len() + 1;
        let spot = Spot {
            line: index + 1,
            column,
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(Problem::new(file, spot, "is not NAME=VALUE"));
        };
        let (name, value) = (name.trim_end(), unquote(value));
        let Some((_, key)) = NAMES.into_iter().find(|(n, _)| *n == name) else {
            problems.push(merged::unknown(
                file,
                spot,
                name,
                NAMES.map(|(name, _)| name),
            ));
            continue;
        };
        let value_spot = Spot {
            line: spot.line,
            column: spot.column + line.find('=').unwrap_or(0) + 1,
        };
        let (key, value) = match (key, value) {
            // The documented way to turn updates off.
            ("servers", "disabled") => ("enabled", Value::Text("false".to_owned())),
            ("servers", server) => (
                key,
                Value::List(vec![(value_spot, Value::Text(server.to_owned()))]),
            ),
            (_, value) => (key, Value::Text(value.to_owned())),
        };
        // As a shell would: the last line wins.
        entries.retain(|e| e.key != key);
        entries.push(Entry {
            spot,
            key: key.to_owned(),
            value_spot,
            value,
        });
    }
    match take_window(file, &mut entries) {
        Ok(window) => entries.extend(window),
        Err(problem) => problems.push(problem),
    }
    Ok(Raw {
        file: file.to_owned(),
        entries,
    })
}

/// `REBOOT_WINDOW_START` (`[Day ]H:MM`) and `_LENGTH` as one window of ours.
fn take_window(file: &Path, entries: &mut Vec<Entry>) -> Result<Option<Entry>, Problem> {
    let mut take = |key: &str| {
        let at = entries.iter().position(|e| e.key == key)?;
        Some(entries.remove(at))
    };
    let (start, length) = match (take(START), take(LENGTH)) {
        (None, None) => return Ok(None),
        (Some(start), Some(length)) => (start, length),
        (Some(one), None) | (None, Some(one)) => {
            let what = "a reboot window needs both its start and its length";
            return Err(Problem::new(file, one.spot, what));
        }
    };
    let text = match &start.value {
        Value::Text(text) => text.clone(),
        _ => String::new(),
    };
    let field = |key: &str, spot: Spot, value: Value| Entry {
        spot,
        key: key.to_owned(),
        value_spot: spot,
        value,
    };
    let mut fields = Vec::new();
    let time = match text.split_once(' ') {
        None => text.as_str(),
        Some((day, time)) => {
            let day = Value::Text(day.to_owned());
            let days = Value::List(vec![(start.value_spot, day)]);
            fields.push(field("days", start.value_spot, days));
            time.trim_start()
        }
    };
    let time = Value::Text(time.to_owned());
    fields.push(field("start", start.value_spot, time));
    fields.push(field("length", length.value_spot, length.value));
    let list = Value::List(vec![(start.value_spot, Value::Map(fields))]);
    Ok(Some(Entry {
        spot: start.spot,
        key: "reboot-windows".to_owned(),
        value_spot: start.value_spot,
        value: list,
    }))
}

fn unquote(value: &str) -> &str {
    let value = value.trim();
    ['"', '\'']
        .iter()
        .find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q))
        .unwrap_or(value)
}
