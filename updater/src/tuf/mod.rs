//! Release metadata: [The Update Framework](https://theupdateframework.io), version
//! 1.0 of its specification, with ed25519 keys.
//!
//! | part | does |
//! |---|---|
//! | [`json`] | strict JSON and the canonical bytes that are signed |
//! | [`key`], [`envelope`], [`roles`] | keys, signatures, the four documents |
//! | [`trusted`] | decides what to trust: bytes in, decision out, no I/O |
//! | [`store`] | keeps what is trusted on disk |
//! | [`client`] | the client workflow: fetch, decide, keep |
//! | [`sign`] | the publisher's half |
//!
//! A client that wants something of a repository:
//!
//! ```no_run
//! use updater::{fetch::Source, release::Channel};
//! use updater::tuf::{Client, Clock, Error, Layout, Time};
//!
//! fn look(source: &mut dyn Source, shipped: &[u8], built: Time) -> Result<Channel, Error> {
//!     let kept = "/var/lib/holdfast/update/tuf".as_ref();
//!     let client = Client::open(kept, Some(shipped), Clock::now(built))?;
//!     let fresh = client.refresh(source, Layout::repository())?;
//!     fresh.json(source, "docker/amd64/stable.json", updater::release::MAX_DOCUMENT)
//! }
//! ```
//!
//! Not read: delegations, and keys of other kinds than ed25519, which are ignored and
//! count for nothing.

pub mod client;
pub mod envelope;
pub mod json;
pub mod key;
pub mod roles;
pub mod sign;
pub mod store;
mod time;
pub mod trusted;

#[cfg(test)]
mod tests;

pub use client::{Client, Error, Fresh, Layout, Seen};
pub use key::{Key, Signers};
pub use roles::{Meta, Role, Root, Signed, Snapshot, Target, Targets, Timestamp};
pub use time::{BadTime, Time};
pub use trusted::{Clock, Refused, TrustedSet};

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// The bytes of exactly `N` lower-case hexadecimal pairs.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |d: u8| match d {
        b'0'..=b'9' => Some(d - b'0'),
        b'a'..=b'f' => Some(d - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
