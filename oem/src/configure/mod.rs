//! From what was fetched to a configured machine: `decode -> parse -> plan ->
//! apply -> report`.

use crate::apply::{Bus, Systemd, apply};
use crate::cloudconfig::{self, CloudConfig, Diagnostic, Spot};
use crate::error::Result;
use crate::metadata::{Fetched, Metadata};
use crate::plan::{self, Input, Layer, Origin, Plan};
use crate::root::Root;
use crate::status::{Finding, Report};
use crate::userdata::{self, Part};

/// All texts, parsed, with what was found in them.
#[derive(Debug, Clone, Default)]
pub struct Intake {
    /// In rising order of precedence.
    pub inputs: Vec<Input>,
    /// Findings, with whose text they are in.
    pub findings: Vec<(Layer, Diagnostic)>,
}

impl Intake {
    /// Decodes and parses one layer's bytes and adds it above those before it.
    /// Whatever is wrong becomes a finding.
    pub fn add(&mut self, layer: Layer, bytes: &[u8]) {
        let parts = match userdata::decode(bytes) {
            Ok(parts) => parts,
            Err(e) => {
                let mut d = Diagnostic::error(Spot::default(), "", e.chain());
                d.hint = e.hint_text().map(str::to_owned);
                self.findings.push((layer, d));
                return;
            }
        };
        let mut input = Input {
            layer,
            config: CloudConfig::default(),
            scripts: Vec::new(),
        };
        for part in parts {
            match part {
                Part::CloudConfig(text) => {
                    let (config, findings) = cloudconfig::parse(&text);
                    input.config = config;
                    self.findings
                        .extend(findings.into_iter().map(|d| (layer, d)));
                }
                Part::Script(script) => input.scripts.push(script),
                Part::Refused(r) => {
                    let d = Diagnostic::error(
                        Spot { line: 1, column: 1 },
                        "",
                        format!("not applied: {}", r.what),
                    );
                    self.findings.push((layer, d.hint(r.hint)));
                }
            }
        }
        self.inputs.push(input);
    }

    /// Everything a source sent, above the OEM partition's cloud-config.
    pub fn of(oem: Option<&[u8]>, fetched: &Fetched) -> Intake {
        let mut intake = Intake::default();
        let layers = [
            (Layer::Oem, oem),
            (Layer::VendorData, fetched.vendor_data.as_deref()),
            (Layer::UserData, fetched.user_data.as_deref()),
        ];
        for (layer, bytes) in layers {
            if let Some(bytes) = bytes {
                intake.add(layer, bytes);
            }
        }
        intake
    }

    /// What is to be done on the machine below `root`.
    pub fn plan(&self, metadata: &Metadata, root: &Root) -> Result<Plan> {
        plan::build(&self.inputs, metadata, root)
    }

    /// The findings for a report.
    pub fn report_findings(&self) -> Vec<Finding> {
        let origin = |layer: Layer, d: &Diagnostic| match d.spot.line {
            0 => Origin::from(layer),
            _ => Origin::at(layer, d.spot),
        };
        self.findings
            .iter()
            .map(|(layer, d)| Finding::new(origin(*layer, d), d))
            .collect()
    }
}

/// Plans and applies everything below `root`, and writes the report there.
/// systemd is only asked when `root` is the running machine's own. Blocking;
/// not to be called from inside an async runtime.
///
/// `news` is a report with what is known so far: stage, sources, warnings.
pub fn configure(
    root: &Root,
    news: Report,
    oem: Option<&[u8]>,
    fetched: &Fetched,
) -> Result<Report> {
    let start = std::time::Instant::now();
    let intake = Intake::of(oem, fetched);
    let plan = intake.plan(&fetched.metadata, root)?;
    let mut findings = intake.report_findings();
    let bus = if root.is_live() {
        // Files, users and keys are worth having even when systemd is not reached.
        Bus::connect().unwrap_or_else(|e| {
            let mut d = Diagnostic::error(Spot::default(), "", e.chain());
            d.hint = e.hint_text().map(str::to_owned);
            findings.push(Finding::new(Layer::CommandLine.into(), &d));
            None
        })
    } else {
        None
    };
    let done = apply(&plan, root, bus.as_ref().map(|b| b as &dyn Systemd))?;
    let named = |s: &str| Some(s.to_owned()).filter(|s| !s.is_empty());
    let report = Report {
        provider: named(&fetched.provider).or_else(|| named(&fetched.metadata.provider)),
        source: named(&fetched.source),
        findings,
        finished: done.finished,
        resources: done.resources,
        milliseconds: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..news
    };
    report.write(root)?;
    Ok(report)
}

#[cfg(test)]
mod tests;
