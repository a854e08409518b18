//! "When, and why not yet", in sentences.

use super::Reboot;
use super::memory::{Memory, Refused};
use super::phase::{Phase, Plan, State, Undo, Wait, Withheld};
use crate::config::{Opening, in_words, size_in_words};
use crate::tuf::Seen;

impl State {
    /// Explains the state at `now` (seconds since 1970); times are told relative to it.
    pub fn why(&self, now: i64) -> Vec<String> {
        let mut out = vec![self.headline(now)];
        if let Some(ailment) = &self.ailment {
            out.push(format!(
                "Updates are not looked for while the booted release is unhealthy: {ailment}."
            ));
        }
        out.extend(self.memory.held(now));
        if let Some(pin) = &self.policy.pin {
            out.push(if *pin == self.booted.version {
                format!("This machine is pinned to {pin}: it stays there until `updater unpin`.")
            } else {
                format!("This machine is pinned to {pin}: it takes no other release until `updater unpin`.")
            });
        }
        if self.policy.broken && self.memory.hold.is_none() {
            out.push("The configuration has problems, so nothing reboots by itself.".to_owned());
        }
        if !self.policy.trusts {
            out.push("This image trusts no repository, so it takes no updates: build it with `update: {root: ...}` in its recipe.".to_owned());
        } else if !self.policy.source {
            out.push("No update source is configured: name `servers` in /etc/holdfast/update.d, or use `updater update --from`.".to_owned());
        } else if !self.policy.automatic {
            out.push("The configuration does not let updates be looked for by themselves.".into());
        }
        if let Some(trouble) = &self.trouble {
            out.push(match self.failures {
                0 => format!("Last error: {}.", trouble.text),
                n => format!("Last error, {n} in a row: {}.", trouble.text),
            });
            out.extend(trouble.hint.iter().map(|hint| format!("Hint: {hint}.")));
        }
        if self.stale {
            let waited = u64::try_from(now.saturating_sub(self.waiting)).map(in_words);
            let waited = waited.unwrap_or_else(|_| "too long".to_owned());
            out.push(format!(
                "No repository has answered with metadata that can be trusted for {waited}: releases may be kept from this machine. Look at `servers`, the network and the clock."
            ));
        }
        let suspicions = self.seen.iter().flat_map(Seen::suspicions);
        out.extend(suspicions.map(|(_, text)| format!("{text}.")));
        if let Some(checked) = self.checked {
            out.push(format!("A repository last answered {}.", ago(now, checked)));
        }
        out.extend(self.memory.refused.iter().map(refusal));
        out
    }

    fn headline(&self, now: i64) -> String {
        let booted = &self.booted.version;
        let staged = || {
            let staged = self.staged.as_ref();
            staged
                .map_or("?", |s| s.release.version.as_str())
                .to_owned()
        };
        match &self.phase {
            Phase::Starting => "The updater is starting.".to_owned(),
            Phase::Assessing if self.trial => {
                format!("{booted} runs on trial; its health is being checked.")
            }
            Phase::Assessing => format!("The health of {booted} is being checked."),
            Phase::Blessing => format!("{booted} is healthy and is being recorded as good."),
            Phase::Unhealthy { .. } if self.trial => {
                format!("{booted} is unhealthy on trial, and there is no other good release.")
            }
            Phase::Unhealthy { .. } => {
                format!("{booted} is unhealthy; it was good before, so it is not left.")
            }
            Phase::Idle => format!("{booted} runs; nothing newer is known."),
            Phase::Backoff => {
                format!("{booted} runs; the last attempt failed, another will follow.")
            }
            Phase::Checking { .. } => "A repository is being asked for a newer release.".to_owned(),
            Phase::Available => match &self.offer {
                Some((offer, why)) => withheld(&offer.release.version, why),
                None => "A release is there.".to_owned(),
            },
            Phase::Downloading { offer, done, total } => format!(
                "{} is being installed: {} of {} fetched.",
                offer.release.version,
                size_in_words(*done),
                size_in_words(*total)
            ),
            Phase::Verifying { offer } => {
                format!("{} is written and being read back.", offer.release.version)
            }
            Phase::Finalizing { offer } => {
                format!("{} is being made bootable.", offer.release.version)
            }
            Phase::Staged { wait } => format!(
                "{} is installed; the reboot waits for {}.",
                staged(),
                waiting(wait, now)
            ),
            Phase::Locking => {
                format!(
                    "{} is installed; the reboot lock is being asked for.",
                    staged()
                )
            }
            Phase::Planned { at, plan } => match plan {
                Plan::Warned => format!(
                    "{} is installed; the machine reboots {}, users have been told.",
                    staged(),
                    until(now, *at)
                ),
                Plan::Fresh | Plan::Due => {
                    format!("{} is installed; the machine is about to reboot.", staged())
                }
            },
            Phase::Undoing(Undo::Staged) => format!("{} is being dropped.", staged()),
            Phase::Undoing(Undo::Booted) => {
                format!("The boot order is being changed, away from {booted}.")
            }
            Phase::Rebooting(Reboot::Update) => format!("The machine reboots into {}.", staged()),
            Phase::Rebooting(Reboot::Fallback | Reboot::Forced) => {
                format!("{booted} is unhealthy; the machine reboots.")
            }
        }
    }
}

impl Memory {
    /// Explains what outlives restarts.
    pub fn why(&self, now: i64) -> Vec<String> {
        let refused = self.refused.iter().map(refusal);
        self.held(now).into_iter().chain(refused).collect()
    }

    fn held(&self, now: i64) -> Option<String> {
        let why = self.hold.as_ref()?;
        let end = match self.hold_until {
            Some(at) => format!("; that ends {}, or with", until(now, at)),
            None => " until".to_owned(),
        };
        Some(format!(
            "Updates are held ({why}): nothing is installed and nothing reboots{end} `updater hold --release`."
        ))
    }
}

fn withheld(version: &str, why: &Withheld) -> String {
    match why {
        Withheld::Hold => {
            format!("{version} is there and not installed, because updates are held.")
        }
        Withheld::NotAsked => {
            format!("{version} is there; `updater update` installs it.")
        }
        Withheld::Refused => format!(
            "{version} is there and not installed: this machine went back from it. A newer release will be taken, or this one after `updater allow {version}`."
        ),
        Withheld::Rollout(why) => {
            format!("{version} is there, but not for this machine yet: {why}.")
        }
    }
}

fn waiting(wait: &Wait, now: i64) -> String {
    match wait {
        Wait::Unknown => "a look at windows and inhibitors".to_owned(),
        Wait::Configuration => "a configuration without problems".to_owned(),
        Wait::Hold => "the end of the hold".to_owned(),
        Wait::Pin(pin) => format!("the end of the pin to {pin}"),
        Wait::Operator => "an operator, because the reboot strategy is `off`".to_owned(),
        Wait::Window(Opening::ClosedUntil(at)) => {
            format!("a window, which opens {}", until(now, *at))
        }
        Wait::Window(_) => "a window, and none will open".to_owned(),
        Wait::Inhibitors(who) => format!("inhibitors to go: {}", who.join(", ")),
        Wait::Lock(why) => format!("the reboot lock: {why}"),
    }
}

fn refusal(refused: &Refused) -> String {
    let (version, cause) = (&refused.release.version, refused.cause.in_words());
    let times = match refused.times {
        0 | 1 => String::new(),
        n => format!(" ({n} times)"),
    };
    format!("{version} will not be tried again: it {cause}{times}.")
}

fn ago(now: i64, then: i64) -> String {
    match u64::try_from(now.saturating_sub(then)) {
        Ok(seconds) => format!("{} ago", in_words(seconds)),
        // The clock went back.
        Err(_) => "at a time that is still to come by this machine's clock".to_owned(),
    }
}

fn until(now: i64, then: i64) -> String {
    match u64::try_from(then.saturating_sub(now)) {
        Ok(seconds) if seconds > 0 => format!("in {}", in_words(seconds)),
        _ => "now".to_owned(),
    }
}
