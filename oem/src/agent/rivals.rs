//! Asks every source of every candidate that was not read early, all at once, with one
//! deadline.

use super::{MARGIN, Outcome};
use crate::detect::Candidate;
use crate::error::Result;
use crate::http::Http;
use crate::source::{Found, Scene, Source};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// How long better ranked rivals may still answer once one has. EC2's paths
/// answer on OpenStack too, a moment before OpenStack's own.
const GRACE: Duration = Duration::from_secs(1);

/// The best ranked source that has data before `deadline`.
pub(super) async fn ask(
    scene: &Scene,
    http: &Http,
    deadline: Instant,
    outcome: &mut Outcome,
) -> Option<Found> {
    let rivals: Vec<(Candidate, &'static Source)> = outcome
        .detection
        .candidates
        .iter()
        .flat_map(|c| c.sources().1.iter().map(|s| (c.clone(), *s)))
        .collect();
    let mut race = JoinSet::new();
    for (rank, (_, source)) in rivals.iter().enumerate() {
        let (source, scene, http) = (*source, scene.clone(), http.clone());
        race.spawn(async move { (rank, (source.fetch)(&scene, &http, deadline).await) });
    }
    let mut answers: Vec<Option<Result<Option<Found>>>> = rivals.iter().map(|_| None).collect();
    let mut limit = deadline + MARGIN;
    while let Ok(Some(answer)) = timeout_at(limit, race.join_next()).await {
        let Ok((rank, answer)) = answer else { continue };
        if matches!(answer, Ok(Some(_))) {
            limit = limit.min(Instant::now() + GRACE);
        }
        answers[rank] = Some(answer);
        // Ranked first among those that have data, and nobody before is out.
        let open = answers
            .iter()
            .position(|a| !matches!(a, Some(Ok(None) | Err(_))));
        if open.is_some_and(|rank| answers[rank].is_some()) {
            break;
        }
    }
    let mut best = None;
    for ((candidate, source), answer) in rivals.iter().zip(answers) {
        let (result, data) = match answer {
            Some(Ok(Some(mut found))) => {
                found.is_from(candidate);
                ("has data".to_owned(), Some(found))
            }
            Some(Ok(None)) => ("no such service".to_owned(), None),
            Some(Err(e)) => (e.chain(), None),
            None => ("no answer yet".to_owned(), None),
        };
        let used = data.is_some() && best.is_none();
        outcome.note(candidate, source.to_string(), result, used);
        best = best.or(data);
    }
    best
}
