//! Every state with every event, compared with `testdata/state/table.txt`, and rules
//! that must hold for all of them. `UPDATE_TESTDATA=1` writes the table anew.

use std::fmt::Write as _;

use super::*;
use crate::config::Opening;
use crate::tuf::{Seen, Time};

fn known(version: &str, sequence: u64) -> Known {
    Known {
        version: version.to_owned(),
        sequence,
    }
}

pub(super) fn offer(version: &str, sequence: u64) -> Offer {
    Offer {
        release: known(version, sequence),
        download: 100,
        wish: Wish::default(),
        downgrade: false,
    }
}

pub(super) fn policy() -> Policy {
    Policy {
        source: true,
        trusts: true,
        pin: None,
        automatic: true,
        broken: false,
        reboots: true,
        locks: false,
        poll: 2700,
        stale_after: Some(604_800),
        warning: 300,
    }
}

/// Version 2 runs, known good; 1 is in the other slot.
pub(super) fn base(phase: Phase) -> State {
    State {
        booted: known("2", 20),
        fallback: true,
        phase,
        ..State::new(Memory::default(), policy())
    }
}

fn on_trial(phase: Phase) -> State {
    State {
        trial: true,
        ..base(phase)
    }
}

pub(super) fn staged(phase: Phase) -> State {
    State {
        staged: Some(Staged {
            release: known("3", 30),
            rollback: false,
        }),
        fallback: false,
        ..base(phase)
    }
}

fn sick(phase: Phase) -> State {
    State {
        ailment: Some("x".to_owned()),
        ..base(phase)
    }
}

fn held(mut state: State) -> State {
    state.memory.hold = Some("audit".to_owned());
    state
}

fn held_until(state: State, at: i64) -> State {
    let mut state = held(state);
    state.memory.hold_until = Some(at);
    state
}

fn locks(mut state: State) -> State {
    state.policy.locks = true;
    state
}

/// All phases, those with variants that matter more than once.
pub(super) fn states() -> Vec<(&'static str, State)> {
    let unhealthy = || Phase::Unhealthy {
        summary: "x".to_owned(),
    };
    let downloading = || Phase::Downloading {
        offer: offer("3", 30),
        done: 10,
        total: 100,
    };
    let installing = |phase| State {
        fallback: false,
        ..base(phase)
    };
    let waits = || Phase::Staged {
        wait: Wait::Unknown,
    };
    let planned = |plan| Phase::Planned { at: 900, plan };
    let refused = {
        let mut state = base(Phase::Idle);
        state.memory.refuse(&known("3", 30), Cause::Unhealthy, 1);
        state
    };
    vec![
        ("starting", base(Phase::Starting)),
        ("assessing", base(Phase::Assessing)),
        ("assessing, trial", on_trial(Phase::Assessing)),
        (
            "assessing, trial, nothing to fall back to",
            State {
                fallback: false,
                ..on_trial(Phase::Assessing)
            },
        ),
        ("blessing", on_trial(Phase::Blessing)),
        ("unhealthy", sick(unhealthy())),
        (
            "unhealthy, trial",
            State {
                trial: true,
                fallback: false,
                ..sick(unhealthy())
            },
        ),
        ("idle", base(Phase::Idle)),
        ("idle, held", held(base(Phase::Idle))),
        ("idle, held until 900", held_until(base(Phase::Idle), 900)),
        ("staged, held until 9000", held_until(staged(waits()), 9000)),
        ("idle, 3 refused", refused),
        (
            "idle, not automatic",
            State {
                policy: Policy {
                    automatic: false,
                    ..policy()
                },
                ..base(Phase::Idle)
            },
        ),
        ("checking", base(Phase::Checking { asked: None })),
        (
            "checking, only look",
            base(Phase::Checking { asked: Some(false) }),
        ),
        (
            "checking, install",
            base(Phase::Checking { asked: Some(true) }),
        ),
        (
            "checking, 3 staged",
            staged(Phase::Checking { asked: None }),
        ),
        (
            "available",
            State {
                offer: Some((offer("3", 30), Withheld::NotAsked)),
                ..base(Phase::Available)
            },
        ),
        ("downloading", installing(downloading())),
        (
            "verifying",
            installing(Phase::Verifying {
                offer: offer("3", 30),
            }),
        ),
        (
            "finalizing",
            installing(Phase::Finalizing {
                offer: offer("3", 30),
            }),
        ),
        (
            "backoff",
            State {
                failures: 3,
                trouble: Some(trouble()),
                ..base(Phase::Backoff)
            },
        ),
        ("staged", staged(waits())),
        ("staged, held", held(staged(waits()))),
        ("staged, locks", locks(staged(waits()))),
        (
            "staged by a rollback of a trial",
            State {
                trial: true,
                staged: Some(Staged {
                    release: known("1", 10),
                    rollback: true,
                }),
                ..base(waits())
            },
        ),
        (
            "staged, configuration broken",
            State {
                policy: Policy {
                    broken: true,
                    ..policy()
                },
                ..staged(waits())
            },
        ),
        (
            "staged, strategy off",
            State {
                policy: Policy {
                    reboots: false,
                    ..policy()
                },
                ..staged(waits())
            },
        ),
        ("locking", locks(staged(Phase::Locking))),
        ("planned, locked", locks(staged(planned(Plan::Fresh)))),
        ("planned, warned", staged(planned(Plan::Warned))),
        ("planned, due", staged(planned(Plan::Due))),
        ("undoing staged", staged(Phase::Undoing(Undo::Staged))),
        ("undoing booted", base(Phase::Undoing(Undo::Booted))),
        ("rebooting", staged(Phase::Rebooting(Reboot::Update))),
        (
            "rebooting, unhealthy",
            on_trial(Phase::Rebooting(Reboot::Fallback)),
        ),
    ]
}

pub(super) fn seen() -> Seen {
    Seen {
        root: 1,
        timestamp: 7,
        snapshot: 5,
        targets: 5,
        snapshot_sha256: "ab".repeat(32),
        signed: None,
        expires: Time(5000),
        equivocation: true,
        jump: false,
        clock_is_behind: false,
    }
}

fn trouble() -> Trouble {
    Trouble {
        text: "no route".to_owned(),
        ..Trouble::default()
    }
}

fn gates(window: Opening, inhibitors: &[&str], sessions: usize) -> Event {
    Event::Gates(Gates {
        window,
        inhibitors: inhibitors.iter().map(|i| (*i).to_owned()).collect(),
        sessions,
    })
}

/// All events, those with variants that matter more than once.
pub(super) fn events() -> Vec<(&'static str, Event)> {
    let facts = Facts {
        booted: known("2", 20),
        boot_id: "b".to_owned(),
        fallback: true,
        ..Facts::default()
    };
    let trial = Facts {
        trial: true,
        ..facts.clone()
    };
    let came_back = Facts {
        bad: vec![known("3", 30)],
        resume: true,
        ..facts.clone()
    };
    let asked = Event::Asked;
    let hold = |until| Request::Hold {
        why: "audit".to_owned(),
        until,
    };
    vec![
        ("started", Event::Started(facts)),
        ("started on trial", Event::Started(trial)),
        ("started after a fallback", Event::Started(came_back)),
        ("configured", Event::Configured(policy())),
        ("due check", Event::Due(Timer::Check)),
        ("due gates", Event::Due(Timer::Gates)),
        ("due reboot", Event::Due(Timer::Reboot)),
        ("due assess", Event::Due(Timer::Assess)),
        ("due bless", Event::Due(Timer::Bless)),
        ("due stuck", Event::Due(Timer::Stuck)),
        ("due stale", Event::Due(Timer::Stale)),
        ("due hold", Event::Due(Timer::Hold)),
        ("asked check", asked(Request::Check)),
        ("asked update", asked(Request::Update(Wish::default()))),
        ("asked cancel", asked(Request::Cancel)),
        ("asked reboot", asked(Request::Reboot)),
        ("asked rollback", asked(Request::Rollback)),
        ("asked mark-good", asked(Request::MarkGood)),
        ("asked reset", asked(Request::Reset)),
        ("asked hold", asked(hold(None))),
        ("asked hold until 9000", asked(hold(Some(9000)))),
        ("asked release", asked(Request::Release)),
        ("asked allow 3", asked(Request::Allow("3".to_owned()))),
        ("seen", Event::Seen(seen())),
        ("found nothing", Event::Checked(Found::Nothing)),
        ("found 1", Event::Checked(Found::Offer(offer("1", 10)))),
        ("found 2", Event::Checked(Found::Offer(offer("2", 20)))),
        ("found 3", Event::Checked(Found::Offer(offer("3", 30)))),
        ("found 4", Event::Checked(Found::Offer(offer("4", 40)))),
        (
            "found 4 for later",
            Event::Checked(Found::Later(offer("4", 40), "5 %".to_owned())),
        ),
        ("check failed", Event::CheckFailed(trouble())),
        ("downloading", Event::Progress(Stage::Downloading(50, 100))),
        ("verifying", Event::Progress(Stage::Verifying)),
        ("finalizing", Event::Progress(Stage::Finalizing)),
        ("installed", Event::Installed(known("3", 30))),
        ("install failed", Event::InstallFailed(trouble())),
        ("cancelled", Event::Cancelled),
        ("healthy", Event::Healthy),
        ("unhealthy", Event::Unhealthy("x".to_owned())),
        ("blessed", Event::Blessed),
        ("bless failed", Event::BlessFailed(trouble())),
        ("gates open", gates(Opening::Always, &[], 0)),
        ("gates open, user", gates(Opening::OpenUntil(9000), &[], 1)),
        ("gates closed", gates(Opening::ClosedUntil(9000), &[], 0)),
        ("gates inhibited", gates(Opening::Always, &["backup"], 0)),
        ("locked", Event::Locked),
        ("lock refused", Event::LockRefused("full".to_owned())),
        ("rolled back", Event::RolledBack(known("1", 10))),
        ("unstaged", Event::Unstaged),
        ("undo failed", Event::UndoFailed(trouble())),
        ("reboot failed", Event::RebootFailed(trouble())),
    ]
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Set(timer, delay) => format!("Set({timer:?}, {}±{})", delay.seconds, delay.spread),
        Effect::Check(wish) if *wish == Wish::default() => "Check".to_owned(),
        Effect::Install(offer) => format!("Install({})", offer.release.version),
        other => format!("{other:?}"),
    }
}

fn phase(phase: &Phase) -> String {
    match phase {
        Phase::Downloading { offer, done, .. } => {
            format!("Downloading {} at {done}", offer.release.version)
        }
        Phase::Verifying { offer } => format!("Verifying {}", offer.release.version),
        Phase::Finalizing { offer } => format!("Finalizing {}", offer.release.version),
        Phase::Staged { wait } => format!("Staged, waits: {wait:?}"),
        other => format!("{other:?}"),
    }
}

/// What else of the state changed.
fn rest(old: &State, new: &State) -> String {
    let mut out = String::new();
    let mut tell = |name: &str, old: String, new: String| {
        if old != new {
            let _ = write!(out, "; {name} {new}");
        }
    };
    let list = |s: &State| {
        let all = s.memory.refused.iter();
        all.map(|r| format!("{} {:?}", r.release.version, r.cause))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let pending = |s: &State| s.staged.as_ref().map(|s| s.release.version.clone());
    tell(
        "staged",
        format!("{:?}", pending(old)),
        format!("{:?}", pending(new)),
    );
    let offer = |s: &State| {
        s.offer
            .as_ref()
            .map(|(o, why)| (o.release.version.clone(), why.clone()))
    };
    tell(
        "offer",
        format!("{:?}", offer(old)),
        format!("{:?}", offer(new)),
    );
    tell(
        "hold",
        format!("{:?}", old.memory.hold),
        format!("{:?}", new.memory.hold),
    );
    tell(
        "refused",
        format!("[{}]", list(old)),
        format!("[{}]", list(new)),
    );
    let seen = |s: &State| s.seen.as_ref().map(|seen| seen.timestamp);
    tell(
        "seen",
        format!("{:?}", seen(old)),
        format!("{:?}", seen(new)),
    );
    tell("stale", old.stale.to_string(), new.stale.to_string());
    tell(
        "failures",
        old.failures.to_string(),
        new.failures.to_string(),
    );
    out
}

#[test]
fn every_state_and_event() {
    let mut table = String::new();
    for (name, state) in states() {
        let _ = writeln!(table, "# {name}");
        let mut ignored = Vec::new();
        for (event_name, event) in events() {
            let (next, effects) = state.clone().step(1000, event);
            if next == state && effects.is_empty() {
                ignored.push(event_name);
                continue;
            }
            let to = if next.phase == state.phase {
                "(same)".to_owned()
            } else {
                phase(&next.phase)
            };
            let effects: Vec<String> = effects.iter().map(effect).collect();
            let rest = rest(&state, &next);
            let effects = effects.join(", ");
            let _ = writeln!(table, "{event_name} -> {to}{rest} [{effects}]");
        }
        let _ = writeln!(table, "nothing: {}\n", ignored.join(", "));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/state/table.txt");
    if std::env::var_os("UPDATE_TESTDATA").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    for (line, (new, old)) in table.lines().zip(expected.lines()).enumerate() {
        assert_eq!(new, old, "line {} of {path}", line + 1);
    }
    assert_eq!(table.lines().count(), expected.lines().count());
}

#[test]
fn the_table_has_every_phase() {
    let all = states();
    for name in Phase::NAMES {
        assert!(all.iter().any(|(_, s)| s.phase.name() == name), "{name}");
    }
}

/// For every state, event and policy.
fn everything(mut check: impl FnMut(&str, &State, &Event, &State, &[Effect])) {
    for (name, state) in states() {
        for (event_name, event) in events() {
            let (next, effects) = state.clone().step(1000, event.clone());
            check(
                &format!("{name} + {event_name}"),
                &state,
                &event,
                &next,
                &effects,
            );
        }
    }
}

#[test]
fn nothing_reboots_unasked_while_something_stands_against_it() {
    everything(|what, state, event, _, effects| {
        let update = effects.contains(&Effect::Reboot(Reboot::Update));
        if !update || *event == Event::Asked(Request::Reboot) {
            return;
        }
        assert!(state.memory.hold.is_none(), "{what}");
        assert!(!state.policy.broken && state.policy.reboots, "{what}");
        let Event::Gates(gates) = event else {
            panic!("{what}: a reboot without a look at the gates");
        };
        assert!(gates.inhibitors.is_empty(), "{what}");
        assert!(
            matches!(gates.window, Opening::Always | Opening::OpenUntil(_)),
            "{what}"
        );
        let asked_lock = matches!(state.phase, Phase::Planned { .. });
        assert!(!state.policy.locks || asked_lock, "{what}");
    });
}

/// F9: only a slot on trial, with a good one beside it, is left because of its health.
#[test]
fn f9_there_are_never_two_bad_slots() {
    everything(|what, state, _, _, effects| {
        if effects.contains(&Effect::Reboot(Reboot::Fallback)) {
            assert!(state.trial && state.fallback, "{what}");
        }
        if effects.iter().any(|e| matches!(e, Effect::Install(_))) {
            // The good release is the one that runs, and it is known good.
            assert!(!state.trial, "{what}");
        }
    });
}

#[test]
fn refused_and_old_releases_are_never_installed() {
    everything(|what, state, _, _, effects| {
        for effect in effects {
            if let Effect::Install(offer) = effect {
                assert!(!state.memory.refuses(&offer.release.version), "{what}");
                assert!(offer.release.sequence > state.booted.sequence, "{what}");
                assert!(state.memory.hold.is_none(), "{what}");
            }
        }
    });
}

#[test]
fn what_must_outlive_a_reboot_is_written_before_it() {
    everything(|what, state, _, next, effects| {
        if state.memory != next.memory {
            let at = |wanted: fn(&Effect) -> bool| effects.iter().position(wanted);
            let written = at(|e| *e == Effect::Remember);
            assert!(written.is_some(), "{what}");
            if let Some(reboot) = at(|e| matches!(e, Effect::Reboot(_))) {
                assert!(written < Some(reboot), "{what}");
            }
        }
    });
}

/// A phase that waits for an answer has asked for it; a phase that rests has a timer.
#[test]
fn nothing_waits_for_what_never_comes() {
    everything(|what, state, event, next, effects| {
        if state.phase.name() == next.phase.name() {
            return;
        }
        let has = |wanted: fn(&Effect) -> bool| effects.iter().any(wanted);
        let good = match next.phase {
            Phase::Assessing => has(|e| *e == Effect::Assess),
            Phase::Blessing => has(|e| *e == Effect::Bless),
            Phase::Checking { .. } => has(|e| matches!(e, Effect::Check(_))),
            Phase::Downloading { .. } => {
                has(|e| matches!(e, Effect::Install(_))) || matches!(event, Event::Progress(_))
            }
            Phase::Staged { .. } => has(|e| matches!(e, Effect::Set(Timer::Gates, _))),
            Phase::Locking => has(|e| *e == Effect::TakeLock),
            Phase::Planned { .. } => {
                has(|e| matches!(e, Effect::Set(Timer::Reboot, _)) || *e == Effect::LookAtGates)
            }
            Phase::Undoing(_) => has(|e| matches!(e, Effect::Unstage | Effect::RollBack)),
            Phase::Rebooting(_) => has(|e| matches!(e, Effect::Set(Timer::Stuck, _))),
            Phase::Unhealthy { .. } => has(|e| matches!(e, Effect::Set(Timer::Assess, _))),
            _ => true,
        };
        assert!(good, "{what}: {:?} {effects:?}", next.phase);
    });
}

/// Every state has something to say, and no time makes it stumble.
#[test]
fn why_always_answers() {
    for (name, state) in states() {
        for now in [i64::MIN, 0, 1000, i64::MAX] {
            let why = state.why(now);
            assert!(why.iter().all(|w| w.ends_with('.')), "{name}: {why:?}");
        }
    }
}
