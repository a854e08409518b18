//! The two stages of a boot, as the units run them.

use super::input::{InputArgs, OEM_CONFIG};
use crate::agent::{self, Dialogue, Origin, Outcome, Stage, Surroundings};
use crate::configure::{Heard, Reach, configure};
use crate::error::Result;
use crate::metadata::{Fetched, INSTANCES};
use crate::root::{Found, Root, SystemView as _};
use crate::status::{Asked, Report};

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Local => "local",
        Stage::Network => "network",
    }
}

/// Reads what the provider has to say.
pub(super) fn read(stage: Stage, root: &Root) -> Result<Outcome> {
    agent::run(stage, root, &Surroundings::default())
}

/// Runs a stage: reads, applies, reports. Exit status 3 when the provider is known and
/// silent, or could not be told how it went, so that the unit tries again; 1 when something asked for
/// is not in place, which trying again would not change.
pub(super) fn run(stage: Stage, input: &InputArgs, root: &Root) -> Result<(Report, u8)> {
    let outcome = read(stage, root)?;
    let silent = stage == Stage::Network && outcome.is_silent();
    let asked = outcome.attempts.iter().map(|a| Asked {
        provider: a.provider.to_owned(),
        source: a.source.clone(),
        result: a.result.clone(),
    });
    let news = Report {
        stage: name(stage).to_owned(),
        asked: asked.collect(),
        warnings: outcome.warnings.clone(),
        ..Report::default()
    };
    // Early on a machine whose user-data is not on a drive, the OEM's files
    // alone would undo what the user's put in their place at the last boot.
    let early =
        stage == Stage::Local && outcome.data.is_none() && root.look(INSTANCES)? != Found::Missing;
    let oem = if early { None } else { input.oem(root)? };
    let heard = heard(stage, &outcome);
    let mut fetched = outcome.data.map(|d| d.fetched).unwrap_or_default();
    if fetched.provider.is_empty() {
        let best = outcome
            .detection
            .candidates
            .iter()
            .find(|_| outcome.detection.is_known());
        fetched.provider = best.map(|c| c.provider.to_owned()).unwrap_or_default();
    }
    input.override_hostname(&mut fetched.metadata);
    let reach = match stage {
        Stage::Local => Reach::Kept,
        Stage::Network => Reach::Ask,
    };
    let mut report = configure(root, news, oem.as_deref(), &fetched, reach, heard);
    // Who is silent, and asked again soon, has nothing to be told yet.
    let told = stage == Stage::Local || silent || tell(&fetched, root, &mut report);
    let report = report?;
    let owed = silent || !told;
    let code = if owed { 3 } else { u8::from(!report.is_good()) };
    Ok((report, code))
}

/// Says to the provider what it wants to hear, and asks for what it gives last. Whether
/// it heard all; what came of it is added to the report.
fn tell(fetched: &Fetched, root: &Root, report: &mut Result<Report>) -> bool {
    let surroundings = Surroundings::default();
    let all = match (Dialogue::with(fetched, root, &surroundings), &mut *report) {
        (Ok(None), _) => return true,
        (Ok(Some(dialogue)), Ok(report)) => dialogue.hold(report),
        // That it cannot be told either is the lesser evil.
        (Ok(Some(dialogue)), Err(e)) => dialogue.report(Some(&e.chain())).is_ok(),
        (Err(e), Ok(report)) => {
            report.warnings.push(e.chain());
            false
        }
        (Err(_), Err(_)) => false,
    };
    if let Ok(report) = report
        && let Err(e) = report.write(root)
    {
        report.warnings.push(e.chain());
    }
    all
}

/// Whether the provider said all there is to say.
fn heard(stage: Stage, outcome: &Outcome) -> Heard {
    match (stage, &outcome.data) {
        (Stage::Local, _) => Heard::NotYet,
        (_, None) => Heard::Partly("no source has data"),
        (_, Some(data)) if data.origin == Origin::Cached => Heard::Partly("the provider is silent"),
        (_, Some(data)) if !data.whole => {
            Heard::Partly("some of what the provider sent makes no sense")
        }
        _ => Heard::Whole,
    }
}

/// What was fetched in this boot.
pub(super) fn last(root: &Root) -> Result<Option<Fetched>> {
    agent::fetched(root)
}

/// Whether there is anything of the OEM's to apply.
pub(super) fn has_oem(root: &Root) -> Result<bool> {
    Ok(root.read(OEM_CONFIG)?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Data;

    #[test]
    fn only_a_fresh_and_whole_answer_lets_things_go() {
        let temp = tempfile::tempdir().unwrap();
        let (_, detection) = crate::detect::run(temp.path());
        let answer = |stage: Stage, data: Option<(Origin, bool)>| {
            let data = data.map(|(origin, whole)| Data {
                fetched: Fetched::default(),
                origin,
                new_instance: false,
                whole,
            });
            let outcome = Outcome {
                detection: detection.clone(),
                attempts: Vec::new(),
                data,
                warnings: Vec::new(),
            };
            heard(stage, &outcome)
        };
        let fresh = Some((Origin::Fresh, true));
        assert_eq!(answer(Stage::Network, fresh), Heard::Whole);
        assert_eq!(answer(Stage::Local, fresh), Heard::NotYet);
        for doubtful in [
            None,
            Some((Origin::Fresh, false)),
            Some((Origin::Cached, true)),
        ] {
            let heard = answer(Stage::Network, doubtful);
            assert!(matches!(heard, Heard::Partly(_)), "{doubtful:?}");
        }
    }
}
