//! The transitions.

use super::event::{Facts, Found, Request, Stage, Trouble};
use super::memory::Cause;
use super::phase::{Known, Offer, Phase, Staged, State, Undo, Wait, Withheld};
use super::{Delay, Effect, Event, Reboot, Timer, Wish};

/// First look after a start: CoreOS's 2 to 12 minutes, unless looks are more frequent.
const FIRST_CHECK: Delay = Delay {
    seconds: 420,
    spread: 300,
};
/// An interrupted installation goes on soon.
const RESUME: Delay = Delay {
    seconds: 10,
    spread: 5,
};
/// Look soon, because something changed.
const SOON: Delay = Delay {
    seconds: 5,
    spread: 4,
};
/// Between two looks at what an unhealthy machine is like now.
const ASSESS_AGAIN: Delay = Delay::about(300);
const BLESS_AGAIN: Delay = Delay::about(30);
/// A machine that was told to go down should be by then.
const STUCK: Delay = Delay::exactly(180);
const FIRST_BACKOFF: u64 = 60;
const LONGEST_BACKOFF: u64 = 4 * 3600;
/// Longest wait for a time of the clock.
const LOOK_AT_CLOCK: u64 = 3600;
/// No server may send a machine away for longer.
const LONGEST_RETRY_AFTER: u64 = 24 * 3600;

/// A state in the making.
pub(super) struct Step {
    pub(super) state: State,
    pub(super) effects: Vec<Effect>,
    pub(super) now: i64,
}

impl State {
    /// What follows from `event`, which happened at `now` (seconds since 1970). Time is
    /// noted for people to read, and how long a timer runs may depend on it; no
    /// transition does, but the end of a hold.
    pub fn step(self, now: i64, event: Event) -> (State, Vec<Effect>) {
        let mut step = Step {
            state: self,
            effects: Vec::new(),
            now,
        };
        step.event(event);
        (step.state, step.effects)
    }
}

impl Step {
    pub(super) fn do_(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn go(&mut self, phase: Phase) {
        self.state.phase = phase;
    }

    fn event(&mut self, event: Event) {
        let phase = &self.state.phase;
        match (event, phase) {
            (Event::Started(facts), Phase::Starting) => self.started(facts),
            (Event::Configured(policy), phase) => {
                let started = *phase != Phase::Starting;
                self.state.policy = policy;
                self.policy_changed();
                if started {
                    self.watch_answers();
                }
            }
            (Event::Due(timer), _) => self.due(timer),
            (Event::Asked(request), _) => self.asked(request),

            (Event::Healthy, Phase::Assessing) => self.healthy(),
            (Event::Unhealthy(summary), Phase::Assessing) => self.unhealthy(summary),
            (Event::Blessed, Phase::Blessing) => self.blessed(),
            (Event::BlessFailed(trouble), Phase::Blessing) => {
                self.state.trouble = Some(trouble);
                self.do_(Effect::Set(Timer::Bless, BLESS_AGAIN));
            }

            (Event::Checked(found), Phase::Checking { asked }) => {
                let asked = *asked;
                self.checked(found, asked);
            }
            (Event::Seen(seen), _) => self.state.seen = Some(seen),
            (Event::CheckFailed(trouble), Phase::Checking { .. }) => self.failed(trouble),
            (
                Event::Progress(stage),
                Phase::Downloading { offer, .. }
                | Phase::Verifying { offer }
                | Phase::Finalizing { offer },
            ) => {
                let offer = offer.clone();
                self.go(match stage {
                    Stage::Downloading(done, total) => Phase::Downloading { offer, done, total },
                    Stage::Verifying => Phase::Verifying { offer },
                    Stage::Finalizing => Phase::Finalizing { offer },
                });
            }
            (Event::Installed(release), phase) if phase.installs() => self.installed(release),
            (Event::InstallFailed(trouble), phase) if phase.installs() => self.failed(trouble),
            (Event::Cancelled, phase) if phase.installs() => {
                self.schedule();
                self.rest();
            }

            (Event::RolledBack(release), Phase::Undoing(Undo::Booted)) => self.rolled_back(release),
            (Event::Unstaged, Phase::Undoing(Undo::Staged)) => {
                self.state.staged = None;
                self.rest();
            }
            (Event::UndoFailed(trouble), Phase::Undoing(_)) => {
                self.state.trouble = Some(trouble);
                self.rest();
            }
            (event, _) => self.reboot_event(event),
        }
    }

    fn started(&mut self, facts: Facts) {
        let state = &mut self.state;
        state.booted = facts.booted;
        state.trial = facts.trial;
        state.fallback = facts.fallback;
        state.staged = facts.staged.map(|release| Staged {
            release,
            rollback: false,
        });
        let mut changed = false;
        let booted = state.booted.version.clone();
        for release in facts.bad.iter().filter(|r| r.version != booted) {
            changed |= state.memory.note_bad(release, self.now);
        }
        if facts.trial {
            changed |= state.memory.note_trial(&booted, &facts.boot_id);
        }
        if changed {
            self.do_(Effect::Remember);
        }
        self.go(Phase::Assessing);
        self.do_(Effect::Assess);
        let delay = match self.state.policy.poll {
            _ if facts.resume => RESUME,
            poll if poll < FIRST_CHECK.seconds => Delay {
                seconds: poll,
                spread: poll / 9,
            },
            _ => FIRST_CHECK,
        };
        self.do_(Effect::Set(Timer::Check, delay));
        self.state.checked = facts.checked;
        self.state.waiting = facts.waiting.unwrap_or(self.now);
        self.watch_answers();
        self.watch_hold();
    }

    /// Looks at the time since a repository answered anew, from now on.
    fn watch_answers(&mut self) {
        let policy = &self.state.policy;
        self.state.stale = false;
        match policy.stale_after.filter(|_| policy.automatic) {
            Some(limit) => {
                // A clock that went back has not waited at all.
                let waited = u64::try_from(self.now.saturating_sub(self.state.waiting));
                let left = limit.saturating_sub(waited.unwrap_or(0));
                self.do_(Effect::Set(Timer::Stale, Delay::exactly(left)));
            }
            None => self.do_(Effect::Stop(Timer::Stale)),
        }
    }

    fn healthy(&mut self) {
        self.state.ailment = None;
        if self.state.trial {
            self.go(Phase::Blessing);
            self.do_(Effect::Bless);
        } else {
            self.good();
        }
    }

    fn unhealthy(&mut self, summary: String) {
        if self.state.trial {
            self.state.memory.note_unhealthy();
            self.do_(Effect::Remember);
            if self.state.fallback {
                return self.reboot(Reboot::Fallback);
            }
        }
        self.state.ailment = Some(summary);
        self.rest();
    }

    fn blessed(&mut self) {
        self.state.trial = false;
        self.state.trouble = None;
        let booted = self.state.booted.clone();
        self.state.memory.note_good(&booted);
        self.do_(Effect::Remember);
        self.good();
    }

    /// The machine runs well: a lock of the boot before may go, and life goes on.
    fn good(&mut self) {
        self.do_(Effect::ReleaseLock);
        self.rest();
    }

    /// The phase in which nothing is going on.
    pub(super) fn rest(&mut self) {
        if self.state.staged.is_some() {
            self.wait(Wait::Unknown);
            self.do_(Effect::LookAtGates);
        } else if let Some(summary) = self.state.ailment.clone() {
            self.go(Phase::Unhealthy { summary });
            self.do_(Effect::Set(Timer::Assess, ASSESS_AGAIN));
        } else if self.state.offer.is_some() {
            self.go(Phase::Available);
        } else if self.state.failures > 0 {
            self.go(Phase::Backoff);
        } else {
            self.go(Phase::Idle);
        }
    }

    fn schedule(&mut self) {
        let poll = Delay {
            seconds: self.state.policy.poll,
            spread: self.state.policy.poll / 9,
        };
        self.do_(Effect::Set(Timer::Check, poll));
    }

    fn failed(&mut self, trouble: Trouble) {
        let failures = self.state.failures.saturating_add(1);
        self.state.failures = failures;
        let backoff = FIRST_BACKOFF
            .saturating_mul(1 << (failures - 1).min(20))
            .min(LONGEST_BACKOFF);
        let asked = trouble.retry_after.unwrap_or(0).min(LONGEST_RETRY_AFTER);
        self.state.trouble = Some(trouble);
        let mut delay = Delay::about(backoff);
        if asked > backoff {
            // Never sooner than the server said.
            delay.spread = asked / 10;
            delay.seconds = asked + delay.spread;
        }
        self.do_(Effect::Set(Timer::Check, delay));
        self.rest();
    }

    fn checked(&mut self, found: Found, asked: Option<bool>) {
        self.state.checked = Some(self.now);
        self.state.waiting = self.now;
        self.watch_answers();
        self.state.failures = 0;
        self.state.trouble = None;
        self.state.offer = None;
        self.schedule();
        let (offer, later) = match found {
            Found::Nothing => return self.rest(),
            Found::Offer(offer) => (offer, None),
            Found::Later(offer, why) => (offer, Some(why)),
        };
        let release = &offer.release;
        let covered = |by: &Known| {
            let newer = by.sequence > release.sequence && !offer.downgrade;
            by.version == release.version || newer
        };
        let staged = self.state.staged.as_ref().map(|s| &s.release);
        let old = covered(&self.state.booted) || staged.is_some_and(covered);
        if old {
            return self.rest();
        }
        let wanted = asked.unwrap_or(self.state.policy.automatic);
        let refuses = self.state.memory.refuses(&release.version);
        let withheld = if refuses && !offer.wish.again {
            Some(Withheld::Refused)
        } else if self.state.memory.hold.is_some() {
            Some(Withheld::Hold)
        } else if let (Some(why), false) = (later, asked == Some(true)) {
            Some(Withheld::Rollout(why))
        } else if !wanted {
            Some(Withheld::NotAsked)
        } else {
            None
        };
        match withheld {
            Some(why) => {
                self.state.offer = Some((offer, why));
                self.rest();
            }
            None => self.install(offer),
        }
    }

    fn install(&mut self, offer: Offer) {
        // What the other slot holds is overwritten.
        self.state.staged = None;
        self.state.fallback = false;
        if self.state.memory.note_retry(&offer.release.version) {
            self.do_(Effect::Remember);
        }
        self.go(Phase::Downloading {
            offer: offer.clone(),
            done: 0,
            total: offer.download,
        });
        self.do_(Effect::Install(offer));
    }

    fn installed(&mut self, release: Known) {
        self.state.failures = 0;
        self.state.trouble = None;
        self.state.staged = Some(Staged {
            release,
            rollback: false,
        });
        self.schedule();
        self.rest();
    }

    fn rolled_back(&mut self, release: Known) {
        let booted = self.state.booted.clone();
        self.state.memory.refuse(&booted, Cause::Operator, self.now);
        self.do_(Effect::Remember);
        self.state.staged = Some(Staged {
            release,
            rollback: true,
        });
        self.state.offer = None;
        self.rest();
    }

    fn due(&mut self, timer: Timer) {
        match (timer, &self.state.phase) {
            (Timer::Check, phase) if phase.rests() => {
                let state = &self.state;
                if state.policy.automatic && state.ailment.is_none() && !state.trial {
                    self.check(None, Wish::default());
                } else {
                    self.schedule();
                }
            }
            // Look again when there is time for it.
            (Timer::Check, _) => self.schedule(),
            (Timer::Assess, Phase::Unhealthy { .. }) => {
                self.go(Phase::Assessing);
                self.do_(Effect::Assess);
            }
            (Timer::Stale, _) => self.state.stale = true,
            (Timer::Hold, _) => match self.state.memory.hold_until {
                Some(at) if at <= self.now => self.release(),
                _ => self.watch_hold(),
            },
            (Timer::Bless, Phase::Blessing) => self.do_(Effect::Bless),
            (timer, _) => self.reboot_timer(timer),
        }
    }

    fn check(&mut self, asked: Option<bool>, wish: Wish) {
        self.go(Phase::Checking { asked });
        self.do_(Effect::Check(wish));
    }

    fn policy_changed(&mut self) {
        match &self.state.phase {
            Phase::Staged { .. } | Phase::Locking | Phase::Planned { .. } => {
                self.do_(Effect::LookAtGates);
            }
            Phase::Available | Phase::Idle | Phase::Backoff => {
                self.do_(Effect::Set(Timer::Check, SOON));
            }
            _ => {}
        }
    }

    pub(super) fn deny(&mut self, why: impl Into<String>) {
        self.do_(Effect::Deny(why.into()));
    }

    fn asked(&mut self, request: Request) {
        match request {
            Request::Check => self.ask_check(Some(false), Wish::default()),
            Request::Update(wish) => match &self.state.memory.hold {
                Some(why) => self.deny(format!("updates are held: {why}")),
                None => self.ask_check(Some(true), wish),
            },
            Request::Cancel => match &self.state.phase {
                Phase::Downloading { .. } | Phase::Verifying { .. } => self.do_(Effect::Cancel),
                _ => self.deny("there is no installation that could be cancelled"),
            },
            Request::Hold { why, until } => self.hold(why, until),
            Request::Release => self.release(),
            Request::Allow(version) => {
                let list = &mut self.state.memory.refused;
                let before = list.len();
                list.retain(|r| r.release.version != version);
                if list.len() == before {
                    return self.deny(format!("{version} is not refused"));
                }
                self.do_(Effect::Remember);
                if self.state.phase.rests() {
                    self.do_(Effect::Set(Timer::Check, SOON));
                }
            }
            Request::MarkGood => match &self.state.phase {
                Phase::Assessing | Phase::Unhealthy { .. } => {
                    self.do_(Effect::Stop(Timer::Assess));
                    self.healthy();
                }
                Phase::Starting => self.deny("what is booted is not known yet"),
                Phase::Rebooting(_) => self.deny("the machine is rebooting"),
                _ => {} // it is good, or being recorded as good
            },
            Request::Reset => match &self.state.phase {
                Phase::Idle => {}
                Phase::Backoff | Phase::Available => {
                    self.state.failures = 0;
                    self.state.trouble = None;
                    self.state.offer = None;
                    self.rest();
                }
                _ => self.ask_undo(Undo::Staged),
            },
            Request::Rollback => self.ask_undo(Undo::Booted),
            Request::Reboot => self.ask_reboot(),
        }
    }

    fn ask_check(&mut self, asked: Option<bool>, wish: Wish) {
        match &self.state.phase {
            // An installation would overwrite the release that is known good.
            _ if self.state.trial => {
                self.deny("the booted release is on trial: mark it good, or roll back");
            }
            Phase::Starting | Phase::Assessing => {
                self.deny("the health of the booted release is not known yet");
            }
            // Asking while unhealthy is the operator's way out.
            phase if phase.rests() || phase.ails() => self.check(asked, wish),
            phase => {
                let busy = format!("busy: {}", phase.name());
                self.deny(busy);
            }
        }
    }

    fn ask_undo(&mut self, what: Undo) {
        let rollback = self.state.staged.as_ref().map(|s| s.rollback);
        match (what, rollback, &self.state.phase) {
            (Undo::Staged, Some(true), _) => {
                self.deny("the other slot will be booted next because an operator asked for it");
            }
            (Undo::Staged, Some(false), Phase::Staged { .. }) => {
                self.go(Phase::Undoing(what));
                self.do_(Effect::Unstage);
            }
            (Undo::Staged, ..) => self.deny("there is nothing that could be reset"),
            (Undo::Booted, _, phase) if phase.rests() || phase.ails() => {
                if self.state.fallback {
                    self.go(Phase::Undoing(what));
                    self.do_(Effect::RollBack);
                } else {
                    self.deny("there is no other good release on this machine");
                }
            }
            (Undo::Booted, ..) => self.deny("not now: something is going on"),
        }
    }

    fn hold(&mut self, why: String, until: Option<i64>) {
        match &self.state.phase {
            Phase::Rebooting(_) => return self.deny("the machine is rebooting"),
            Phase::Downloading { .. } | Phase::Verifying { .. } => self.do_(Effect::Cancel),
            Phase::Locking | Phase::Planned { .. } => self.back_to_waiting(Wait::Hold),
            Phase::Staged { .. } => self.wait(Wait::Hold),
            _ => {}
        }
        self.state.memory.hold = Some(why);
        self.state.memory.hold_until = until;
        self.do_(Effect::Remember);
        self.watch_hold();
    }

    /// Waits for the end of a hold that has one. Clocks are set: so not for all of it at
    /// once.
    fn watch_hold(&mut self) {
        if let Some(at) = self.state.memory.hold_until {
            let left = u64::try_from(at.saturating_sub(self.now)).unwrap_or(0);
            let look = left.min(LOOK_AT_CLOCK);
            self.do_(Effect::Set(Timer::Hold, Delay::exactly(look)));
        }
    }

    fn release(&mut self) {
        if self.state.memory.hold.take().is_none() {
            return self.deny("updates are not held");
        }
        self.state.memory.hold_until = None;
        self.do_(Effect::Remember);
        match &self.state.phase {
            Phase::Staged { .. } => self.do_(Effect::LookAtGates),
            phase if phase.rests() => self.do_(Effect::Set(Timer::Check, SOON)),
            _ => {}
        }
    }

    /// Starts the way down.
    pub(super) fn reboot(&mut self, why: Reboot) {
        self.go(Phase::Rebooting(why));
        self.do_(Effect::Reboot(why));
        self.do_(Effect::Set(Timer::Stuck, STUCK));
    }
}

impl Phase {
    /// Nothing is going on, and the machine is well.
    pub(super) fn rests(&self) -> bool {
        matches!(
            self,
            Phase::Idle | Phase::Available | Phase::Backoff | Phase::Staged { .. }
        )
    }

    fn ails(&self) -> bool {
        matches!(self, Phase::Assessing | Phase::Unhealthy { .. })
    }

    fn installs(&self) -> bool {
        matches!(
            self,
            Phase::Downloading { .. } | Phase::Verifying { .. } | Phase::Finalizing { .. }
        )
    }
}
