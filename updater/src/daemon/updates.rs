//! The service's work, done by [`crate::update`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Cancel, Done, Worker};
use crate::bls::Verdict;
use crate::boot::{self, BootControl, Machine};
use crate::cause::chain;
use crate::config::Config;
use crate::install::Journal;
use crate::slots::Disk;
use crate::state::{Facts, Found, Known, Offer, Stage, Trouble, TroubleKind, Wish};
use crate::tuf::{Seen, Time};
use crate::update::floor::Floor;
use crate::update::{
    self, Answered, Error, Event, Identity, JOURNAL, Lock, Refused, Setup, Spared, Tally, Work,
    bless, check_and_tell, keep_or_bring_back, place, roll_back, trial,
};

/// How long short work waits for an `updater` that somebody started by hand.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the work is done on.
pub trait Ground: Send {
    /// Where the files are: `/`.
    fn root(&self) -> &Path;

    /// What runs.
    fn identity(&self) -> Result<Identity, Error>;

    /// Lends the disk, and what boots next.
    fn lend(&self, work: &mut Borrower<'_>) -> Result<(), Error>;
}

/// Takes a disk, and what boots next, for a while.
pub type Borrower<'a> = dyn FnMut(&mut Disk, &BootControl<'_>) -> Result<(), Error> + 'a;

/// The machine that this program runs on.
#[derive(Debug, Clone, Copy)]
pub struct ThisMachine;

impl Ground for ThisMachine {
    fn root(&self) -> &Path {
        Path::new("/")
    }

    fn identity(&self) -> Result<Identity, Error> {
        Ok(Identity::read(self.root())?)
    }

    fn lend(&self, work: &mut Borrower<'_>) -> Result<(), Error> {
        let mut machine = Machine::open(self.root())?;
        let (disk, boot) = machine.parts();
        work(disk, &boot)
    }
}

/// Checks, installs and judges releases. Holds the lock of updates while it does, and
/// nothing between: neither a connection nor a mounted ESP.
#[derive(Debug)]
pub struct Updates<G> {
    ground: G,
    config: Config,
    /// What the last check found, and where.
    found: Option<(update::Offer, Wish)>,
    seen: Option<Seen>,
}

impl<G: Ground> Updates<G> {
    /// On a machine.
    pub fn new(ground: G) -> Self {
        Updates {
            ground,
            config: Config::default(),
            found: None,
            seen: None,
        }
    }

    fn state(&self) -> PathBuf {
        self.ground.root().join(crate::STATE)
    }

    /// Lends the disk, and keeps what comes of it.
    fn with<T>(
        &self,
        mut work: impl FnMut(&mut Disk, &BootControl<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut result = None;
        self.ground.lend(&mut |disk, boot| {
            result = Some(work(disk, boot)?);
            Ok(())
        })?;
        // It was lent, or there was an error.
        result.ok_or(Error::Stopped)
    }

    fn know(&self) -> Result<Facts, Error> {
        let (state, mut identity) = (self.state(), self.ground.identity()?);
        // A file that cannot be read is told of by the next check.
        if let Ok(floor) = Floor::read(&state) {
            identity.sequence = floor.running(&identity);
        }
        let journal = Journal::new(&state.join(JOURNAL));
        let boot_id = self.ground.root().join("proc/sys/kernel/random/boot_id");
        let boot_id = std::fs::read_to_string(boot_id).unwrap_or_default();
        let boot = self.with(|_, boot| {
            self.mend(&identity, boot);
            Ok(boot.state()?)
        })?;
        let now = Time::now().max(identity.built());
        let answered = Answered::read_or_begin(&state, now)
            .inspect_err(|e| tracing::warn!("when a repository answered is not known: {e}"))
            .ok();
        Ok(Facts {
            boot_id: boot_id.trim().to_owned(),
            resume: journal.read().is_some(),
            checked: answered.and_then(|answered| answered.last),
            waiting: answered.map(|answered| answered.since),
            ..facts(&boot, &identity, |version| trial::known(&state, version))
        })
    }

    /// Brings back what the ESP has lost. Whatever comes of it, the rest goes on.
    fn mend(&self, identity: &Identity, boot: &BootControl<'_>) {
        match boot.bring_back_loaders(self.ground.root()) {
            Ok(back) if back.is_empty() => {}
            Ok(back) => tracing::warn!("the ESP had lost {}: brought back", back.join(", ")),
            Err(e) => tracing::error!(hint = e.hint(), "what the ESP lost is missing: {e}"),
        }
        match keep_or_bring_back(&self.state(), identity, boot) {
            Ok(Spared::Nothing | Spared::Kept) => {}
            Ok(Spared::BroughtBack) => {
                tracing::warn!("the ESP had lost the running kernel image: brought back");
            }
            Err(e) => tracing::warn!(hint = e.hint(), "a spare kernel image: {e}"),
        }
    }

    fn look(&mut self, wish: &Wish) -> Result<Found, Error> {
        (self.found, self.seen) = (None, None);
        let identity = self.ground.identity()?;
        let mut source = place::open(wish.from.as_deref(), &self.config)?;
        let setup = Setup {
            state: self.state(),
            root: place::shipped_root(self.ground.root())?,
            channel: wish
                .channel
                .as_ref()
                .unwrap_or(&self.config.channel)
                .clone(),
            now: Time::now(),
            // Whether it is tried again is decided by who asked for this.
            again: true,
            downgrade: wish.downgrade,
            pin: self.config.pin.clone(),
        };
        let _lock = Lock::wait(&setup.state, PATIENCE)?;
        let mut seen = None;
        let result = check_and_tell(&identity, &setup, &mut *source, &mut |told| {
            seen = Some(told.clone());
        });
        self.seen = seen;
        let found = match result {
            Err(Error::Refused(older @ (Refused::Older { .. } | Refused::BelowBest { .. }))) => {
                tracing::info!("{older}");
                return Ok(Found::Nothing);
            }
            result => result?,
        };
        let Some(offer) = found.offer else {
            return Ok(Found::Nothing);
        };
        let told = Offer {
            release: known(&offer),
            download: offer.download(&identity),
            wish: wish.clone(),
            downgrade: offer.downgrade,
        };
        self.found = Some((offer, wish.clone()));
        Ok(Found::Offer(told))
    }

    fn put(
        &mut self,
        offer: &Offer,
        progress: &mut dyn FnMut(Stage),
        cancel: &Cancel,
    ) -> Result<Done, Error> {
        let is_it = |found: &Option<(update::Offer, Wish)>| {
            let found = found.as_ref();
            found.is_some_and(|(found, wish)| {
                found.version.as_str() == offer.release.version && *wish == offer.wish
            })
        };
        if !is_it(&self.found) {
            self.look(&offer.wish)?;
        }
        let Some((found, _)) = self.found.as_ref().filter(|_| is_it(&self.found)) else {
            let version = offer.release.version.clone();
            return Err(Error::Wrong(format!("release {version}")));
        };
        let state = self.state();
        let _lock = Lock::wait(&state, PATIENCE)?;
        let mut source = place::open(offer.wish.from.as_deref(), &self.config)?;
        let mut tally = Tally::new(found.release.uki.length, offer.download);
        let done = self.with(|disk, boot| {
            Work {
                state: &state,
                disk,
                boot,
                source: &mut *source,
                stop: &|| cancel.is_set(),
                tell: &mut |event| {
                    tell(event);
                    if let Some(stage) = tally.stage(event) {
                        progress(stage);
                    }
                },
            }
            .install(found)
        });
        match done {
            Ok(_) => Ok(Done::Installed(offer.release.clone())),
            Err(Error::Stopped) => Ok(Done::Cancelled),
            Err(e) => Err(e),
        }
    }
}

impl<G: Ground> Worker for Updates<G> {
    fn configure(&mut self, config: &Config) {
        self.config = config.clone();
    }

    fn facts(&mut self) -> Result<Facts, Trouble> {
        self.know().map_err(|e| trouble(&e))
    }

    fn check(&mut self, wish: &Wish) -> Result<Found, Trouble> {
        self.look(wish).map_err(|e| trouble(&e))
    }

    fn seen(&mut self) -> Option<Seen> {
        self.seen.clone()
    }

    fn install(
        &mut self,
        offer: &Offer,
        progress: &mut dyn FnMut(Stage),
        cancel: &Cancel,
    ) -> Result<Done, Trouble> {
        self.put(offer, progress, cancel).map_err(|e| trouble(&e))
    }

    fn bless(&mut self) -> Result<(), Trouble> {
        let state = self.state();
        let result = Lock::wait(&state, PATIENCE).and_then(|_lock| {
            let identity = self.ground.identity()?;
            self.with(|_, boot| {
                bless(&state, &identity, boot, false)?;
                self.mend(&identity, boot);
                Ok(())
            })
        });
        result.map_err(|e| trouble(&e))
    }

    fn unstage(&mut self) -> Result<(), Trouble> {
        let result = Lock::wait(&self.state(), PATIENCE)
            .and_then(|_lock| self.with(|_, boot| Ok(boot.prepare(0)?)));
        result.map_err(|e| trouble(&e))
    }

    fn roll_back(&mut self) -> Result<Known, Trouble> {
        let result = Lock::wait(&self.state(), PATIENCE)
            .and_then(|_lock| self.with(|_, boot| roll_back(boot)));
        result.map_err(|e| trouble(&e))
    }
}

fn known(offer: &update::Offer) -> Known {
    Known {
        version: offer.version.to_string(),
        sequence: offer.release.sequence,
    }
}

/// What a booted system needs to know of the loaders' state.
fn facts(boot: &boot::State, identity: &Identity, known: impl Fn(&str) -> Known) -> Facts {
    // Its last try is one, too: the counter says 0 then.
    let trial = boot.running.verdict != Verdict::Good && !boot.rolled_back;
    let other = boot.other.as_ref();
    let is = |verdict| other.filter(|other| other.verdict == verdict);
    // On its last try a release stands behind the other one until it is good.
    let next = other.filter(|other| boot.next == other.slot && !trial);
    Facts {
        booted: Known {
            version: identity.version.clone(),
            sequence: identity.sequence,
        },
        trial,
        fallback: is(Verdict::Good).is_some(),
        staged: next.map(|other| known(other.version.as_str())),
        bad: is(Verdict::Bad)
            .map(|other| known(other.version.as_str()))
            .into_iter()
            .collect(),
        ..Facts::default()
    }
}

fn trouble(error: &Error) -> Trouble {
    Trouble {
        kind: if error.is_refusal() {
            TroubleKind::Verification
        } else if error.is_network() {
            TroubleKind::Network
        } else {
            TroubleKind::Machine
        },
        text: chain(error),
        hint: error.hint().map(str::to_owned),
        retry_after: error.retry_after().map(|after| after.as_secs()),
    }
}

/// What belongs into the journal of the system.
fn tell(event: &Event<'_>) {
    match event {
        Event::Way { way, bytes } => tracing::info!(way, bytes, "fetching /usr"),
        Event::Otherwise { reason } => tracing::warn!("{reason}; trying another way"),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
