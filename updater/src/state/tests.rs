//! Stories.

use super::table::{base, offer, policy, staged};
use super::*;
use crate::config::Opening;

/// Steps through events; the effects of the last one.
fn play(state: &mut State, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
    let mut last = Vec::new();
    for event in events {
        let (next, effects) = state.clone().step(1000, event);
        *state = next;
        last = effects;
    }
    last
}

fn facts(version: &str, sequence: u64) -> Facts {
    Facts {
        booted: Known {
            version: version.to_owned(),
            sequence,
        },
        boot_id: format!("boot of {version}"),
        fallback: true,
        ..Facts::default()
    }
}

fn found(version: &str, sequence: u64) -> Event {
    Event::Checked(Found::Offer(offer(version, sequence)))
}

fn open() -> Event {
    Event::Gates(Gates {
        window: Opening::Always,
        inhibitors: Vec::new(),
        sessions: 0,
    })
}

#[test]
fn an_update_from_start_to_reboot() {
    let mut state = State::new(Memory::default(), policy());
    let release = offer("3", 30).release;
    play(&mut state, [Event::Started(facts("2", 20)), Event::Healthy]);
    assert_eq!(state.phase, Phase::Idle);
    let effects = play(&mut state, [Event::Due(Timer::Check), found("3", 30)]);
    assert!(effects.contains(&Effect::Install(offer("3", 30))));
    play(&mut state, [Event::Installed(release)]);
    let effects = play(&mut state, [open()]);
    assert!(effects.contains(&Effect::Reboot(Reboot::Update)));
}

#[test]
fn a_newer_release_supersedes_a_staged_one() {
    let mut state = staged(Phase::Staged {
        wait: Wait::Operator,
    });
    let effects = play(&mut state, [Event::Due(Timer::Check), found("4", 40)]);
    assert!(effects.contains(&Effect::Install(offer("4", 40))));
    assert_eq!(state.staged, None);
    // An older one does not (C7).
    let mut state = staged(Phase::Checking { asked: None });
    play(&mut state, [found("2.5", 25)]);
    assert!(matches!(state.phase, Phase::Staged { .. }));
}

/// An unhealthy trial is left, and its release refused until a newer one runs.
#[test]
fn an_unhealthy_trial_is_left_and_not_tried_again() {
    let trial = Facts {
        trial: true,
        ..facts("3", 30)
    };
    let mut state = State::new(Memory::default(), policy());
    let unhealthy = Event::Unhealthy("docker".to_owned());
    let effects = play(&mut state, [Event::Started(trial), unhealthy]);
    let down = [Effect::Remember, Effect::Reboot(Reboot::Fallback)];
    assert_eq!(effects[..2], down);

    let back = Facts {
        bad: vec![offer("3", 30).release],
        ..facts("2", 20)
    };
    let mut state = State::new(state.memory, policy());
    play(&mut state, [Event::Started(back), Event::Healthy]);
    assert_eq!(state.memory.refused[0].cause, Cause::Unhealthy);
    play(&mut state, [Event::Due(Timer::Check), found("3", 30)]);
    assert!(matches!(state.offer, Some((_, Withheld::Refused))));

    // A newer one is taken; once good, the list is empty again.
    let effects = play(&mut state, [Event::Due(Timer::Check), found("4", 40)]);
    assert!(effects.contains(&Effect::Install(offer("4", 40))));
    let trial = Facts {
        trial: true,
        ..facts("4", 40)
    };
    let mut state = State::new(state.memory, policy());
    let effects = play(
        &mut state,
        [Event::Started(trial), Event::Healthy, Event::Blessed],
    );
    assert!(effects.contains(&Effect::Remember));
    assert_eq!(state.memory, Memory::default());
}

/// F8: a release whose trial boots were cut off without a failed check is tried again,
/// but not for ever.
#[test]
fn f8_interrupted_trials_are_retried_a_bounded_number_of_times() {
    let mut memory = Memory::default();
    let mut installs = 0;
    for round in 0..6 {
        // Three trial boots that end without a verdict...
        for boot in 0..3 {
            let mut state = State::new(memory.clone(), policy());
            let trial = Facts {
                trial: true,
                boot_id: format!("{round} {boot}"),
                ..facts("3", 30)
            };
            play(&mut state, [Event::Started(trial)]);
            memory = state.memory;
        }
        // ...and back.
        let mut state = State::new(memory, policy());
        let back = Facts {
            bad: vec![offer("3", 30).release],
            ..facts("2", 20)
        };
        play(&mut state, [Event::Started(back), Event::Healthy]);
        assert_eq!(state.memory.refused[0].cause, Cause::Interrupted);
        let effects = play(&mut state, [Event::Due(Timer::Check), found("3", 30)]);
        memory = state.memory;
        if !effects.contains(&Effect::Install(offer("3", 30))) {
            break;
        }
        installs += 1;
    }
    assert_eq!(installs, 2);
}

#[test]
fn a_release_that_never_started_is_refused_until_allowed() {
    let mut state = State::new(Memory::default(), policy());
    let back = Facts {
        bad: vec![offer("3", 30).release],
        ..facts("2", 20)
    };
    play(&mut state, [Event::Started(back.clone()), Event::Healthy]);
    assert_eq!(state.memory.refused[0].cause, Cause::NeverStarted);
    // The same entry at the next boot is no new failure.
    let mut again = State::new(state.memory.clone(), policy());
    play(&mut again, [Event::Started(back)]);
    assert_eq!(again.memory, state.memory);
    play(&mut state, [Event::Asked(Request::Allow("3".to_owned()))]);
    let effects = play(&mut state, [Event::Due(Timer::Check), found("3", 30)]);
    assert!(effects.contains(&Effect::Install(offer("3", 30))));
}

/// F9: a slot that was good before is kept, and asks for nothing until it is well.
#[test]
fn f9_an_unhealthy_good_slot_stops_update_activity() {
    let mut state = State::new(Memory::default(), policy());
    let unhealthy = || Event::Unhealthy("disk".to_owned());
    let effects = play(&mut state, [Event::Started(facts("2", 20)), unhealthy()]);
    assert!(!effects.iter().any(|e| matches!(e, Effect::Reboot(_))));
    let effects = play(&mut state, [Event::Due(Timer::Check)]);
    assert!(!effects.iter().any(|e| matches!(e, Effect::Check(_))));
    // An operator may look for a way out; afterwards it is as unhealthy as before.
    let asked = Event::Asked(Request::Update(Wish::default()));
    play(&mut state, [asked, Event::Checked(Found::Nothing)]);
    assert!(matches!(state.phase, Phase::Unhealthy { .. }));
    play(&mut state, [Event::Due(Timer::Assess), Event::Healthy]);
    assert_eq!(state.phase, Phase::Idle);
}

/// F10: what was interrupted goes on soon after the start.
#[test]
fn f10_a_restarted_updater_resumes_soon() {
    let mut state = State::new(Memory::default(), policy());
    let resume = Facts {
        resume: true,
        ..facts("2", 20)
    };
    let effects = play(&mut state, [Event::Started(resume)]);
    let soon = |e: &Effect| matches!(e, Effect::Set(Timer::Check, d) if d.seconds + d.spread <= 20);
    assert!(effects.iter().any(soon));
}

/// A5: a machine from which all news is kept goes on looking, and says that it is blind.
#[test]
fn a5_a_machine_that_hears_nothing_for_too_long_says_so() {
    let left = |effects: &[Effect]| {
        let mut all = effects.iter().rev();
        all.find_map(|effect| match effect {
            Effect::Set(Timer::Stale, delay) => Some(delay.seconds),
            _ => None,
        })
    };
    let limit = policy().stale_after.unwrap();
    // The wait began in an earlier boot; a clock that went back waits anew.
    for (waiting, expected) in [(Some(400), limit - 600), (Some(5000), limit), (None, limit)] {
        let mut state = State::new(Memory::default(), policy());
        let facts = Facts {
            waiting,
            ..facts("2", 20)
        };
        assert_eq!(
            left(&play(&mut state, [Event::Started(facts)])),
            Some(expected)
        );
    }
    let mut state = State::new(Memory::default(), policy());
    let failed = || Event::CheckFailed(Trouble::default());
    let (due, late) = (|| Event::Due(Timer::Check), Event::Due(Timer::Stale));
    let start = [Event::Started(facts("2", 20)), Event::Healthy];
    play(&mut state, start);
    play(&mut state, [due(), failed(), late, due(), failed()]);
    assert!(state.stale);
    let why = state.why(1000 + 700_000).join("\n");
    assert!(why.contains("can be trusted for 8 d 2 h"), "{why}");
    let effects = play(&mut state, [due(), Event::Checked(Found::Nothing)]);
    assert!(!state.stale && !state.why(1000).join(" ").contains("kept from"));
    assert_eq!(left(&effects), Some(limit));
    // Who wants no news misses none.
    let off = Policy {
        automatic: false,
        ..policy()
    };
    let effects = play(&mut state, [Event::Configured(off)]);
    assert!(effects.contains(&Effect::Stop(Timer::Stale)));
}

/// A hold ends at its time, by the clock, whenever the service looks.
#[test]
fn a_hold_ends_by_itself() {
    let hold = Request::Hold {
        why: "audit".to_owned(),
        until: Some(10_000),
    };
    let at = |state: &mut State, now: i64, event: Event| {
        let (next, effects) = state.clone().step(now, event);
        *state = next;
        effects
    };
    let look = |effects: &[Effect]| {
        let mut all = effects.iter();
        all.find_map(|effect| match effect {
            Effect::Set(Timer::Hold, delay) => Some(delay.seconds),
            _ => None,
        })
    };
    let mut state = staged(Phase::Staged {
        wait: Wait::Unknown,
    });
    let effects = at(&mut state, 1000, Event::Asked(hold));
    assert_eq!(look(&effects), Some(3600));
    let why = state.why(1000).join(" ");
    assert!(why.contains("ends in 2 h 30 min"), "{why}");
    let effects = at(&mut state, 9000, Event::Due(Timer::Hold));
    assert_eq!(look(&effects), Some(1000));
    assert!(state.memory.hold.is_some());

    // It outlives a boot, and may be over by then.
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path()).unwrap();
    store.save(&state.memory).unwrap();
    let (_, memory) = Store::open(folder.path()).unwrap();
    assert_eq!(memory, state.memory);
    let mut again = State::new(memory, policy());
    let effects = at(&mut again, 20_000, Event::Started(facts("2", 20)));
    assert_eq!(look(&effects), Some(0));
    at(&mut again, 20_000, Event::Due(Timer::Hold));
    assert_eq!((again.memory.hold, again.memory.hold_until), (None, None));

    let effects = at(&mut state, 10_000, Event::Due(Timer::Hold));
    assert_eq!(effects, [Effect::Remember, Effect::LookAtGates]);
    assert!(state.memory.hold.is_none());
    // One without an end that follows one with an end has none.
    for until in [Some(50), None] {
        let why = "audit".to_owned();
        play(&mut state, [Event::Asked(Request::Hold { why, until })]);
    }
    play(&mut state, [Event::Due(Timer::Hold)]);
    assert!(state.memory.hold.is_some());
}

/// F15: an older updater's hold does not end with one that it did not know had an end.
#[test]
fn f15_a_hold_of_another_updater_has_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let text = |hold: &str| {
        format!(r#"{{"format":1,"readable_from":1,"hold":"{hold}","ends":{{"at":5,"hold":"a"}}}}"#)
    };
    for (hold, until) in [("a", Some(5)), ("b", None)] {
        std::fs::write(folder.path().join("hold.json"), text(hold)).unwrap();
        let (_, memory) = Store::open(folder.path()).unwrap();
        assert_eq!(
            (memory.hold.as_deref(), memory.hold_until),
            (Some(hold), until)
        );
    }
}

/// What was refused is installed when an operator says so, once.
#[test]
fn a_refused_release_is_tried_again_on_request() {
    let mut state = base(Phase::Idle);
    let release = offer("3", 30).release;
    state.memory.refuse(&release, Cause::Unhealthy, 1);
    let wish = Wish {
        again: true,
        channel: Some("beta".to_owned()),
        ..Wish::default()
    };
    let found = Offer {
        wish: wish.clone(),
        ..offer("3", 30)
    };
    let asked = Event::Asked(Request::Update(wish.clone()));
    assert!(play(&mut state, [asked]).contains(&Effect::Check(wish)));
    let effects = play(&mut state, [Event::Checked(Found::Offer(found.clone()))]);
    assert!(effects.contains(&Effect::Install(found)));
    assert!(state.memory.refused[0].retrying);
}

/// F14: with a broken configuration a staged update stays staged.
#[test]
fn f14_a_broken_configuration_stops_reboots_and_keeps_what_is_staged() {
    let mut state = staged(Phase::Staged {
        wait: Wait::Unknown,
    });
    let broken = Policy {
        broken: true,
        ..policy()
    };
    play(&mut state, [Event::Configured(broken), open()]);
    let wait = Wait::Configuration;
    assert_eq!(state.phase, Phase::Staged { wait });
    assert!(state.why(0).join(" ").contains("problems"));
    play(&mut state, [Event::Configured(policy()), open()]);
    assert!(matches!(state.phase, Phase::Rebooting(_)));
}

/// C8: a lock that comes after the window closed is given back.
#[test]
fn c8_windows_are_looked_at_again_when_the_lock_comes() {
    let mut state = staged(Phase::Locking);
    state.policy.locks = true;
    let closed = Event::Gates(Gates {
        window: Opening::ClosedUntil(5000),
        inhibitors: Vec::new(),
        sessions: 0,
    });
    let effects = play(&mut state, [Event::Locked, closed]);
    assert!(effects.contains(&Effect::ReleaseLock));
    assert!(state.why(1400)[0].contains("opens in 1 h"));
    // One that comes when nobody waits for it, too.
    let mut state = base(Phase::Idle);
    let effects = play(&mut state, [Event::Locked]);
    assert_eq!(effects, [Effect::ReleaseLock]);
}

/// F11: users get their warning; an inhibitor taken meanwhile is respected.
#[test]
fn f11_users_are_warned_and_inhibitors_have_the_last_word() {
    let mut state = staged(Phase::Staged {
        wait: Wait::Unknown,
    });
    let gates = |inhibitors: &[&str]| {
        Event::Gates(Gates {
            window: Opening::OpenUntil(1101),
            inhibitors: inhibitors.iter().map(|s| (*s).to_owned()).collect(),
            sessions: 1,
        })
    };
    // The window closes before the warning would end: it is cut short.
    let effects = play(&mut state, [gates(&[])]);
    assert!(effects.contains(&Effect::Warn(100)));
    let effects = play(&mut state, [Event::Due(Timer::Reboot), gates(&["apt"])]);
    assert!(effects.contains(&Effect::Unwarn));
    assert!(matches!(state.phase, Phase::Staged { .. }));
    let effects = play(
        &mut state,
        [gates(&[]), Event::Due(Timer::Reboot), gates(&[])],
    );
    assert!(effects.contains(&Effect::Reboot(Reboot::Update)));
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    let delay = |failures: u32, retry_after: Option<u64>| {
        let mut state = base(Phase::Checking { asked: None });
        state.failures = failures;
        let effects = play(
            &mut state,
            [Event::CheckFailed(Trouble {
                retry_after,
                ..Trouble::default()
            })],
        );
        effects
            .into_iter()
            .find_map(|e| match e {
                Effect::Set(Timer::Check, delay) => Some(delay),
                _ => None,
            })
            .unwrap()
    };
    assert_eq!(delay(0, None).seconds, 60);
    assert_eq!(delay(3, None).seconds, 480);
    assert_eq!(delay(u32::MAX, None).seconds, 4 * 3600);
    let asked = delay(0, Some(3600));
    assert!(asked.seconds - asked.spread >= 3600);
    assert!(delay(0, Some(u64::MAX)).seconds < 27 * 3600);
}

/// F15: this version and the next read each other's files, and lose nothing.
#[test]
fn f15_state_of_the_next_version_is_read_and_kept() {
    let next = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/state/next");
    let folder = tempfile::tempdir().unwrap();
    for name in ["refused.json", "hold.json"] {
        std::fs::copy(format!("{next}/{name}"), folder.path().join(name)).unwrap();
    }
    let (store, mut memory) = Store::open(folder.path()).unwrap();
    assert_eq!(memory.hold.as_deref(), Some("audit"));
    assert_eq!(memory.refused[0].cause, Cause::Other);
    assert!(memory.refuses("3"));
    memory.refuse(&offer("4", 40).release, Cause::Unhealthy, 7);
    store.save(&memory).unwrap();
    let text = std::fs::read_to_string(folder.path().join("refused.json")).unwrap();
    for kept in ["\"signature\":\"abc\"", "\"host\":\"x\""] {
        assert!(text.contains(kept), "{text}");
    }
    let (_, again) = Store::open(folder.path()).unwrap();
    assert_eq!(again, memory);
}

#[test]
fn f15_state_that_may_not_be_read_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refused.json");
    let text = r#"{"format":9,"readable_from":8,"refused":"another shape"}"#;
    std::fs::write(&path, text).unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::TooNew(_, 8)), "{error}");
    std::fs::write(&path, "{").unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(..)), "{error}");
}

/// A16: a link in the state folder is not followed.
#[test]
fn a16_links_in_the_state_folder_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    std::fs::write(&elsewhere, r#"{"format":1,"readable_from":1,"refused":[]}"#).unwrap();
    std::os::unix::fs::symlink(&elsewhere, folder.path().join("refused.json")).unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Io(..)), "{error}");
}
