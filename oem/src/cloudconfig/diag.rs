//! What is wrong or not applied, and where.

use serde::Serialize;
use std::fmt::Write as _;

/// A place in the text, counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Spot {
    /// Line, from 1; 0 when the place is not known.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A value with the place it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// Where.
    pub spot: Spot,
    /// What.
    pub value: T,
}

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The item is not applied.
    Error,
    /// Something is not applied or looks unintended; the rest is.
    Warning,
}

/// One finding of the parser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Where.
    #[serde(flatten)]
    pub spot: Spot,
    /// Which key, e.g. `coreos.units[1].command`; empty for the whole text.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A finding that keeps an item from being applied.
    pub fn error(spot: Spot, key: &str, message: String) -> Self {
        Diagnostic {
            severity: Severity::Error,
            spot,
            key: key.to_owned(),
            message,
            hint: None,
        }
    }
    /// A finding that does not.
    pub fn warning(spot: Spot, key: &str, message: String) -> Self {
        Diagnostic {
            severity: Severity::Warning,
            ..Self::error(spot, key, message)
        }
    }
    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// Whether an item is not applied because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Longest piece of a source line shown, in characters.
const SNIPPET: usize = 100;

/// The piece of a line that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// The piece; control characters are spaces.
    pub text: String,
    /// Characters in it before the place of the finding.
    pub before: usize,
}

/// The lines of a text, to take snippets from. Findings come in the order of the
/// text, so that a place is looked for from the last one on.
pub struct Lines<'t> {
    text: &'t str,
    /// Where the line of the last place starts, and its number.
    start: usize,
    line: u32,
    /// What was passed of it.
    chars: usize,
    bytes: usize,
}

impl<'t> Lines<'t> {
    /// Those of a text.
    pub fn new(text: &'t str) -> Lines<'t> {
        Lines {
            text,
            start: 0,
            line: 1,
            chars: 0,
            bytes: 0,
        }
    }
    /// Goes to a line, and gives it.
    fn go(&mut self, line: u32) -> Option<&'t str> {
        if line < self.line {
            (self.start, self.line) = (0, 1);
        }
        while self.line < line {
            self.start += self.text.get(self.start..)?.find('\n')? + 1;
            self.line += 1;
        }
        let rest = self.text.get(self.start..).filter(|r| !r.is_empty())?;
        let line = rest.split('\n').next().unwrap_or_default();
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
    /// What stands at and around a place.
    pub fn snippet(&mut self, spot: Spot) -> Option<Snippet> {
        let before = self.line;
        let column = (spot.column as usize).saturating_sub(1);
        let from = column.saturating_sub(SNIPPET / 2);
        let line = self.go(spot.line).filter(|_| spot.line > 0)?;
        if self.line != before || from < self.chars {
            (self.chars, self.bytes) = (0, 0);
        }
        let passed = line[self.bytes..].chars().take(from - self.chars);
        self.bytes += passed.map(char::len_utf8).sum::<usize>();
        self.chars = from;
        let shown: String = line[self.bytes..]
            .chars()
            .take(SNIPPET)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        Some(Snippet {
            text: shown.trim_end().to_owned(),
            before: column - from,
        })
    }
}

/// Renders findings the way compilers do: place, message, source line, caret.
pub fn render<'d>(
    name: &str,
    text: &str,
    diagnostics: impl IntoIterator<Item = &'d Diagnostic>,
) -> String {
    let mut lines: Option<Lines<'_>> = None;
    let mut out = String::new();
    for d in diagnostics {
        let severity = if d.is_error() { "error" } else { "warning" };
        let key = if d.key.is_empty() {
            String::new()
        } else {
            format!("{}: ", d.key)
        };
        let _ = if d.spot.line == 0 {
            writeln!(out, "{name}: {severity}: {key}{}", d.message)
        } else {
            writeln!(
                out,
                "{name}:{}:{}: {severity}: {key}{}",
                d.spot.line, d.spot.column, d.message
            )
        };
        let lines = lines.get_or_insert_with(|| Lines::new(text));
        if let Some(snippet) = lines.snippet(d.spot) {
            let number = d.spot.line.to_string();
            let _ = writeln!(out, "  {number} | {}", snippet.text);
            let _ = writeln!(
                out,
                "  {:w$} | {:c$}^",
                "",
                "",
                w = number.len(),
                c = snippet.before
            );
        }
        if let Some(hint) = &d.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    out
}
