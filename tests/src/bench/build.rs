//! Build time and memory: warm, with nothing to do, and with nothing unpacked.

use anyhow::{Context, Result};

use super::holdfast::Build;
use super::measure::{Cost, median};
use super::mkosi::{Flavour, Reuse};
use super::table::{Row, Unit};
use super::{Bench, progress};

/// Costs of several runs, by the median.
struct Costs(Vec<Cost>);

impl Costs {
    fn of(runs: u32, mut run: impl FnMut() -> Result<Cost>) -> Result<Self> {
        (0..runs).map(|_| run()).collect::<Result<_>>().map(Costs)
    }

    fn wall(&self) -> Option<f64> {
        self.median(|c| c.wall.as_secs_f64())
    }

    fn cpu(&self) -> Option<f64> {
        self.median(|c| c.cpu.as_secs_f64())
    }

    fn peak_rss(&self) -> Option<f64> {
        // Bytes fit in 52 bits.
        self.median(|c| c.peak_rss as f64)
    }

    fn median(&self, value: impl Fn(&Cost) -> f64) -> Option<f64> {
        median(&self.0.iter().map(value).collect::<Vec<_>>())
    }
}

/// Rows of this figure.
pub fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let ours = bench
        .holdfast_side()
        .map(|h| holdfast(bench, h))
        .transpose()?;
    let theirs = bench.mkosi_side().map(|m| mkosi(bench, m)).transpose()?;
    let row = |figure: &str, unit, ours: Option<Option<f64>>, theirs: Option<Option<f64>>| {
        Row::new(figure, unit, ours.flatten(), theirs.flatten())
    };
    let (ours, theirs) = (ours.as_ref(), theirs.as_ref());
    Ok(vec![
        row(
            "build, packages cached",
            Unit::Seconds,
            ours.map(|o| o.warm.wall()),
            theirs.map(|t| t.full.wall()),
        ),
        row(
            "  CPU time",
            Unit::Seconds,
            ours.map(|o| o.warm.cpu()),
            theirs.map(|t| t.full.cpu()),
        ),
        row(
            "  peak memory",
            Unit::Bytes,
            ours.map(|o| o.warm.peak_rss()),
            theirs.map(|t| t.full.peak_rss()),
        ),
        row(
            "build, packages cached but not unpacked",
            Unit::Seconds,
            ours.map(|o| o.cold.wall()),
            theirs.map(|t| t.full.wall()),
        ),
        row(
            "  CPU time",
            Unit::Seconds,
            ours.map(|o| o.cold.cpu()),
            theirs.map(|t| t.full.cpu()),
        ),
        row(
            "build again, nothing changed",
            Unit::Seconds,
            ours.map(|o| o.again.wall()),
            theirs.map(|t| t.again.wall()),
        ),
    ])
}

struct Ours {
    warm: Costs,
    cold: Costs,
    again: Costs,
}

fn holdfast(bench: &Bench, holdfast: &super::holdfast::Holdfast) -> Result<Ours> {
    progress("building with image-build");
    holdfast.build("out", &Build::default())?;
    let forced = Build {
        force: true,
        ..Build::default()
    };
    let warm = Costs::of(bench.runs, || holdfast.build("out", &forced))?;
    let again = Costs::of(bench.runs, || holdfast.build("out", &Build::default()))?;
    let cold = Costs::of(bench.runs, || {
        let cache = tempfile::tempdir_in(bench.work()).context("creating a folder")?;
        holdfast.cache_without_unpacked(cache.path())?;
        holdfast.build(
            "cold",
            &Build {
                cache: Some(cache.path().into()),
                force: true,
                ..Build::default()
            },
        )
    })?;
    Ok(Ours { warm, cold, again })
}

struct Theirs {
    full: Costs,
    again: Costs,
}

fn mkosi(bench: &Bench, mkosi: &super::mkosi::Mkosi) -> Result<Theirs> {
    // Downloads what is missing, so that what follows runs from the cache.
    mkosi.image(Flavour::Plain)?;
    progress("building with mkosi");
    let full = Costs::of(bench.runs, || mkosi.build(Flavour::Plain, Reuse::Nothing))?;
    progress("building with mkosi, from its cached trees");
    mkosi.build(Flavour::Plain, Reuse::Trees)?;
    let again = Costs::of(bench.runs, || mkosi.build(Flavour::Plain, Reuse::Trees))?;
    Ok(Theirs { full, again })
}
