//! Typed reading of nodes. Each function reports what does not fit and goes
//! on, so that one wrong item costs only itself.

use super::diag::{At, Diagnostic, Severity, Spot};
use super::node::{Kind, Node};
use super::refused::Refused;
use super::schema::{Key, look, names, place_of};
use crate::userdata::unpack::decode_base64;
use std::rc::Rc;

/// Findings kept; a hostile text could produce one a byte.
const MAX_FINDINGS: usize = 200;

/// Collects findings while a text is read.
#[derive(Default)]
pub struct Reader {
    findings: Vec<Diagnostic>,
    /// Findings that were not kept, and whether errors are among them.
    more: usize,
    more_errors: bool,
    /// Keys are shown with `-`: the language's own spelling.
    dashes: bool,
    /// The language is cloud-config: where a key belongs can be told.
    cloud_config: bool,
}

/// The known fields of a mapping, by their name with `_`.
pub struct Fields<'a> {
    /// Where the mapping starts.
    pub spot: Spot,
    /// Key path, e.g. `users[0]`.
    pub path: String,
    entries: Vec<(String, Spot, &'a Rc<Node>)>,
    dashes: bool,
}

impl<'a> Fields<'a> {
    /// The value of `name`, unless absent or null.
    pub fn get(&self, name: &str) -> Option<&'a Rc<Node>> {
        self.entries
            .iter()
            .rev()
            .find(|(k, ..)| k == name)
            .map(|(.., v)| *v)
            .filter(|v| !v.is_null())
    }
    /// All entries in the order written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Spot, &'a Rc<Node>)> {
        self.entries.iter().map(|(k, s, v)| (k.as_str(), *s, *v))
    }
    /// The value of `name` and where its key stands.
    pub fn entry(&self, name: &str) -> Option<(Spot, &'a Rc<Node>)> {
        let (_, spot, value) = self.entries.iter().rev().find(|(k, ..)| k == name)?;
        (!value.is_null()).then_some((*spot, *value))
    }
    /// A line of text, if the field is there and right.
    pub fn line(&self, name: &str, r: &mut Reader) -> Option<At<String>> {
        r.line(self.get(name)?, &self.key(name))
    }
    /// A boolean, if the field is there and right.
    pub fn boolean(&self, name: &str, r: &mut Reader) -> Option<bool> {
        r.boolean(self.get(name)?, &self.key(name))
    }
    /// One of some words, if the field is there; `what` is wrong with others.
    pub fn word(
        &self,
        name: &str,
        known: &[&'static str],
        what: &str,
        r: &mut Reader,
    ) -> Option<&'static str> {
        let text = self.line(name, r)?;
        r.word(&text, &self.key(name), known, what)
    }
    /// Path of a field.
    pub fn key(&self, name: &str) -> String {
        let name = spelled(name, self.dashes);
        if self.path.is_empty() {
            name
        } else {
            format!("{}.{name}", self.path)
        }
    }
}

impl Reader {
    /// A reader of a language whose keys have `-` in them.
    pub fn with_dashes() -> Reader {
        Reader {
            dashes: true,
            ..Reader::default()
        }
    }
    /// A reader of cloud-config.
    pub fn of_cloud_config() -> Reader {
        Reader {
            cloud_config: true,
            ..Reader::default()
        }
    }
    /// Whether there are as many findings as are kept. Counts one more if so: no
    /// work is to be done for what nobody sees.
    fn is_full(&mut self, severity: Severity) -> bool {
        let full = self.findings.len() >= MAX_FINDINGS;
        self.more += usize::from(full);
        self.more_errors |= full && severity == Severity::Error;
        full
    }
    /// Records a finding.
    pub fn report(&mut self, d: Diagnostic) {
        if !self.is_full(d.severity) {
            self.findings.push(d)
        }
    }
    /// Records an error.
    pub fn error(&mut self, spot: Spot, key: &str, message: impl Into<String>, hint: &str) {
        let d = Diagnostic::error(spot, key, message.into());
        self.report(if hint.is_empty() { d } else { d.hint(hint) });
    }
    /// Records a warning.
    pub fn warn(&mut self, spot: Spot, key: &str, message: impl Into<String>, hint: &str) {
        let d = Diagnostic::warning(spot, key, message.into());
        self.report(if hint.is_empty() { d } else { d.hint(hint) });
    }
    /// The findings in the order of the text.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.findings.sort_by_key(|d| d.spot);
        self.findings.dedup();
        if self.more > 0 {
            let message = format!("{} more findings are not shown", self.more);
            self.findings.push(match self.more_errors {
                true => Diagnostic::error(Spot::default(), "", message + "; errors are among them"),
                false => Diagnostic::warning(Spot::default(), "", message),
            });
        }
        self.findings
    }

    /// Reads a mapping whose fields are those directly below `prefix` in `keys`.
    pub fn table<'a>(
        &mut self,
        node: &'a Node,
        path: &str,
        keys: &[Key],
        prefix: &str,
    ) -> Option<Fields<'a>> {
        let fields = self.fields(node, path, &names(keys, prefix), &[])?;
        look(&fields, keys, prefix, self);
        Some(fields)
    }

    /// Reads a mapping. Keys are compared with `-` as `_`. A key that is not in
    /// `known` is a warning: by name when it is in `later` (understood, not
    /// applied by this version), else with a suggestion.
    pub fn fields<'a>(
        &mut self,
        node: &'a Node,
        path: &str,
        known: &[&str],
        later: &[&str],
    ) -> Option<Fields<'a>> {
        self.mapping(node, path, known, |name| {
            let there = later.contains(&name);
            there.then_some(("accepted, not applied by this version", ""))
        })
    }

    /// The same, with keys that are refused, each with what to use instead.
    pub fn fields_or_refused<'a>(
        &mut self,
        node: &'a Node,
        path: &str,
        known: &[&str],
        refused: &'static [Refused],
    ) -> Option<Fields<'a>> {
        self.mapping(node, path, known, |name| {
            let found = refused.iter().find(|r| r.name == name)?;
            Some(("not applied on this system", found.instead))
        })
    }

    fn mapping<'a>(
        &mut self,
        node: &'a Node,
        path: &str,
        known: &[&str],
        unmet: impl Fn(&str) -> Option<(&'static str, &'static str)>,
    ) -> Option<Fields<'a>> {
        let Kind::Map(entries) = &node.kind else {
            self.error(
                node.spot,
                path,
                format!("expected a mapping, found {}", node.describe()),
                "",
            );
            return None;
        };
        let mut out = Fields {
            spot: node.spot,
            path: path.to_owned(),
            entries: Vec::with_capacity(entries.len()),
            dashes: self.dashes,
        };
        for (k, v) in entries {
            let Kind::Scalar { text, .. } = &k.kind else {
                self.warn(
                    k.spot,
                    path,
                    "a key must be a word; this one is not applied",
                    "",
                );
                continue;
            };
            let name = text.replace('-', "_");
            if known.contains(&name.as_str()) {
                // Known names are few, so this search is short.
                if let Some(before) = out.entries.iter().position(|(n, ..)| *n == name) {
                    self.warn(
                        k.spot,
                        &out.key(&shorten(text)),
                        format!(
                            "given twice (first on line {}); the last one counts",
                            out.entries[before].1.line
                        ),
                        "remove one of them",
                    );
                    out.entries.remove(before);
                }
                out.entries.push((name, k.spot, v));
            } else if let Some((why, instead)) = unmet(&name) {
                self.warn(k.spot, &out.key(&shorten(text)), why, instead);
            } else {
                self.unknown(k.spot, &out.key(&shorten(text)), &name, known);
            }
        }
        Some(out)
    }

    /// Warns about a key that is not among those known at its place.
    pub fn unknown(&mut self, spot: Spot, path: &str, name: &str, known: &[&str]) {
        if self.is_full(Severity::Warning) {
            return;
        }
        let hint = match suggest(name, known) {
            Some(near) => format!("did you mean `{}`?", spelled(near, self.dashes)),
            None => match place_of(name).filter(|_| self.cloud_config) {
                Some(place) if place == name => format!("`{name}` stands at the top level"),
                Some(place) => format!("did you mean `{place}`?"),
                None => String::new(),
            },
        };
        self.warn(spot, path, "unknown key, not applied", &hint);
    }

    /// One of some words, in capitals or not; `what` is wrong with others.
    pub fn word(
        &mut self,
        text: &At<String>,
        path: &str,
        known: &[&'static str],
        what: &str,
    ) -> Option<&'static str> {
        let word = text.value.to_ascii_lowercase();
        let found = known.iter().find(|k| **k == word);
        if found.is_none() && !self.is_full(Severity::Error) {
            let hint = match suggest(&word, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("one of {}", known.join(", ")),
            };
            self.error(text.spot, path, what, &hint);
        }
        found.copied()
    }

    /// Reads bytes: text as it is, or the base64 of a `!!binary` value.
    pub fn bytes(&mut self, node: &Node, path: &str) -> Option<At<Vec<u8>>> {
        let Kind::Scalar { text, binary, .. } = &node.kind else {
            self.error(
                node.spot,
                path,
                format!("expected text, found {}", node.describe()),
                "",
            );
            return None;
        };
        if !binary {
            return Some(At {
                spot: node.spot,
                value: text.clone().into_bytes(),
            });
        }
        let decoded = decode_base64(text.as_bytes());
        if decoded.is_none() {
            self.error(node.spot, path, "this !!binary value is not base64", "");
        }
        Some(At {
            spot: node.spot,
            value: decoded?,
        })
    }

    /// Reads text. Numbers and booleans are taken as they are written.
    pub fn string(&mut self, node: &Node, path: &str) -> Option<At<String>> {
        let bytes = self.bytes(node, path)?;
        match String::from_utf8(bytes.value) {
            Ok(value) => Some(At {
                spot: node.spot,
                value,
            }),
            Err(_) => {
                self.error(node.spot, path, "this !!binary value is not UTF-8 text", "");
                None
            }
        }
    }

    /// Reads one line of text: no line break, no NUL.
    pub fn line(&mut self, node: &Node, path: &str) -> Option<At<String>> {
        let s = self.string(node, path)?;
        let value = s.value.trim().to_owned();
        if value.contains(['\n', '\r', '\0']) {
            let hint = "line breaks and NUL have no place here";
            self.error(s.spot, path, "must be a single line", hint);
            return None;
        }
        Some(At { value, ..s })
    }

    /// Reads a YAML 1.1 boolean.
    pub fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        let word = if let Kind::Scalar { text, .. } = &node.kind {
            text.to_ascii_lowercase()
        } else {
            String::new()
        };
        match word.as_str() {
            "true" | "yes" | "on" | "y" | "1" => Some(true),
            "false" | "no" | "off" | "n" | "0" => Some(false),
            _ => {
                self.error(node.spot, path, "expected true or false", "");
                None
            }
        }
    }

    /// Reads a list of mappings or whatever: the items.
    pub fn list<'a>(&mut self, node: &'a Node, path: &str) -> &'a [Rc<Node>] {
        match &node.kind {
            Kind::Seq(items) => items,
            _ => {
                self.error(
                    node.spot,
                    path,
                    format!("expected a list, found {}", node.describe()),
                    "start each item with `- `",
                );
                &[]
            }
        }
    }

    /// Reads a list of single lines, or one value as people write it: words with
    /// commas or spaces between them.
    pub fn words(&mut self, node: &Node, path: &str) -> Vec<At<String>> {
        let Kind::Scalar { .. } = &node.kind else {
            return self.lines(node, path);
        };
        let Some(line) = self.line(node, path) else {
            return Vec::new();
        };
        line.value
            .split([',', ' '])
            .filter(|w| !w.is_empty())
            .map(|w| At {
                spot: line.spot,
                value: w.to_owned(),
            })
            .collect()
    }

    /// Reads a whole number.
    pub fn number(&mut self, node: &Node, path: &str) -> Option<u64> {
        let line = self.line(node, path)?;
        let number = line.value.parse().ok();
        if number.is_none() {
            self.error(line.spot, path, "expected a whole number", "");
        }
        number
    }

    /// Reads a list of single lines; one bare value counts as a list of one.
    pub fn lines(&mut self, node: &Node, path: &str) -> Vec<At<String>> {
        match &node.kind {
            Kind::Scalar { .. } => {
                self.warn(
                    node.spot,
                    path,
                    "expected a list, found a single value; taken as a list of one",
                    "start each item with `- `",
                );
                self.line(node, path).into_iter().collect()
            }
            _ => self
                .list(node, path)
                .iter()
                .enumerate()
                .filter(|(_, n)| !n.is_null())
                .filter_map(|(i, n)| self.line(n, &format!("{path}[{i}]")))
                .collect(),
        }
    }
}

/// A key as its language writes it.
fn spelled(name: &str, dashes: bool) -> String {
    if dashes {
        name.replace('_', "-")
    } else {
        name.to_owned()
    }
}

/// A foreign text as messages show it: short, and without control characters.
pub fn shorten(key: &str) -> String {
    key.chars()
        .take(64)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// The closest of `known`, if it is close.
pub fn suggest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    if name.len() > 64 {
        return None;
    }
    let limit = (name.len() / 3).clamp(1, 3);
    known
        .iter()
        .map(|k| (distance(name, k), *k))
        .min()
        .filter(|(d, _)| *d <= limit)
        .map(|(_, k)| k)
}

/// Optimal string alignment distance.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = usize::from(a[i - 1] != b[j - 1]);
                let mut best = (rows[i - 1][j] + 1)
                    .min(rows[i][j - 1] + 1)
                    .min(rows[i - 1][j - 1] + change);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}
