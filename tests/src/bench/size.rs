//! Sizes of what is shipped and of what the firmware loads.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use image_build::tools::Tool;

use super::mkosi::Flavour;
use super::qcow2::Format;
use super::table::{Row, Unit};
use super::{Bench, progress};

/// Rows of this figure.
pub fn rows(bench: &Bench) -> Result<Vec<Row>> {
    progress("weighing the images");
    let mut ours = [None; 3];
    let mut like = None;
    if let Some(holdfast) = bench.holdfast_side() {
        let image = holdfast.image()?;
        let report = holdfast.report()?;
        let part = |name: &str| {
            let bytes = report.sizes.get(name);
            bytes
                .map(|bytes| *bytes as f64)
                .with_context(|| format!("the build report has no size of `{name}`"))
        };
        ours = [
            Some(size(&image)?),
            Some(part("UKI")?),
            Some(part("initrd")?),
        ];
        like = Some(image);
    }
    let mut theirs = [None; 3];
    if let Some(mkosi) = bench.mkosi_side() {
        let image = mkosi.image(Flavour::Plain)?;
        let qcow2 = compressed(bench, &image.raw, like.as_deref())?;
        theirs = [
            Some(qcow2),
            Some(size(&image.uki)?),
            Some(size(&image.initrd)?),
        ];
    }
    let row = |figure, at: usize| Row::new(figure, Unit::Bytes, ours[at], theirs[at]);
    Ok(vec![
        row("image, compressed qcow2", 0),
        row("unified kernel image", 1),
        row("initrd", 2),
    ])
}

/// Size of `raw` as a qcow2 file that is compressed as `like` is: same cluster size and method.
fn compressed(bench: &Bench, raw: &Path, like: Option<&Path>) -> Result<f64> {
    let format = like.map(Format::read).transpose()?.unwrap_or_default();
    let path = bench.work().join("peer.qcow2");
    let mut command = bench.tools()?.command(Tool::QemuImg)?;
    command.args(["convert", "-c", "-m", "2", "-f", "raw", "-O", "qcow2"]);
    command.args(["-o", &format.options()]).arg(raw).arg(&path);
    command.run().context("compressing the image of the peer")?;
    size(&path)
}

fn size(path: &Path) -> Result<f64> {
    let meta = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(meta.len() as f64)
}
