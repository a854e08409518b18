//! Boot time with user-data: from the kernel's start to a running docker and the
//! user's own unit.

use anyhow::Result;

use super::Bench;
use super::guest::Boot;
use super::measure::median;
use super::table::{Row, Unit};

/// Rows of this figure.
pub fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let boots = bench.boots()?;
    let row = |figure: &str, value: fn(&Boot) -> f64| {
        let middle = |side: &[Boot]| median(&side.iter().map(value).collect::<Vec<_>>());
        Row::new(
            figure,
            Unit::Seconds,
            middle(&boots.holdfast),
            middle(&boots.mkosi),
        )
    };
    Ok(vec![
        row("kernel start to docker.service active", |b| b.docker),
        row("kernel start to user's unit active", |b| b.unit),
        row("kernel start to the real systemd", |b| b.systemd),
        row("PID 1 start to the end of the initrd", |b| {
            b.handed_over - b.init
        }),
        row("power-on to user's unit, host's clock", |b| b.power_on),
    ])
}
