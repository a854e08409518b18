//! Where releases come from: options that verbs share.

use std::fs;
use std::num::NonZeroU64;
use std::path::Path;

use super::{Exit, Failure};
use crate::config::{self, Config};
use crate::fetch::{self, Options, Proxy, Source};
use crate::tuf::Time;
use crate::update::{self, Error, Identity, Lock, Setup};

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
    /// Reads the configuration of the system below `root`, and opens the repository.
    pub(super) fn open(&self, root: &Path) -> Result<Place, Failure> {
        let machine = Identity::read(root).map_err(|e| failure(e.into()))?;
        let config::Loaded { config, problems } = config::load(root);
        for problem in &problems {
            eprintln!("warning: {problem}");
        }
        let places = match &self.from {
            Some(from) => vec![absolute(from)?],
            None => config.servers.clone(),
        };
        if places.is_empty() {
            return Err(
                Failure::new(Exit::Input, "no repository is configured").with_hint(
                    "name one with --from, or in /etc/holdfast/update.d/10-site.yaml: `servers: [https://...]`",
                ),
            );
        }
        let path = root.join(update::ROOT);
        let shipped = fs::read(&path).map_err(|e| {
            Failure::new(Exit::Refused, format!("{}: {e}", path.display())).with_hint(
                "this image trusts no repository; build it with `update: {root: ...}` in its recipe",
            )
        })?;
        let state = root.join(crate::STATE);
        let lock = Lock::take(&state).map_err(failure)?;
        let source = fetch::open(&places, &options(&config)).map_err(|e| failure(e.into()))?;
        Ok(Place {
            machine,
            setup: Setup {
                state,
                root: shipped,
                channel: self.channel.clone().unwrap_or(config.channel),
                now: Time::now(),
                again: false,
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

fn options(config: &Config) -> Options {
    Options {
        proxy: match &config.proxy {
            Some(url) => Proxy::At {
                url: url.clone(),
                except: String::new(),
            },
            None => Proxy::Environment,
        },
        limit: config.rate_limit.and_then(NonZeroU64::new),
        ..Options::default()
    }
}

/// The failure of a verb for one of updates.
pub(super) fn failure(error: Error) -> Failure {
    let exit = if error.is_refusal() {
        Exit::Refused
    } else {
        Exit::Environment
    };
    let failure = Failure::because(exit, &error);
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// `61.2 MB`.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}
