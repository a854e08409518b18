//! What one file says: keys and values as they were written, with their places.

use std::path::{Path, PathBuf};

use serde_saphyr::granit_parser::{Event, Options, Parser, Span};

use super::{Problem, Spot};

/// Deepest nesting accepted; the language needs 4.
const MAX_DEPTH: usize = 8;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Its path.
    pub file: PathBuf,
    /// Its keys, in the order written.
    pub entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where the key starts.
    pub spot: Spot,
    /// The key.
    pub key: String,
    /// Where the value starts.
    pub value_spot: Spot,
    /// The value.
    pub value: Value,
}

/// A value as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text; numbers and words too.
    Text(String),
    /// A list.
    List(Vec<(Spot, Value)>),
    /// A mapping.
    Map(Vec<Entry>),
}

/// Reads one YAML file whose top level is a mapping.
pub(super) fn parse(file: &Path, text: &str) -> Result<Raw, Problem> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut stack: Vec<Open> = Vec::new();
    let mut root: Option<(Spot, Value)> = None;
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| {
            let spot = Spot {
                line: e.marker().line(),
                column: e.marker().col() + 1,
            };
            Problem::new(file, spot, format!("is not YAML: {}", e.info()))
        })?;
        let spot = spot_of(&span);
        let refuse = |what: &str| Err(Problem::new(file, spot, what));
        let done = match event {
            Event::DocumentStart(..) if documents == 1 => {
                return refuse("a second document starts here; a file has one");
            }
            Event::DocumentStart(..) => {
                documents += 1;
                None
            }
            Event::Alias(_) => return refuse("anchors and aliases are not accepted here"),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(_, anchor, _)
            | Event::MappingStart(_, anchor, _)
                if anchor != 0 =>
            {
                return refuse("anchors and aliases are not accepted here");
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if stack.len() >= MAX_DEPTH => {
                return refuse("nested too deeply");
            }
            Event::SequenceStart(..) => {
                stack.push(Open::List(spot, Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                stack.push(Open::Map(spot, Vec::new(), None));
                None
            }
            Event::Scalar(text, ..) => Some((spot, Value::Text(text.into_owned()))),
            Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                Some(Open::List(spot, items)) => Some((spot, Value::List(items))),
                Some(Open::Map(spot, entries, _)) => Some((spot, Value::Map(entries))),
                None => None,
            },
            _ => None,
        };
        let Some((spot, value)) = done else { continue };
        match stack.last_mut() {
            None => root = Some((spot, value)),
            Some(Open::List(_, items)) => items.push((spot, value)),
            Some(Open::Map(_, entries, key)) => match (key.take(), value) {
                (Some((key_spot, key)), value) => entries.push(Entry {
                    spot: key_spot,
                    key,
                    value_spot: spot,
                    value,
                }),
                (None, Value::Text(text)) => {
                    if entries.iter().any(|e| e.key == text) {
                        let what = format!("`{text}` is here twice");
                        return Err(Problem::new(file, spot, what));
                    }
                    *key = Some((spot, text));
                }
                (None, _) => return Err(Problem::new(file, spot, "a key must be a word")),
            },
        }
    }
    let entries = match root {
        None => Vec::new(),
        Some((_, Value::Map(entries))) => entries,
        Some((_, Value::Text(text))) if text.is_empty() => Vec::new(),
        Some((spot, _)) => {
            return Err(Problem::new(file, spot, "must be a mapping, `key: value`"));
        }
    };
    Ok(Raw {
        file: file.to_owned(),
        entries,
    })
}

/// A list or mapping that has not ended yet.
enum Open {
    List(Spot, Vec<(Spot, Value)>),
    Map(Spot, Vec<Entry>, Option<(Spot, String)>),
}

fn spot_of(span: &Span) -> Spot {
    Spot {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_panics(text in "[-a-z:\\[\\]{}&*!|>'\"#, \n\t]{0,200}") {
            let _ = parse(Path::new("f"), &text);
        }
    }
}
