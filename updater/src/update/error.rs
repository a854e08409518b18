//! Why there was no update.

use std::path::PathBuf;
use std::time::Duration;

use super::{Refused, Unknown};
use crate::delta::{apply, plan};
use crate::state::StoreError;
use crate::{boot, fetch, install, tuf};

/// Why a check or an installation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What runs is not known.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// The metadata.
    #[error(transparent)]
    Tuf(#[from] tuf::Error),
    /// The release is not for this machine.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The network.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// A way to the new /usr.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// The disk, the loaders, and what is fetched while writing.
    #[error(transparent)]
    Install(#[from] install::Error),
    /// The running machine.
    #[error(transparent)]
    Machine(#[from] boot::NoMachine),
    /// What boots next.
    #[error(transparent)]
    Boot(#[from] boot::Error),
    /// Nobody said where releases come from.
    #[error("no repository is configured")]
    Nowhere,
    /// The image trusts nobody.
    #[error("{}", .0.display())]
    NoRoot(PathBuf, #[source] std::io::Error),
    /// What outlives restarts.
    #[error(transparent)]
    Memory(#[from] StoreError),
    /// An artefact that nobody has as it was signed.
    #[error("{0} is not what the release says, wherever it was fetched from")]
    Wrong(String),
    /// The state's folder.
    #[error("keeping {}", .0.display())]
    State(PathBuf, #[source] std::io::Error),
    /// Another process is at it.
    #[error("another update or check is going on")]
    Busy,
    /// It was stopped on request.
    #[error("stopped; what was fetched is kept")]
    Stopped,
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Unknown(_) => {
                Some("run this on a machine that was booted from a Holdfast image")
            }
            Error::Tuf(e) => e.hint(),
            Error::Refused(e) => Some(e.hint()),
            Error::Fetch(e) => e.hint(),
            Error::Plan(plan::Error::Fetch(e)) => e.hint(),
            Error::Plan(e) => e.hint(),
            Error::Install(e) => match window(e) {
                Some(apply::Error::Fetch(e)) => e.hint(),
                Some(e) => e.hint(),
                None => Some(e.hint()),
            },
            Error::Machine(e) => Some(e.hint()),
            Error::Boot(e) => Some(e.hint()),
            Error::Nowhere => Some(
                "name one with --from, or in /etc/holdfast/update.d/10-site.yaml: `servers: [https://...]`",
            ),
            Error::NoRoot(..) => Some(
                "this image trusts no repository; build it with `update: {root: ...}` in its recipe",
            ),
            Error::Memory(e) => Some(e.hint()),
            Error::Wrong(_) => {
                Some("check the mirrors: their files differ from what was published")
            }
            Error::State(..) => Some("free space below /var, and run this as root"),
            Error::Busy => Some("wait for it to end"),
            Error::Stopped => None,
        }
    }

    /// Whether verification or policy said no (exit status 4), or the environment
    /// failed (3).
    pub fn is_refusal(&self) -> bool {
        match self {
            Error::Refused(_) | Error::Wrong(_) | Error::NoRoot(..) => true,
            Error::Boot(e) => is_rule(e),
            Error::Tuf(e) => e.is_refusal(),
            Error::Plan(e) => !matches!(e, plan::Error::Fetch(_)),
            Error::Install(e) => match e {
                install::Error::Size { .. }
                | install::Error::Uki { .. }
                | install::Error::BadUki(..)
                | install::Error::RootHash { .. } => true,
                install::Error::Boot(e) => is_rule(e),
                _ => matches!(
                    window(e),
                    Some(apply::Error::Wrong { .. } | apply::Error::Stream { .. })
                ),
            },
            _ => false,
        }
    }

    /// Whether bytes did not come.
    pub fn is_network(&self) -> bool {
        self.fetch().is_some()
    }

    /// How long every server asked to be left alone for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.fetch()? {
            fetch::Error::Later { after, .. } => Some(*after),
            _ => None,
        }
    }

    fn fetch(&self) -> Option<&fetch::Error> {
        match self {
            Error::Fetch(e) | Error::Plan(plan::Error::Fetch(e)) => Some(e),
            Error::Tuf(tuf::Error::Fetch(e)) => Some(e),
            Error::Install(e) => match window(e) {
                Some(apply::Error::Fetch(e)) => Some(e),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether another way to the same /usr may do better.
    pub(super) fn is_of_one_way(&self) -> bool {
        match self {
            Error::Plan(_) => true,
            Error::Install(e) => {
                window(e).is_some_and(|e| !matches!(e, apply::Error::Write { .. }))
            }
            _ => false,
        }
    }
}

/// Whether boot control said no, rather than failed.
fn is_rule(error: &boot::Error) -> bool {
    use boot::Error::{NothingGood, RolledBack, Unproven, Unstartable};
    matches!(
        error,
        Unproven(_) | RolledBack(_) | NothingGood(_) | Unstartable(_)
    )
}

/// Why a window did not come.
fn window(error: &install::Error) -> Option<&apply::Error> {
    match error {
        install::Error::Window { source, .. } => source.downcast_ref(),
        _ => None,
    }
}
