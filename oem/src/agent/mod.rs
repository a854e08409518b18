//! Runs the reading half of a boot: detect, ask the sources within a budget,
//! keep a copy. What to do with the data is the caller's business.
//!
//! Two stages: [`local`] early, without network; [`network`] once the network
//! is being set up. The second repeats the first's reading, which costs milliseconds and
//! catches drives that appeared late.

mod addresses;
mod attributes;
mod cache;
mod dialogue;
mod rivals;

use crate::detect::{self, Candidate, Certainty, Detection, Drives, Evidence};
use crate::error::{Context, Result};
use crate::http::{Detour, Http};
use crate::metadata::Fetched;
use crate::net::{self, Wake};
use crate::root::Root;
use crate::source::{Found, Scene};
use serde::Serialize;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout_at};

pub use addresses::complete;
pub use attributes::ENVIRONMENT;
pub use cache::{RUNTIME, fetched};
pub use dialogue::Dialogue;

/// How long after an event to look again.
const BURST: Duration = Duration::from_millis(20);
/// Time for a request cut by its deadline to report itself.
const MARGIN: Duration = Duration::from_millis(250);

/// Time limits. Nothing that leads to sshd waits for them; they bound how long
/// the rest of the boot waits for configuration.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// For udev to find the drives, in the early stage: the one wait that the way
    /// to sshd has to share.
    pub drives: Duration,
    /// For the first usable address.
    pub online: Duration,
    /// For an answer once online, when the provider is known.
    pub known: Duration,
    /// The same when nothing speaks for any provider.
    pub unknown: Duration,
    /// For a password server, asked before anything is applied.
    pub password: Duration,
    /// For telling how it went, after all is applied.
    pub report: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            drives: Duration::from_secs(10),
            online: Duration::from_secs(30),
            known: Duration::from_secs(15),
            unknown: Duration::from_secs(5),
            password: Duration::from_secs(5),
            report: Duration::from_secs(20),
        }
    }
}

/// Everything a stage depends on; tests replace parts.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Time limits.
    pub budget: Budget,
    /// Where connections go in place of the services' own addresses.
    pub detour: Option<Detour>,
    /// Our addresses.
    pub addresses: fn() -> Vec<IpAddr>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Surroundings {
            budget: Budget::default(),
            detour: None,
            addresses: net::addresses,
        }
    }
}

/// How one source answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Provider on whose behalf it was asked.
    pub provider: &'static str,
    /// The source, for people.
    pub source: String,
    /// What came of it.
    pub result: String,
    /// Whether it gave the data that is used.
    pub used: bool,
}

/// Where data come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// From the provider, just now.
    Fresh,
    /// From the copy of an earlier boot, because the provider was silent.
    Cached,
}

/// Data to apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Data {
    /// What the source gave.
    pub fetched: Fetched,
    /// Fresh or kept.
    pub origin: Origin,
    /// Whether this instance was not seen before on this disk.
    pub new_instance: bool,
    /// Whether nothing the source gave had to be left out.
    pub whole: bool,
}

/// What a stage found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Which providers were considered.
    pub detection: Detection,
    /// Which sources were asked.
    pub attempts: Vec<Attempt>,
    /// What they gave; `None` when nothing did.
    pub data: Option<Data>,
    /// What the operator should know. No secrets.
    pub warnings: Vec<String>,
}

impl Outcome {
    fn new(detection: Detection) -> Outcome {
        let warnings = detection.warnings.clone();
        Outcome {
            detection,
            attempts: Vec::new(),
            data: None,
            warnings,
        }
    }

    /// Whether the provider is known and yet nobody answered: worth another
    /// try later. Without a known provider there is nothing to configure.
    pub fn is_silent(&self) -> bool {
        let fresh = self
            .data
            .as_ref()
            .is_some_and(|d| d.origin == Origin::Fresh);
        !fresh && self.detection.is_known()
    }

    /// Adds our own addresses where the provider tells none. Not kept in the
    /// copy: they may differ at the next boot.
    fn complete(&mut self, own: &[IpAddr]) {
        if let Some(data) = &mut self.data {
            addresses::complete(&mut data.fetched.metadata, own);
        }
    }

    fn note(&mut self, candidate: &Candidate, source: String, result: String, used: bool) {
        self.attempts.push(Attempt {
            provider: candidate.provider,
            source,
            result,
            used,
        });
    }
}

/// When the agent runs. Each stage has its unit in [`crate::dist`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Stage {
    /// Early, from drives only; waits for drives that udev has yet to find, unless
    /// the provider is one that uses none.
    Local,
    /// Everything; waits for the network and for answers within the budget.
    Network,
}

/// Runs one stage. Must not be called from inside an async runtime.
///
/// # Errors
/// The runtime or the HTTP client cannot be set up; sources that fail are
/// attempts in the outcome.
pub fn run(stage: Stage, root: &Root, surroundings: &Surroundings) -> Result<Outcome> {
    let mut outcome = runtime()?.block_on(async {
        let drives = Drives::watch(root.path());
        let http = Http::new(Wake::kernel())?.detoured(surroundings.detour.clone());
        match stage {
            Stage::Local => Ok(local(root, surroundings, &drives, &http).await),
            Stage::Network => network(root, surroundings, &drives, &http).await,
        }
    })?;
    let told = outcome.data.as_ref().map(|d| &d.fetched.metadata);
    if let Some(Err(e)) = told.map(|metadata| attributes::write(root, metadata)) {
        outcome.warnings.push(e.chain());
    }
    Ok(outcome)
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .environment(|| "cannot set up the event loop".to_owned())
}

/// The early stage: drives only.
async fn local(root: &Root, surroundings: &Surroundings, drives: &Drives, http: &Http) -> Outcome {
    let limit = Instant::now() + surroundings.budget.drives;
    let mut wake = http.wake();
    loop {
        // Asked first: what comes after the look is seen by the next one.
        let settled = drives.are_settled();
        let (scene, detection) = look(root.path());
        let mut outcome = Outcome::new(detection);
        if let Some(found) = local_data(&scene, http, limit, &mut outcome).await {
            accept(root, &scene.evidence, found, &mut outcome);
            return outcome;
        }
        let more = !settled && outcome.detection.may_be_on_a_drive();
        if !more
            || timeout_at(limit, event(&mut wake, drives, settled))
                .await
                .is_err()
        {
            return outcome;
        }
        sleep(BURST).await;
    }
}

/// The later stage: everything, within the budget; else the copy of an earlier
/// boot of the same machine.
async fn network(
    root: &Root,
    surroundings: &Surroundings,
    drives: &Drives,
    http: &Http,
) -> Result<Outcome> {
    let mut wake = http.wake();
    let mut limit = Instant::now() + surroundings.budget.online;
    let (scene, mut outcome) = loop {
        let settled = drives.are_settled();
        let (scene, detection) = look(root.path());
        let mut outcome = Outcome::new(detection);
        let local = local_data(&scene, http, limit, &mut outcome).await;
        let own = (surroundings.addresses)();
        // Leases, addresses and drives all arrive as kernel events. Drives are
        // waited for as well as addresses: they seldom tell the machine's own.
        let online = net::is_online(&own);
        // IPv6 comes first, and most of those who may be guessed speak IPv4.
        let enough = outcome.detection.is_known() || own.iter().any(IpAddr::is_ipv4);
        if online && !enough {
            limit = limit.min(Instant::now() + surroundings.budget.unknown);
        }
        let all_drives = settled || local.is_some() || !outcome.detection.may_be_on_a_drive();
        if !(online && enough && all_drives) {
            // Past the limit even if events never cease; events come in bursts.
            if Instant::now() < limit
                && timeout_at(limit, event(&mut wake, drives, settled))
                    .await
                    .is_ok()
            {
                sleep(BURST).await;
                continue;
            }
            if !online {
                outcome.warnings.push("no network address in time".into());
            }
        }
        if let Some(found) = local {
            accept(root, &scene.evidence, found, &mut outcome);
            outcome.complete(&own);
            return Ok(outcome);
        }
        break (scene, outcome);
    };
    let budget = if outcome.detection.is_known() {
        surroundings.budget.known
    } else {
        surroundings.budget.unknown
    };
    if let Some(found) = rivals::ask(&scene, http, Instant::now() + budget, &mut outcome).await {
        accept(root, &scene.evidence, found, &mut outcome);
    } else {
        recall(root, &scene.evidence, &mut outcome);
    }
    outcome.complete(&(surroundings.addresses)());
    Ok(outcome)
}

/// Something of the kernel's or udev's after which to look again. `settled`: as of
/// the last look.
async fn event(wake: &mut Wake, drives: &Drives, settled: bool) {
    tokio::select! {
        () = wake.changed() => {}
        () = drives.settled(), if !settled => {}
    }
}

fn look(root: &Path) -> (Scene, Detection) {
    let (evidence, detection) = detect::run(root);
    let root = root.to_owned();
    (Scene { root, evidence }, detection)
}

/// The first local source, in order, that has data.
async fn local_data(
    scene: &Scene,
    http: &Http,
    deadline: Instant,
    outcome: &mut Outcome,
) -> Option<Found> {
    for candidate in outcome.detection.candidates.clone() {
        for source in candidate.sources().0 {
            match (source.fetch)(scene, http, deadline).await {
                Ok(Some(mut found)) => {
                    found.is_from(&candidate);
                    outcome.note(&candidate, source.to_string(), "has data".into(), true);
                    return Some(found);
                }
                Ok(None) if candidate.certainty == Certainty::Guess => {}
                Ok(None) => {
                    outcome.note(&candidate, source.to_string(), "not there".into(), false);
                }
                Err(e) => outcome.note(&candidate, source.to_string(), e.chain(), false),
            }
        }
    }
    None
}

impl Found {
    /// The platform's own name for itself goes before that of a layout.
    fn is_from(&mut self, candidate: &Candidate) {
        if candidate.certainty >= Certainty::Certain {
            let fetched = &mut self.fetched;
            candidate.provider.clone_into(&mut fetched.provider);
            candidate
                .provider
                .clone_into(&mut fetched.metadata.provider);
        }
    }
}

fn accept(root: &Root, evidence: &Evidence, found: Found, outcome: &mut Outcome) {
    let whole = found.warnings.is_empty();
    outcome.warnings.extend(found.warnings);
    let new_instance = cache::is_new(root, &found.fetched, evidence);
    // What cannot be kept can still be applied.
    if let Err(e) = cache::store(root, &found.fetched, evidence) {
        outcome
            .warnings
            .push(format!("no copy was kept: {}", e.chain()));
    }
    outcome.data = Some(Data {
        fetched: found.fetched,
        origin: Origin::Fresh,
        new_instance,
        whole,
    });
}

fn recall(root: &Root, evidence: &Evidence, outcome: &mut Outcome) {
    match cache::load(root, evidence) {
        Ok(Some(fetched)) => {
            outcome.warnings.push(format!(
                "no source answered: using the copy kept from {} at an earlier boot",
                fetched.source
            ));
            outcome.data = Some(Data {
                fetched,
                origin: Origin::Cached,
                new_instance: false,
                whole: true,
            });
        }
        Ok(None) => {}
        Err(e) => outcome
            .warnings
            .push(format!("the kept copy is unusable: {}", e.chain())),
    }
}

#[cfg(test)]
mod tests;
