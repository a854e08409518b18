//! The way from a staged release to a reboot: windows, inhibitors, lock, warning.

use super::event::Gates;
use super::phase::{Phase, Plan, Wait};
use super::step::Step;
use super::{Delay, Effect, Event, Reboot, Timer};
use crate::config::Opening;

/// Between two looks while a reboot waits. Spread, so that machines that wait for the
/// same lock do not ask together.
const LOOK_AGAIN: Delay = Delay {
    seconds: 50,
    spread: 10,
};

impl Step {
    pub(super) fn reboot_event(&mut self, event: Event) {
        match (event, &self.state.phase) {
            (Event::Gates(gates), Phase::Staged { .. }) => match self.closed(&gates) {
                Some(wait) => self.wait(wait),
                None if self.state.policy.locks => {
                    self.go(Phase::Locking);
                    self.do_(Effect::TakeLock);
                }
                None => self.plan(&gates, Plan::Fresh),
            },
            (Event::Gates(gates), Phase::Planned { plan, .. }) => {
                let plan = *plan;
                match self.closed(&gates) {
                    Some(wait) => self.back_to_waiting(wait),
                    None => self.plan(&gates, plan),
                }
            }
            (Event::Locked, Phase::Locking) => {
                // Time has passed: a window may have closed.
                self.go(Phase::Planned {
                    at: self.now,
                    plan: Plan::Fresh,
                });
                self.do_(Effect::LookAtGates);
            }
            (Event::Locked, Phase::Planned { .. } | Phase::Rebooting(_)) => {}
            (Event::Locked, _) => self.do_(Effect::ReleaseLock),
            (Event::LockRefused(why), Phase::Locking) => self.wait(Wait::Lock(why)),
            (Event::RebootFailed(trouble), Phase::Rebooting(why)) => {
                let why = *why;
                self.state.trouble = Some(trouble);
                match why {
                    Reboot::Update => {
                        self.do_(Effect::Stop(Timer::Stuck));
                        self.back_to_waiting(Wait::Unknown);
                    }
                    // It must go down; the timer sees to it.
                    Reboot::Fallback | Reboot::Forced => {}
                }
            }
            _ => {}
        }
    }

    pub(super) fn reboot_timer(&mut self, timer: Timer) {
        match (timer, &mut self.state.phase) {
            (Timer::Gates, Phase::Staged { .. }) => self.do_(Effect::LookAtGates),
            (Timer::Gates, Phase::Planned { .. }) => {
                self.do_(Effect::LookAtGates);
                self.do_(Effect::Set(Timer::Gates, LOOK_AGAIN));
            }
            (Timer::Reboot, Phase::Planned { plan, .. }) => {
                *plan = Plan::Due;
                self.do_(Effect::LookAtGates);
            }
            (Timer::Stuck, Phase::Rebooting(_)) => self.reboot(Reboot::Forced),
            _ => {}
        }
    }

    pub(super) fn ask_reboot(&mut self) {
        match &self.state.phase {
            Phase::Staged { .. } | Phase::Locking | Phase::Planned { .. } => {
                self.do_(Effect::Stop(Timer::Gates));
                self.do_(Effect::Stop(Timer::Reboot));
                self.reboot(Reboot::Update);
            }
            Phase::Rebooting(_) => {}
            _ => self.deny("no release waits for a reboot"),
        }
    }

    /// Waits, and looks again after a while.
    pub(super) fn wait(&mut self, wait: Wait) {
        self.go(Phase::Staged { wait });
        self.do_(Effect::Set(Timer::Gates, LOOK_AGAIN));
    }

    /// A reboot that was about to happen does not.
    pub(super) fn back_to_waiting(&mut self, wait: Wait) {
        if let Phase::Planned { plan, .. } = self.state.phase
            && plan != Plan::Fresh
        {
            self.do_(Effect::Stop(Timer::Reboot));
            self.do_(Effect::Unwarn);
        }
        self.do_(Effect::ReleaseLock);
        self.wait(wait);
    }

    /// What stands against a reboot, apart from the lock.
    fn closed(&self, gates: &Gates) -> Option<Wait> {
        let (policy, memory) = (&self.state.policy, &self.state.memory);
        let staged = self.state.staged.as_ref().map(|s| &s.release.version);
        let other = policy.pin.as_ref().filter(|pin| staged != Some(pin));
        let closed = !matches!(gates.window, Opening::Always | Opening::OpenUntil(_));
        if memory.hold.is_some() {
            Some(Wait::Hold)
        } else if policy.broken {
            Some(Wait::Configuration)
        } else if let Some(pin) = other {
            Some(Wait::Pin(pin.clone()))
        } else if !policy.reboots {
            Some(Wait::Operator)
        } else if closed {
            Some(Wait::Window(gates.window))
        } else if !gates.inhibitors.is_empty() {
            Some(Wait::Inhibitors(gates.inhibitors.clone()))
        } else {
            None
        }
    }

    /// Nothing stands against a reboot.
    fn plan(&mut self, gates: &Gates, plan: Plan) {
        let left = match gates.window {
            Opening::OpenUntil(end) => u64::try_from(end - self.now).unwrap_or(0),
            _ => u64::MAX,
        };
        // The warning is cut short where the window would close before its end.
        let warning = self.state.policy.warning.min(left.saturating_sub(1));
        match plan {
            Plan::Fresh if gates.sessions > 0 && warning > 0 => {
                self.go(Phase::Planned {
                    at: self.now.saturating_add_unsigned(warning),
                    plan: Plan::Warned,
                });
                self.do_(Effect::Warn(warning));
                self.do_(Effect::Set(Timer::Reboot, Delay::exactly(warning)));
                self.do_(Effect::Set(Timer::Gates, LOOK_AGAIN));
            }
            Plan::Fresh | Plan::Due => {
                self.do_(Effect::Stop(Timer::Gates));
                self.reboot(Reboot::Update);
            }
            Plan::Warned => {}
        }
    }
}
