//! From what was fetched to a configured machine: `decode -> parse -> plan ->
//! apply -> report`.

mod given;
mod merge;
mod refresh;
mod remote;

pub use given::set_passwords;
pub use refresh::refresh;
pub use remote::{Reach, Remote};

use crate::apply::{Bus, Systemd, apply};
use crate::cloudconfig::{self, Allowance, CloudConfig, Diagnostic, Spot};
use crate::error::Result;
use crate::metadata::{Fetched, Metadata};
use crate::network::{self, model::Network};
use crate::plan::inventory::Obtained;
use crate::plan::{self, Action, Input, Layer, Origin, Plan, Sender, Work};
use crate::root::Root;
use crate::status::{Finding, Report};
use crate::userdata::{self, Around, Content, Fetch, Part, unpack};
use std::collections::BTreeSet;

/// All texts, parsed, with what was found in them.
#[derive(Debug, Clone, Default)]
pub struct Intake {
    /// In rising order of precedence.
    pub inputs: Vec<Input>,
    /// What the provider says of the network.
    pub network: Option<Network>,
    /// Findings, with whose text they are in.
    pub findings: Vec<(Sender, Diagnostic)>,
    /// Whose texts have parts that are not known.
    refused: BTreeSet<Layer>,
}

/// Whether all was heard that there is to hear. Only then may go what is no longer
/// asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is too early: another run follows.
    NotYet,
    /// Not all of it, for this reason.
    Partly(&'static str),
    /// The provider answered, or somebody named the files.
    Whole,
}

impl Intake {
    /// Takes one layer's parts and adds them above those before. Whatever is
    /// wrong becomes a finding. What large things the parts hold moves out of them.
    pub fn take(&mut self, layer: Layer, parts: &mut [Part]) {
        let left_out = merge::left_out(parts);
        let mut allowance = Allowance::default();
        let alone = parts.len() == 1;
        for (number, part) in parts.iter_mut().enumerate() {
            let sender = match part.name.as_str() {
                "" if alone => layer.into(),
                name => Sender::part(layer, number, name),
            };
            let mut found = part.notes.clone();
            let mut input = Input {
                sender,
                config: CloudConfig::default(),
                script: None,
            };
            match &mut part.content {
                Content::CloudConfig(text) => {
                    let (keys, wrong) = &left_out[number];
                    if let Some(what) = wrong {
                        found.push(Diagnostic::warning(
                            Spot::default(),
                            "merge_how",
                            what.clone(),
                        ));
                    }
                    let (config, findings) = cloudconfig::parse_without(text, keys, &mut allowance);
                    input.config = config;
                    found.extend(findings);
                }
                // Large, and of no more use in the part.
                Content::Ignition(_, config) => input.config = std::mem::take(config.as_mut()),
                Content::Script(script) => input.script = Some(script.clone()),
                Content::Refused(r) => {
                    self.refused.insert(layer);
                    let spot = Spot { line: 1, column: 1 };
                    found.push(match r.later {
                        true => Diagnostic::warning(spot, "", r.what.clone()),
                        false => Diagnostic::error(spot, "", format!("not applied: {}", r.what))
                            .hint(r.hint.clone()),
                    });
                }
            }
            self.findings.extend(found.into_iter().map(|d| (sender, d)));
            self.inputs.push(input);
        }
    }

    /// Everything a source sent, above the OEM partition's cloud-config.
    pub fn of(oem: Option<&[u8]>, fetched: &Fetched, fetch: &mut dyn Fetch) -> Intake {
        let mut intake = Intake::default();
        let layers = [
            (Layer::Oem, oem),
            (Layer::VendorData, fetched.vendor_data.as_deref()),
            (Layer::UserData, fetched.user_data.as_deref()),
        ];
        let metadata = &fetched.metadata;
        for (layer, bytes) in layers {
            if let Some(bytes) = bytes {
                // The user's may be large; all together they are to stay within bounds.
                let most = match layer {
                    Layer::UserData => unpack::MAX,
                    _ => unpack::MAX / 4,
                };
                let mut around = Around {
                    metadata,
                    fetch,
                    most,
                };
                intake.take(layer, &mut userdata::open(bytes, &mut around));
            }
        }
        intake.inputs.extend(given::input(&fetched.passwords));
        if let Some(bytes) = &fetched.network {
            intake.add_network(bytes);
        }
        intake
    }

    /// Parses a network configuration.
    pub fn add_network(&mut self, bytes: &[u8]) {
        let parsed = network::parse(bytes);
        self.network = parsed.network;
        let findings = parsed.findings.into_iter();
        self.findings
            .extend(findings.map(|d| (Layer::Network.into(), d)));
    }

    /// Leaves out what happens once on an instance, while it is not known which one
    /// this is.
    pub fn postpone(&mut self) {
        for input in &mut self.inputs {
            input.config.tasks.clear();
            input.config.passwords.clear();
            input.script = None;
        }
    }

    /// Whose wishes are known in full. `doubts`: what went wrong on the way.
    pub fn obtained(
        &self,
        heard: Heard,
        oem: Option<&[u8]>,
        fetched: &Fetched,
        doubts: &[String],
    ) -> Obtained {
        let why = match heard {
            Heard::Partly(why) => Some(why),
            _ if !doubts.is_empty() => Some("not everything could be fetched"),
            _ => None,
        };
        if why.is_some() {
            let held = why.map(str::to_owned);
            let layers = BTreeSet::new();
            return Obtained { layers, held };
        }
        let metadata = &fetched.metadata;
        let there = [
            (Layer::Oem, oem.is_some()),
            (Layer::VendorData, fetched.vendor_data.is_some()),
            (
                Layer::Metadata,
                metadata.instance_id.is_some() || !metadata.provider.is_empty(),
            ),
            (Layer::UserData, fetched.user_data.is_some()),
            (Layer::Network, self.network.is_some()),
        ];
        let is_wrong = |layer: Layer| {
            self.refused.contains(&layer)
                || self
                    .findings
                    .iter()
                    .any(|(sender, d)| *sender == layer && d.is_error())
        };
        let layers = there
            .into_iter()
            .filter(|(layer, is)| *is && !is_wrong(*layer))
            .map(|(layer, _)| layer)
            .filter(|layer| heard == Heard::Whole || *layer == Layer::Network)
            .collect();
        let held = match heard {
            Heard::Whole if fetched.user_data.is_none() => Some("there is no user-data"),
            Heard::Whole if is_wrong(Layer::UserData) => {
                Some("user-data has errors, or parts that could not be had")
            }
            Heard::Whole => Some("not everyone who asked for it was heard"),
            _ => None,
        };
        let held = held.map(str::to_owned);
        Obtained { layers, held }
    }

    /// What is to be done on the machine below `root`.
    pub fn plan(&self, metadata: &Metadata, root: &Root, obtained: &Obtained) -> Result<Plan> {
        let mut plan = plan::build(&self.inputs, metadata, root)?;
        let cards = network::nics::all(root.path());
        plan::add_network(&mut plan, self.network.as_ref(), &cards);
        plan::add_withdrawal(&mut plan, obtained, root)?;
        Ok(plan)
    }

    /// The findings for a report.
    pub fn report_findings(&self) -> Vec<Finding> {
        let origin = |sender: Sender, d: &Diagnostic| match d.spot.line {
            0 => Origin::from(sender),
            _ => Origin::at(sender, d.spot),
        };
        self.findings
            .iter()
            .map(|(sender, d)| Finding::new(origin(*sender, d), d))
            .collect()
    }
}

/// Plans and applies everything below `root`, and writes the report there.
/// systemd is only asked when `root` is the running machine's own. Blocking;
/// not to be called from inside an async runtime.
///
/// `news` is a report with what is known so far: stage, sources, warnings. `heard`:
/// whether what is no longer asked for may go.
pub fn configure(
    root: &Root,
    news: Report,
    oem: Option<&[u8]>,
    fetched: &Fetched,
    reach: Reach,
    heard: Heard,
) -> Result<Report> {
    let start = std::time::Instant::now();
    let instance = fetched.metadata.instance_id.as_deref();
    let mut remote = Remote::new(root, instance, Reach::Kept);
    let mut intake = Intake::of(oem, fetched, &mut remote);
    if remote.owed && reach != Reach::Kept {
        // Whoever is to repair the machine gets in, however long fetching takes.
        let plan = intake.plan(&fetched.metadata, root, &Obtained::nothing())?;
        apply(&way_in(plan), root, None)?;
        remote = Remote::new(root, instance, reach);
        intake = Intake::of(oem, fetched, &mut remote);
    }
    // The provider may yet tell; the stage after this one plans them in any case.
    if news.stage == "local" && instance.is_none() {
        intake.postpone();
    }
    let obtained = intake.obtained(heard, oem, fetched, &remote.warnings);
    let plan = intake.plan(&fetched.metadata, root, &obtained)?;
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
        warnings: [news.warnings, remote.warnings].concat(),
        ..news
    };
    report.write(root)?;
    Ok(report)
}

/// Of a plan, what lets its owner in: host name and keys.
fn way_in(mut plan: Plan) -> Plan {
    plan.steps.retain(|step| {
        matches!(
            step.work,
            Work::Do(Action::Hostname(_) | Action::Keys { .. })
        )
    });
    plan
}

#[cfg(test)]
mod again;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod race;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod tests;
