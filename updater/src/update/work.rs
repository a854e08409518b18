//! Fetches a release into the slot that is not running.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;

use serde::Serialize;

use super::floor::Floor;
use super::part::Part;
use super::running::Running;
use super::windows::Fetched;
use super::{Error, JOURNAL, Offer, kernel, trial};
use crate::bls::{TRIES, Verdict};
use crate::boot::BootControl;
use crate::cause::chain;
use crate::delta::plan::{Plan, Way, choices};
use crate::fetch::Source;
use crate::install::{self, Job, Journal, Step};
use crate::release::Digest;
use crate::slots::{Content, Disk};
use crate::state::Known;
use crate::verity::{self, BLOCK};

/// The start of a frame, in the state's folder.
const PART: &str = "part";
/// The kernel image as far as it came, there too.
pub(super) const KERNEL: &str = "kernel";

/// All that an installation works on.
pub struct Work<'a, 'e> {
    /// The state's folder.
    pub state: &'a Path,
    /// The machine's disk.
    pub disk: &'a mut Disk,
    /// Its loaders.
    pub boot: &'a BootControl<'e>,
    /// The repository.
    pub source: &'a mut dyn Source,
    /// Whether to stop; asked at each piece that comes.
    pub stop: &'a dyn Fn() -> bool,
    /// Hears how it goes.
    pub tell: &'a mut dyn FnMut(&Event<'_>),
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// Bytes of the kernel image came.
    Kernel {
        /// Bytes that are there.
        done: u64,
        /// All of them.
        total: u64,
    },
    /// A way was chosen.
    Way {
        /// `patch`, `reuse`, `full`.
        way: &'static str,
        /// Bytes of frames that are to be fetched, from the first window on.
        bytes: u64,
    },
    /// It did not work out; the next one is taken.
    Otherwise {
        /// Why.
        reason: &'a str,
    },
    /// See [`install::Observer`].
    Step {
        /// The step.
        step: Step,
        /// Bytes done.
        done: u64,
        /// All bytes of the step.
        total: u64,
    },
}

/// How it ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// The next boot tries it.
    Installed,
    /// It waited for that already.
    Staged,
}

impl Work<'_, '_> {
    /// Installs a release, and puts it on trial for the next boot. Goes on where an
    /// earlier call for the same release was cut. Whatever the error, the running
    /// release still boots.
    pub fn install(&mut self, offer: &Offer) -> Result<Done, Error> {
        if self.is_staged(offer)? {
            return Ok(Done::Staged);
        }
        self.preflight(offer)?;
        let state = self.state;
        let failed = |e| Error::State(state.to_owned(), e);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state)
            .map_err(failed)?;
        let hash = Digest(offer.root_hash.0);
        Floor::read(state)?.note(state, hash, offer.release.sequence, offer.downgrade)?;
        trial::note(
            state,
            &Known {
                version: offer.version.to_string(),
                sequence: offer.release.sequence,
            },
        )
        .map_err(failed)?;
        let uki = self.kernel(offer)?;
        let running = Running::open(self.disk);
        let ways = choices(
            &offer.release.usr,
            running.as_ref().map(Running::have).as_ref(),
        );
        let mut lost = None;
        for (number, choice) in ways.iter().enumerate() {
            let error = match self.go(offer, &uki, choice.way, running.as_ref()) {
                Ok(()) => {
                    Part::new(&state.join(KERNEL), offer.release.uki.sha256)
                        .clear()
                        .map_err(failed)?;
                    return Ok(Done::Installed);
                }
                Err(error) => error,
            };
            if (self.stop)() {
                return Err(Error::Stopped);
            }
            // What was written in this way's windows is given up with it. So if the
            // next way's first document does not come either, it was the network.
            if error.is_network()
                && let Some(lost) = lost
            {
                return Err(lost);
            }
            if number + 1 == ways.len() || !error.is_of_one_way() {
                return Err(error);
            }
            let reason = chain(&error);
            (self.tell)(&Event::Otherwise { reason: &reason });
            lost = error.is_network().then_some(error);
        }
        // There is always one way at least, and it returned.
        Ok(Done::Staged)
    }

    /// Whether the next boot takes it already.
    fn is_staged(&self, offer: &Offer) -> Result<bool, Error> {
        let boot = self.boot.state().map_err(install::Error::from)?;
        let trial = boot.other.is_some_and(|other| {
            other.version == offer.version
                && other.verdict == Verdict::Trial
                && boot.next == other.slot
        });
        Ok(trial && self.is_named(offer))
    }

    fn is_named(&self, offer: &Offer) -> bool {
        let content = Content::Release(offer.version.clone(), offer.root_hash);
        self.disk.inactive().content() == content
    }

    /// What can be known before anything is fetched.
    fn preflight(&self, offer: &Offer) -> Result<(), Error> {
        let usr = &offer.release.usr;
        let tree = verity::size(usr.size / BLOCK as u64);
        self.disk
            .check(&offer.version, offer.root_hash, usr.size, tree)
            .map_err(install::Error::from)?;
        if !self.is_named(offer) {
            self.boot
                .check(offer.release.uki.length)
                .map_err(install::Error::from)?;
        }
        Ok(())
    }

    fn kernel(&mut self, offer: &Offer) -> Result<Vec<u8>, Error> {
        let artefact = &offer.release.uki;
        let (tell, stop) = (&mut *self.tell, self.stop);
        let fetched = kernel::fetch(
            artefact,
            &self.state.join(KERNEL),
            self.source,
            &mut |done| {
                tell(&Event::Kernel {
                    done,
                    total: artefact.length,
                });
                if stop() {
                    return Err(io::Error::other("stopped"));
                }
                Ok(())
            },
        );
        if fetched.is_err() && stop() {
            return Err(Error::Stopped);
        }
        fetched
    }

    fn go(
        &mut self,
        offer: &Offer,
        uki: &[u8],
        way: Way,
        running: Option<&Running>,
    ) -> Result<(), Error> {
        let usr = &offer.release.usr;
        let have = running.map(Running::have);
        let plan = Plan::prepare(way, usr, have.as_ref(), self.source)?;
        (self.tell)(&Event::Way {
            way: match way {
                Way::Patch(_) => "patch",
                Way::Reuse => "reuse",
                Way::Full => "full",
            },
            bytes: plan.bytes(0),
        });
        let job = Job {
            version: offer.version.clone(),
            root_hash: offer.root_hash,
            usr_size: usr.size,
            salt: offer.salt.clone(),
            uki,
            tries: TRIES,
        };
        let mut windows = Fetched {
            plan: &plan,
            old: running.map(|running| &running.usr as &dyn FileExt),
            source: &mut *self.source,
            part: Part::new(&self.state.join(PART), plan.data.sha256),
            stop: self.stop,
        };
        let journal = Journal::new(&self.state.join(JOURNAL));
        let tell = &mut *self.tell;
        install::install(
            &job,
            self.disk,
            self.boot,
            &mut windows,
            &journal,
            &mut |step, done, total| tell(&Event::Step { step, done, total }),
        )?;
        let path = self.state.join(PART);
        windows.part.clear().map_err(|e| Error::State(path, e))
    }
}
