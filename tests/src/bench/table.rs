//! Figures side by side with their ratio, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::update::Updates;

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes, shown as decimal megabytes.
    Bytes,
    /// A number of things.
    Count,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Bytes => format!("{:.1} MB", value / 1e6),
            Unit::Count => format!("{value:.0}"),
        }
    }
}

/// One figure. All of them are better when smaller.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was measured.
    pub figure: String,
    /// What the values count.
    pub unit: Unit,
    /// Ours, unless it was not asked for.
    pub holdfast: Option<f64>,
    /// The peer's, unless it was not asked for or there is no such thing.
    pub peer: Option<f64>,
}

impl Row {
    /// A row.
    pub fn new(
        figure: impl Into<String>,
        unit: Unit,
        holdfast: Option<f64>,
        peer: Option<f64>,
    ) -> Self {
        Row {
            figure: figure.into(),
            unit,
            holdfast,
            peer,
        }
    }

    /// Peer divided by ours: how many times less Holdfast needs.
    pub fn ratio(&self) -> Option<f64> {
        match (self.holdfast, self.peer) {
            (Some(ours), Some(peer)) if ours > 0.0 => Some(peer / ours),
            _ => None,
        }
    }
}

/// Everything a run prints.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// CPU, memory and kernel of the host.
    pub machine: String,
    /// Peer and its version; none if it was not asked for.
    pub peer: Option<String>,
    /// The figures.
    pub rows: Vec<Row>,
    /// What a reader must know to judge them.
    pub notes: Vec<String>,
    /// Updates have tables of their own.
    pub updates: Option<Updates>,
}

impl Table {
    /// Aligned columns.
    pub fn text(&self) -> String {
        let peer = self.peer.as_deref().unwrap_or("peer");
        let mut lines = vec![["", "Holdfast", peer, "peer / Holdfast"].map(String::from)];
        for row in &self.rows {
            let show =
                |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| row.unit.show(v));
            let ratio = row
                .ratio()
                .map_or_else(|| "-".to_owned(), |r| format!("{r:.1} x"));
            lines.push([
                row.figure.clone(),
                show(row.holdfast),
                show(row.peer),
                ratio,
            ]);
        }
        let width = |column: usize| {
            lines
                .iter()
                .map(|l| l[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2), width(3)];
        let mut out = format!("Machine: {}\n\n", self.machine);
        if self.rows.is_empty() {
            lines.clear();
        }
        for [figure, ours, theirs, ratio] in &lines {
            let [a, b, c, d] = widths;
            let _ = writeln!(out, "{figure:<a$}  {ours:>b$}  {theirs:>c$}  {ratio:>d$}");
        }
        if !self.notes.is_empty() {
            out.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(out, "- {note}");
        }
        if let Some(updates) = &self.updates {
            if !self.rows.is_empty() {
                out.push('\n');
            }
            out.push_str(&updates.text());
        }
        out
    }

    /// The same with a `ratio` in each row; values are in seconds, bytes and pieces.
    pub fn json(&self) -> serde_json::Result<String> {
        let mut value = serde_json::to_value(self)?;
        if let Some(rows) = value["rows"].as_array_mut() {
            for (json, row) in rows.iter_mut().zip(&self.rows) {
                json["ratio"] = row.ratio().into();
            }
        }
        if let Some(updates) = &self.updates {
            value["updates"] = updates.json()?;
        }
        serde_json::to_string_pretty(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            machine: "a machine".to_owned(),
            peer: Some("mkosi 27".to_owned()),
            rows: vec![
                Row::new("build", Unit::Seconds, Some(4.0), Some(60.0)),
                Row::new("initrd", Unit::Bytes, Some(3_200_000.0), None),
            ],
            notes: vec!["a note".to_owned()],
            updates: None,
        }
    }

    #[test]
    fn text_is_aligned() {
        let expected = "Machine: a machine\n\n        \
                        Holdfast  mkosi 27  peer / Holdfast\nbuild     4.00 s   60.00 s           15.0 x\n\
                        initrd    3.2 MB         -                -\n\n- a note\n";
        assert_eq!(table().text(), expected);
    }

    #[test]
    fn json_has_ratios() {
        let json: serde_json::Value = serde_json::from_str(&table().json().unwrap()).unwrap();
        assert_eq!(json["rows"][0]["ratio"], 15.0);
        assert!(json["rows"][1]["ratio"].is_null());
        assert_eq!(json["rows"][1]["unit"], "bytes");
    }
}
