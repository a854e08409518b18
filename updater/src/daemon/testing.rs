//! A worker and a machine that only pretend.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Cancel, Done, Engine, Handle, Host, Options, Worker};
use crate::config::Config;
use crate::state::{Facts, Found, Known, Offer, Reboot, Stage, Trouble, Wish};
use crate::tuf::Seen;

/// What the worker pretends.
#[derive(Default)]
pub(crate) struct Plan {
    pub facts: Facts,
    /// What every check finds.
    pub found: Option<Offer>,
    /// With which metadata.
    pub seen: Option<Seen>,
    /// With what checks fail.
    pub trouble: Option<Trouble>,
    /// Only those of this place.
    pub trouble_at: Option<&'static str>,
    /// What is in the other slot.
    pub other: Known,
    /// How long an installation rests at its half.
    pub pause: Duration,
    /// It goes on until it is cancelled.
    pub hang: bool,
}

pub(crate) struct Pretender(pub Plan);

pub(crate) fn known(version: &str, sequence: u64) -> Known {
    Known {
        version: version.to_owned(),
        sequence,
    }
}

impl Worker for Pretender {
    fn configure(&mut self, _: &Config) {}

    fn facts(&mut self) -> Result<Facts, Trouble> {
        Ok(self.0.facts.clone())
    }

    fn check(&mut self, wish: &Wish) -> Result<Found, Trouble> {
        let plan = &self.0;
        let concerned = plan.trouble_at.is_none() || wish.from.as_deref() == plan.trouble_at;
        if let Some(trouble) = plan.trouble.as_ref().filter(|_| concerned) {
            return Err(trouble.clone());
        }
        Ok(match &plan.found {
            Some(offer) => Found::Offer(Offer {
                wish: wish.clone(),
                ..offer.clone()
            }),
            None => Found::Nothing,
        })
    }

    fn seen(&mut self) -> Option<Seen> {
        self.0.seen.clone()
    }

    fn install(
        &mut self,
        offer: &Offer,
        progress: &mut dyn FnMut(Stage),
        cancel: &Cancel,
    ) -> Result<Done, Trouble> {
        for done in 0..=1000 {
            progress(Stage::Downloading(done, 1000));
            if done == 500 {
                std::thread::sleep(self.0.pause);
            }
        }
        while self.0.hang && !cancel.is_set() {
            std::thread::sleep(Duration::from_millis(5));
        }
        if cancel.is_set() {
            return Ok(Done::Cancelled);
        }
        progress(Stage::Verifying);
        progress(Stage::Finalizing);
        Ok(Done::Installed(offer.release.clone()))
    }

    fn bless(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn unstage(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn roll_back(&mut self) -> Result<Known, Trouble> {
        Ok(self.0.other.clone())
    }
}

/// Takes note of reboots instead of doing them.
#[derive(Default)]
pub(crate) struct Recorder(pub Mutex<Vec<Reboot>>);

impl Host for Recorder {
    fn reboot(&self, why: Reboot) -> Result<(), String> {
        self.0.lock().unwrap().push(why);
        Ok(())
    }

    fn tell(&self, _: &[String], _: &str) {}
}

/// A service of the system below `root`, which does nothing yet.
pub(crate) fn engine(
    root: &Path,
    worker: impl Worker + 'static,
) -> (Engine, Handle, Arc<Recorder>) {
    let options = Options {
        root: root.to_owned(),
        boot_complete: vec!["/bin/true".to_owned()],
    };
    let host = Arc::new(Recorder::default());
    let (engine, handle) = Engine::new(options, Box::new(worker), host.clone());
    (engine, handle, host)
}

/// Writes its configuration.
pub(crate) fn configure(root: &Path, config: &str) {
    let folder = root.join("etc/holdfast/update.d");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("10-test.yaml"), config).unwrap();
}

impl Handle {
    /// Waits for a phase.
    pub(crate) async fn until(&mut self, phase: &str) -> super::Snapshot {
        let wait = async {
            while self.snapshot().state.phase.name() != phase {
                assert!(self.changed().await);
            }
            self.snapshot()
        };
        match tokio::time::timeout(Duration::from_secs(60), wait).await {
            Ok(snapshot) => snapshot,
            Err(_) => panic!("still {:?}", self.snapshot().state),
        }
    }
}
