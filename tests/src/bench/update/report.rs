//! What was measured about updates, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::pair::About;

/// Memory that an update may take.
const MEMORY: u64 = 64 << 20;

/// The whole comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Updates {
    /// The two images.
    pub pair: About,
    /// Every way to the new /usr; our own choice comes first.
    pub methods: Vec<Line>,
    /// How near to the limits of network and disk an update comes.
    pub rates: Vec<Rate>,
    /// What a reader must know to judge it.
    pub notes: Vec<String>,
}

/// A way to get the new /usr.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// How it is set up.
    pub settings: String,
    /// Bytes over the wire, both directions, headers included.
    pub wire: u64,
    /// Requests.
    pub requests: u64,
    /// Seconds until the new /usr is on the disk.
    pub seconds: Option<f64>,
    /// Seconds of CPU time of that.
    pub cpu: Option<f64>,
    /// Largest resident memory in bytes.
    pub peak: Option<u64>,
    /// Seconds of CPU time of publishing.
    pub publishing: Option<f64>,
}

impl Line {
    /// Whether it keeps to 64 MiB; not known of what was not measured here.
    pub fn is_small(&self) -> Option<bool> {
        self.peak.map(|peak| peak <= MEMORY)
    }
}

/// An update with a slow network or a slow disk.
#[derive(Debug, Clone, Serialize)]
pub struct Rate {
    /// The way.
    pub way: String,
    /// Bytes per second of the network.
    pub network: Option<f64>,
    /// Bytes per second of the disk, reading and writing together.
    pub disk: Option<f64>,
    /// Bytes that were fetched: kernel image and metadata, too.
    pub fetched: u64,
    /// Bytes that were written and read.
    pub moved: u64,
    /// Seconds of the whole update, reading back included.
    pub seconds: f64,
    /// Seconds that the slower of the two needs at the least.
    pub bound: f64,
}

impl Rate {
    /// Bytes and bytes per second of network and disk.
    pub fn new(
        way: &str,
        (fetched, network): (u64, Option<f64>),
        (moved, disk): (u64, Option<f64>),
        seconds: f64,
    ) -> Self {
        let needs = |bytes: u64, rate: Option<f64>| rate.map_or(0.0, |rate| bytes as f64 / rate);
        Rate {
            way: way.to_owned(),
            network,
            disk,
            fetched,
            moved,
            seconds,
            bound: needs(fetched, network).max(needs(moved, disk)),
        }
    }

    /// The part of the possible speed that was reached.
    pub fn share(&self) -> f64 {
        self.bound / self.seconds
    }
}

impl Updates {
    /// Adds a way, or says why it was not measured.
    pub fn add(&mut self, name: &str, line: anyhow::Result<Line>) {
        match line {
            Ok(line) => self.methods.push(line),
            Err(error) => self.notes.push(format!("NOT MEASURED: {name}: {error:#}")),
        }
    }

    /// Tables of aligned columns.
    pub fn text(&self) -> String {
        let pair = &self.pair;
        let mut out = format!(
            "Update {} -> {}: {} of {} packages, kernel {} -> {}; /usr {}, kernel image {}\n\n",
            pair.old,
            pair.new,
            pair.changed,
            pair.packages,
            pair.kernels[0],
            pair.kernels[1],
            megabytes(pair.usr),
            megabytes(pair.kernel_image),
        );
        let ours = self.ours();
        let full = self.smallest_full();
        let mut rows = vec![
            [
                "new /usr by",
                "on the wire",
                "x ours",
                "of zstd",
                "time",
                "CPU",
                "memory",
                "64 MiB",
                "requests",
                "publish CPU",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        for line in &self.methods {
            let seconds = |value: Option<f64>| {
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} s"))
            };
            rows.push(vec![
                line.name.clone(),
                megabytes(line.wire),
                ours.map_or_else(
                    || "-".to_owned(),
                    |ours| format!("{:.2}", line.wire as f64 / ours as f64),
                ),
                full.map_or_else(
                    || "-".to_owned(),
                    |full| format!("{:.1} %", line.wire as f64 * 100.0 / full as f64),
                ),
                seconds(line.seconds),
                seconds(line.cpu),
                line.peak.map_or_else(|| "-".to_owned(), megabytes),
                line.is_small()
                    .map_or("-", |small| if small { "yes" } else { "no" })
                    .to_owned(),
                line.requests.to_string(),
                seconds(line.publishing),
            ]);
        }
        columns(&mut out, &rows);
        if !self.rates.is_empty() {
            out.push('\n');
            let mut rows = vec![
                [
                    "update by",
                    "network",
                    "disk",
                    "time",
                    "at the least",
                    "of the possible speed",
                ]
                .map(str::to_owned)
                .to_vec(),
            ];
            for rate in &self.rates {
                let speed = |speed: Option<f64>| {
                    speed.map_or_else(
                        || "as it is".to_owned(),
                        |speed| format!("{} MB/s", speed / 1e6),
                    )
                };
                rows.push(vec![
                    rate.way.clone(),
                    speed(rate.network),
                    speed(rate.disk),
                    format!("{:.1} s", rate.seconds),
                    format!("{:.1} s", rate.bound),
                    format!("{:.0} %", rate.share() * 100.0),
                ]);
            }
            columns(&mut out, &rows);
        }
        out.push('\n');
        for note in &self.notes {
            let _ = writeln!(out, "- {note}");
        }
        out
    }

    /// Bytes of our own choice, which comes first if our side was measured.
    fn ours(&self) -> Option<u64> {
        let first = self.methods.first()?;
        (first.name.starts_with("Holdfast") && first.wire > 0).then_some(first.wire)
    }

    /// Bytes of the smallest way that needs nothing of the machine.
    fn smallest_full(&self) -> Option<u64> {
        let full = self
            .methods
            .iter()
            .filter(|line| line.name.starts_with("zstd, all"));
        full.map(|line| line.wire).min()
    }

    /// With the ratios that the text has.
    pub fn json(&self) -> serde_json::Result<serde_json::Value> {
        let mut value = serde_json::to_value(self)?;
        let ours = self.ours();
        let full = self.smallest_full();
        if let Some(lines) = value["methods"].as_array_mut() {
            for (json, line) in lines.iter_mut().zip(&self.methods) {
                json["ratio"] = ours.map(|ours| line.wire as f64 / ours as f64).into();
                json["of_full"] = full.map(|full| line.wire as f64 / full as f64).into();
                json["within_64_mib"] = line.is_small().into();
            }
        }
        if let Some(rates) = value["rates"].as_array_mut() {
            for (json, rate) in rates.iter_mut().zip(&self.rates) {
                json["share"] = rate.share().into();
            }
        }
        Ok(value)
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The first column to the left, the others to the right.
fn columns(out: &mut String, rows: &[Vec<String>]) {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|at| width(at).unwrap_or(0)).collect();
    for row in rows {
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match at {
                0 => write!(out, "{cell:<width$}"),
                _ => write!(out, "  {cell:>width$}"),
            };
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, wire: u64, peak: Option<u64>) -> Line {
        Line {
            name: name.to_owned(),
            settings: String::new(),
            wire,
            requests: 3,
            seconds: Some(2.0),
            cpu: None,
            peak,
            publishing: None,
        }
    }

    fn updates() -> Updates {
        Updates {
            pair: About {
                old: "1".into(),
                new: "2".into(),
                packages: 9,
                changed: 3,
                kernels: ["a".into(), "b".into()],
                usr: 500_000_000,
                kernel_image: 16_000_000,
            },
            methods: vec![
                line("Holdfast, patch", 10_000_000, Some(40 << 20)),
                line("zstd, all of it", 100_000_000, Some(65 << 20)),
            ],
            rates: vec![Rate::new(
                "patch",
                (10_000_000, Some(1e6)),
                (900_000_000, Some(1e8)),
                12.5,
            )],
            notes: vec!["a note".into()],
        }
    }

    #[test]
    fn the_slower_one_is_the_bound() {
        let rate = &updates().rates[0];
        assert_eq!(rate.bound, 10.0);
        assert_eq!(rate.share(), 0.8);
    }

    #[test]
    fn text_and_json_have_ratios() {
        let text = updates().text();
        for part in ["10.00", "100.0 %", "80 %", "- a note", "3 of 9 packages"] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        let json = updates().json().unwrap();
        assert_eq!(json["methods"][1]["ratio"], 10.0);
        assert_eq!(json["methods"][1]["within_64_mib"], false);
        assert_eq!(json["methods"][0]["within_64_mib"], true);
        assert_eq!(json["methods"][0]["of_full"], 0.1);
        assert_eq!(json["rates"][0]["share"], 0.8);
    }
}
