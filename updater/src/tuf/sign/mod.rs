//! The publisher's half: keys that sign, and a repository's documents.
//!
//! A [`Keyring`] is a folder of keys, files or commands that reach an HSM or a KMS. A
//! [`Repository`] is a `metadata/` folder that any web server can serve. Which key
//! signs which role is said by the repository's root alone, so keys can be kept in
//! different places: a keyring that lacks a role's keys cannot sign that role.

mod key;
mod keyring;
mod lock;
mod repository;

use std::path::PathBuf;

use ed25519_dalek::{Signature, VerifyingKey};

pub use key::{CommandKey, FileKey, ask};
pub use keyring::{Keyring, Named};
pub use lock::Lock;
pub use repository::{Policy, Repository};

use super::json::{self, Value};
use super::key::Key;
use super::roles::{Body, Role, Signed};
use super::trusted::Refused;

/// Why something was not signed or published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing a file failed.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A key's file is wrong.
    #[error("{path}: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The keyring has too few keys of a role.
    #[error("the keyring has {have} keys of role {role}, and {need} must sign")]
    Keys {
        /// The role.
        role: Role,
        /// Keys at hand.
        have: usize,
        /// Keys needed.
        need: u64,
    },
    /// A signing command failed.
    #[error("the signing command of key {name}: {reason}")]
    Command {
        /// The key.
        name: String,
        /// The reason.
        reason: String,
    },
    /// The repository's own documents do not hold.
    #[error("{path}")]
    Repository {
        /// The document.
        path: PathBuf,
        /// The reason.
        source: Refused,
    },
    /// Another process has the repository open.
    #[error("another publisher is at work on the repository {0}")]
    Busy(PathBuf),
    /// Something is there already that must not be overwritten.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Request(String),
}

impl Error {
    /// What can be done.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Keys { .. } => {
                Some("bring the offline keys of this role into the keyring, then try again")
            }
            Error::Repository { .. } => Some(
                "the repository was damaged or tampered with: restore metadata/ from a good copy",
            ),
            Error::Busy(_) => Some("wait for it to end: it works on nothing else"),
            Error::Exists(_) => Some("choose another folder; keys and roots are never overwritten"),
            _ => None,
        }
    }
}

/// Signs bytes with one key.
pub trait Signer {
    /// The public key.
    fn public(&self) -> &VerifyingKey;

    /// An ed25519 signature over `message`.
    fn sign(&self, message: &[u8]) -> Result<Signature, Error>;
}

/// Signs a document. The result is the file to publish.
pub fn sign<T: Body>(document: &Signed<T>, signers: &[&dyn Signer]) -> Result<Vec<u8>, Error> {
    let odd = |e: &dyn std::error::Error| Error::Request(format!("{}: {e}", T::ROLE));
    let plain = serde_json::to_vec(document).map_err(|e| odd(&e))?;
    let signed = json::decode(&plain).map_err(|e| odd(&e))?;
    let message = json::canonical(&signed);
    let signatures = signers
        .iter()
        .map(|signer| {
            let signature = signer.sign(&message)?;
            // A command may answer anything.
            signer
                .public()
                .verify_strict(&message, &signature)
                .map_err(|_| Error::Command {
                    name: Key::ed25519(signer.public()).id(),
                    reason: "its signature is not one of its public key".into(),
                })?;
            Ok(Value::Object(
                [
                    ("keyid", Key::ed25519(signer.public()).id()),
                    ("sig", super::hex(&signature.to_bytes())),
                ]
                .map(|(key, text)| (key.to_owned(), Value::Text(text)))
                .into(),
            ))
        })
        .collect::<Result<_, Error>>()?;
    let envelope = Value::Object(
        [
            ("signatures".to_owned(), Value::List(signatures)),
            ("signed".to_owned(), signed),
        ]
        .into(),
    );
    let mut bytes = serde_json::to_vec_pretty(&envelope).map_err(|e| odd(&e))?;
    bytes.push(b'\n');
    Ok(bytes)
}
