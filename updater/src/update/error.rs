//! Why there was no update.

use std::path::PathBuf;

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
            Error::Refused(_) | Error::Wrong(_) => true,
            Error::Tuf(e) => e.is_refusal(),
            Error::Plan(e) => !matches!(e, plan::Error::Fetch(_)),
            Error::Install(e) => match e {
                install::Error::Size { .. }
                | install::Error::Uki { .. }
                | install::Error::BadUki(..)
                | install::Error::RootHash { .. }
                | install::Error::Boot(boot::Error::Unproven(_) | boot::Error::RolledBack(_)) => {
                    true
                }
                _ => matches!(
                    window(e),
                    Some(apply::Error::Wrong { .. } | apply::Error::Stream { .. })
                ),
            },
            _ => false,
        }
    }

    /// Whether bytes did not come.
    pub(super) fn is_network(&self) -> bool {
        match self {
            Error::Fetch(_) | Error::Plan(plan::Error::Fetch(_)) => true,
            Error::Install(e) => matches!(window(e), Some(apply::Error::Fetch(_))),
            _ => false,
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

/// Why a window did not come.
fn window(error: &install::Error) -> Option<&apply::Error> {
    match error {
        install::Error::Window { source, .. } => source.downcast_ref(),
        _ => None,
    }
}
