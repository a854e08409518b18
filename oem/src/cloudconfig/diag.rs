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

/// Longest piece of a source line shown.
const SNIPPET: usize = 100;

/// Renders findings the way compilers do: place, message, source line, caret.
pub fn render(name: &str, text: &str, diagnostics: &[Diagnostic]) -> String {
    let lines: Vec<&str> = text.lines().collect();
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
        if let Some(line) = (d.spot.line as usize)
            .checked_sub(1)
            .and_then(|i| lines.get(i))
        {
            snippet(&mut out, d.spot, line);
        }
        if let Some(hint) = &d.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    out
}

fn snippet(out: &mut String, spot: Spot, line: &str) {
    let column = (spot.column as usize).saturating_sub(1);
    let from = column.saturating_sub(SNIPPET / 2);
    let shown: String = line
        .chars()
        .skip(from)
        .take(SNIPPET)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = spot.line.to_string();
    let _ = writeln!(out, "  {number} | {}", shown.trim_end());
    let _ = writeln!(
        out,
        "  {:w$} | {:c$}^",
        "",
        "",
        w = number.len(),
        c = column - from
    );
}
