//! Text into stanzas.

use super::super::value::{Value, split};
use crate::cloudconfig::Spot;
use crate::cloudconfig::read::{Reader, shorten, suggest};

/// Words that begin a stanza.
const STANZAS: &[&str] = &[
    "auto",
    "iface",
    "mapping",
    "source",
    "source-directory",
    "no-auto-down",
    "no-scripts",
    "template",
    "rename",
];

/// A line with its place: continuations joined, comments dropped.
struct Line {
    spot: Spot,
    text: String,
}

fn lines(text: &str) -> Vec<Line> {
    let mut out: Vec<Line> = Vec::new();
    let mut open = false;
    for (i, raw) in text.lines().enumerate() {
        let trimmed = raw.trim();
        let (body, continued) = match trimmed.strip_suffix('\\') {
            Some(body) => (body.trim_end(), true),
            None => (trimmed, false),
        };
        if let (true, Some(last)) = (open, out.last_mut()) {
            last.text.push(' ');
            last.text.push_str(body);
        } else if !body.is_empty() && !body.starts_with('#') {
            let indent = raw.chars().take_while(|c| c.is_whitespace()).count();
            let spot = Spot {
                line: u32::try_from(i + 1).unwrap_or(u32::MAX),
                column: u32::try_from(indent + 1).unwrap_or(u32::MAX),
            };
            let text = body.replace('\0', " ");
            out.push(Line { spot, text });
        } else {
            continue;
        }
        open = continued;
    }
    out
}

/// One `iface` stanza.
pub(super) struct Stanza {
    pub spot: Spot,
    pub name: String,
    pub ipv6: bool,
    pub method: String,
    pub options: Vec<(Spot, String, String)>,
}

impl Stanza {
    /// The value of an option (`_` and `-` are the same).
    pub fn get(&self, name: &str) -> Option<(Spot, &str)> {
        self.options
            .iter()
            .rev()
            .find(|(_, n, _)| n == name)
            .map(|(s, _, v)| (*s, v.as_str()))
    }
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
    pub fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }
    /// The checked value of an option.
    pub fn read<T>(
        &self,
        r: &mut Reader,
        name: &str,
        parse: impl FnOnce(&str) -> Value<T>,
    ) -> Option<T> {
        let (spot, text) = self.get(name)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err((what, hint)) => {
                r.error(spot, &self.key(name), what, hint);
                None
            }
        }
    }
    /// The checked words of an option.
    pub fn words<T>(&self, r: &mut Reader, name: &str, parse: impl Fn(&str) -> Value<T>) -> Vec<T> {
        let mut out = Vec::new();
        for (spot, _, text) in self.options.iter().filter(|(_, n, _)| n == name) {
            for word in split(text) {
                match parse(word) {
                    Ok(value) => out.push(value),
                    Err((what, hint)) => r.error(*spot, &self.key(name), what, hint),
                }
            }
        }
        out
    }
}

/// The `iface` stanzas of a text.
pub(super) fn stanzas(text: &str, r: &mut Reader) -> Vec<Stanza> {
    let mut out: Vec<Stanza> = Vec::new();
    let mut inside = false;
    for Line { spot, text } in lines(text) {
        let (word, rest) = text.split_once([' ', '\t']).unwrap_or((&text, ""));
        let rest = rest.trim();
        match word {
            "iface" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                inside = false;
                let &[name, family, method] = &words[..] else {
                    let what = "expected `iface NAME FAMILY METHOD`";
                    r.error(spot, "iface", what, "such as `iface eth0 inet static`");
                    continue;
                };
                if !matches!(family, "inet" | "inet6") {
                    let what = format!("{:?} is none of inet, inet6", shorten(family));
                    r.error(spot, "iface", what, "");
                    continue;
                }
                inside = true;
                out.push(Stanza {
                    spot,
                    name: name.to_owned(),
                    ipv6: family == "inet6",
                    method: method.to_owned(),
                    options: Vec::new(),
                });
            }
            "auto" | "no-auto-down" | "no-scripts" => inside = false,
            _ if word.starts_with("allow-") => inside = false,
            "source" | "source-directory" | "mapping" | "template" | "rename" => {
                inside = false;
                r.warn(
                    spot,
                    word,
                    "not applied",
                    "write the `iface` stanzas themselves",
                );
            }
            _ => match out.last_mut().filter(|_| inside) {
                Some(stanza) => {
                    let name = word.replace('_', "-");
                    stanza.options.push((spot, name, rest.to_owned()));
                }
                None => {
                    let hint = suggest(word, STANZAS).map(|s| format!("did you mean `{s}`?"));
                    let key = shorten(word);
                    r.warn(
                        spot,
                        &key,
                        "outside of any stanza, not applied",
                        hint.as_deref().unwrap_or(""),
                    );
                }
            },
        }
    }
    out
}
