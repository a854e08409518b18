//! Where releases come from: options that verbs share.

use std::fs;
use std::path::Path;

use super::{Exit, Failure};
use crate::config;
use crate::fetch::Source;
use crate::tuf::Time;
use crate::update::{Error, Identity, Lock, Setup, place};

#[derive(Debug, clap::Args)]
pub(super) struct PlaceArgs {
    /// Repository: a URL, or the path of its folder [default: the configuration's servers]
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,

    /// Channel to follow [default: the configuration's]
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
}

/// Everything that a look at a repository needs.
pub(super) struct Place {
    pub(super) machine: Identity,
    pub(super) setup: Setup,
    pub(super) source: Box<dyn Source + Send>,
    _lock: Lock,
}

impl PlaceArgs {
    /// The channel that was named.
    pub(super) fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    /// The repository that was named, as anybody on this machine can name it.
    pub(super) fn from(&self) -> Result<Option<String>, Failure> {
        self.from.as_deref().map(absolute).transpose()
    }

    /// Reads the configuration of the system below `root`, and opens the repository.
    pub(super) fn open(&self, root: &Path) -> Result<Place, Failure> {
        let machine = Identity::read(root).map_err(|e| failure(e.into()))?;
        let config::Loaded { config, problems } = config::load(root);
        for problem in &problems {
            eprintln!("warning: {problem}");
        }
        let from = self.from()?;
        let source = place::open(from.as_deref(), &config).map_err(failure)?;
        let shipped = place::shipped_root(root).map_err(failure)?;
        let state = root.join(crate::STATE);
        let lock = Lock::take(&state).map_err(failure)?;
        Ok(Place {
            machine,
            setup: Setup {
                state,
                root: shipped,
                channel: self
                    .channel
                    .clone()
                    .unwrap_or_else(|| config.channel.clone()),
                now: Time::now(),
                again: false,
                downgrade: false,
                pin: config.pin,
            },
            source,
            _lock: lock,
        })
    }
}

/// A path may be relative on a command line.
fn absolute(place: &str) -> Result<String, Failure> {
    if place.contains("://") {
        return Ok(place.to_owned());
    }
    let wrong = |why: String| Failure::new(Exit::Input, format!("{place}: {why}"));
    let path = fs::canonicalize(place).map_err(|e| wrong(e.to_string()))?;
    path.into_os_string()
        .into_string()
        .map_err(|_| wrong("the path is not Unicode".to_owned()))
}

/// The failure of a verb for one of updates.
pub(super) fn failure(error: Error) -> Failure {
    let exit = match &error {
        Error::Nowhere => Exit::Input,
        error if error.is_refusal() => Exit::Refused,
        _ => Exit::Environment,
    };
    let failure = Failure::because(exit, &error);
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
