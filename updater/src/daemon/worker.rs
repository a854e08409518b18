//! The work that takes time: repositories, disk, boot entries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use crate::config::Config;
use crate::state::{Event, Facts, Found, Known, Offer, Stage, Trouble, Wish};
use crate::tuf::Seen;

/// Does the work. Lives in a thread of its own: every method may block for as long as
/// its work takes, and none is called while another runs.
pub trait Worker: Send {
    /// A configuration to be used from now on.
    fn configure(&mut self, config: &Config);

    /// What is booted, staged, bad. Called once, again when it failed.
    fn facts(&mut self) -> Result<Facts, Trouble>;

    /// What the repository offers.
    fn check(&mut self, wish: &Wish) -> Result<Found, Trouble>;

    /// The metadata of the repository that answered the last check; none if none did.
    fn seen(&mut self) -> Option<Seen>;

    /// Installs what a check found into the slot that is not booted; goes on where an
    /// interrupted installation of the same release stopped. Makes that slot unbootable
    /// first and bootable last. Looks at `cancel` at least once a second, until it tells
    /// of [`Stage::Finalizing`].
    fn install(
        &mut self,
        offer: &Offer,
        progress: &mut dyn FnMut(Stage),
        cancel: &Cancel,
    ) -> Result<Done, Trouble>;

    /// Records the booted slot as good.
    fn bless(&mut self) -> Result<(), Trouble>;

    /// Makes the staged release unbootable.
    fn unstage(&mut self) -> Result<(), Trouble>;

    /// Makes the other slot the next to boot, and tells its release.
    fn roll_back(&mut self) -> Result<Known, Trouble>;
}

/// How an installation ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The next boot starts it.
    Installed(Known),
    /// It was stopped.
    Cancelled,
}

/// Tells a worker to stop.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// It should stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, value: bool) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Configure(Config),
    Facts,
    Check(Wish),
    Install(Offer),
    Bless,
    Unstage,
    RollBack,
}

/// What the thread answers with.
#[derive(Debug)]
pub(super) enum Answer {
    Event(Event),
    NoFacts(Trouble),
}

/// Starts the thread. It ends when the sender is dropped.
pub(super) fn start(
    mut worker: Box<dyn Worker>,
    cancel: Cancel,
    answer: impl Fn(Answer) + Send + 'static,
) -> mpsc::Sender<Job> {
    let (send, jobs) = mpsc::channel();
    std::thread::spawn(move || {
        for job in jobs {
            let event = match job {
                Job::Configure(config) => {
                    worker.configure(&config);
                    continue;
                }
                Job::Facts => match worker.facts() {
                    Ok(facts) => Event::Started(facts),
                    Err(trouble) => {
                        answer(Answer::NoFacts(trouble));
                        continue;
                    }
                },
                Job::Check(wish) => {
                    let found = worker.check(&wish);
                    if let Some(seen) = worker.seen() {
                        answer(Answer::Event(Event::Seen(seen)));
                    }
                    found.map_or_else(Event::CheckFailed, Event::Checked)
                }
                Job::Install(offer) => {
                    let mut last = None;
                    let mut progress = |stage| {
                        if is_news(last, stage) {
                            last = Some(stage);
                            answer(Answer::Event(Event::Progress(stage)));
                        }
                    };
                    match worker.install(&offer, &mut progress, &cancel) {
                        Ok(Done::Installed(release)) => Event::Installed(release),
                        Ok(Done::Cancelled) => Event::Cancelled,
                        Err(trouble) => Event::InstallFailed(trouble),
                    }
                }
                Job::Bless => worker
                    .bless()
                    .map_or_else(Event::BlessFailed, |()| Event::Blessed),
                Job::Unstage => worker
                    .unstage()
                    .map_or_else(Event::UndoFailed, |()| Event::Unstaged),
                Job::RollBack => worker
                    .roll_back()
                    .map_or_else(Event::UndoFailed, Event::RolledBack),
            };
            answer(Answer::Event(event));
        }
    });
    send
}

/// Progress is told at each change of stage and each per cent, as CoreOS did.
fn is_news(last: Option<Stage>, stage: Stage) -> bool {
    match (last, stage) {
        (Some(Stage::Downloading(before, _)), Stage::Downloading(done, total)) => {
            done == total || done.saturating_sub(before) >= total / 100
        }
        (last, stage) => last != Some(stage),
    }
}
