//! Memory in use with docker up and idle, in the boots that `boot` timed.

use anyhow::Result;

use super::Bench;
use super::guest::Boot;
use super::measure::median;
use super::table::{Row, Unit};

/// Rows of this figure.
pub fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let boots = bench.boots()?;
    let middle = |side: &[Boot]| median(&side.iter().map(|b| b.memory).collect::<Vec<_>>());
    Ok(vec![Row::new(
        "memory in use, docker idle",
        Unit::Bytes,
        middle(&boots.holdfast),
        middle(&boots.mkosi),
    )])
}
