//! Releases for updaters: from a build's folder to a repository that any web server
//! can serve.
//!
//! | part | does |
//! |---|---|
//! | [`build`] | reads a build back: /usr, kernel image, version |
//! | [`artefacts`] | makes streams, patches and leaves |
//! | [`history`] | reads the releases that a repository has |
//! | [`signed`] | keeps releases signed for Secure Boot once they are |
//! | [`retire`] | takes old releases away |
//! | [`release`] | publishes: artefacts, documents, and last the signed metadata |

pub mod artefacts;
pub mod build;
pub mod history;
pub mod release;
pub mod retire;
pub mod signed;

use updater::tuf::sign;

use crate::error::Error;

/// The error of this crate for one of signing.
pub fn failed(error: sign::Error) -> Error {
    use sign::Error as E;
    let hint = error.hint();
    let what = error.to_string();
    let told = match error {
        E::Io { source, .. } => Error::environment(what).because(source),
        E::Command { .. } | E::Busy(_) => Error::environment(what),
        E::Repository { source, .. } => Error::refused(what).because(source),
        E::Key { .. } | E::Keys { .. } | E::Exists(_) | E::Request(_) => Error::input(what),
    };
    match hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}
