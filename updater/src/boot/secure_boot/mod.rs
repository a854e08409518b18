//! Whether firmware with Secure Boot would start a kernel image.
//!
//! A release that the firmware refuses never runs, so it counts no tries and no
//! checks: the loader comes back to its menu, and the machine stands there. So such a
//! release is refused before anything is changed. Releases are trusted for their own
//! signatures, [`crate::tuf`]; here nothing is verified, only asked: who signed, and
//! does the firmware know them.
//!
//! It knows the certificates of its `db`, those that they vouch for, and, by way of a
//! `shim` that may have keys of its own, whoever signed the image that runs. An image
//! that is known by its hash alone is not recognized.

mod der;
mod signature;
#[cfg(test)]
mod tests;

use std::path::Path;

use self::signature::{Certificate, signatures};
use super::firmware::variable;
use crate::uki::BadUki;

/// Vendor of `SecureBoot`: `EFI_GLOBAL_VARIABLE`.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Vendor of `db`: `EFI_IMAGE_SECURITY_DATABASE_GUID`.
const DATABASE: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";
/// `EFI_CERT_X509_GUID`, as a list says it.
const X509: [u8; 16] = [
    0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72,
];
/// Of a list: its type, and three lengths.
const LIST: usize = 28;
/// Before each certificate: who put it there.
const OWNER: usize = 16;

/// Firmware that starts only programs whose signer it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecureBoot {
    known: Vec<Certificate>,
}

/// Why the firmware would not start a kernel image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unstartable {
    /// Nobody signed it.
    #[error(
        "the new kernel image is not signed, and this machine's firmware starts nothing else (Secure Boot)"
    )]
    Unsigned,
    /// Somebody did.
    #[error(
        "the new kernel image is signed by {0:?}, whom this machine's firmware does not know (Secure Boot)"
    )]
    Unknown(String),
    /// It is none.
    #[error(transparent)]
    Bad(#[from] BadUki),
}

impl Unstartable {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Unstartable::Unsigned => {
                "build the release with the `secure_boot` keys of this machine's image, and publish it again"
            }
            Unstartable::Unknown(_) => {
                "sign the release with the key that the running one has, or enrol the new certificate in the firmware's `db` first"
            }
            Unstartable::Bad(_) => "publish the release again",
        }
    }
}

impl SecureBoot {
    /// Asks the firmware's variables below `root`. None: it starts anything.
    pub fn of_machine(root: &Path) -> Option<Self> {
        let enforces = variable(root, "SecureBoot", GLOBAL)? == [1];
        let known = || variable(root, "db", DATABASE).map_or(Vec::new(), |db| certificates(&db));
        enforces.then(|| SecureBoot { known: known() })
    }

    /// Refuses a program that would not start. `running` is the one that did.
    pub fn check(&self, program: &[u8], running: &[u8]) -> Result<(), Unstartable> {
        let found = signatures(program)?;
        let Some(first) = found.first() else {
            return Err(Unstartable::Unsigned);
        };
        let started = signatures(running).unwrap_or_default();
        let mut known = self.known.clone();
        known.extend(started.into_iter().map(|signature| signature.signer));
        match found.iter().any(|signature| signature.leads_to(&known)) {
            true => Ok(()),
            false => Err(Unstartable::Unknown(first.signer.name())),
        }
    }
}

/// The certificates of `EFI_SIGNATURE_LIST`s that follow each other.
fn certificates(mut lists: &[u8]) -> Vec<Certificate> {
    let mut found = Vec::new();
    while let Some((head, _)) = lists.split_first_chunk::<LIST>() {
        let number = |at: usize| {
            let bytes = head.get(at..at + 4).unwrap_or_default();
            bytes.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b))
        };
        let (list, header, one) = (number(16), number(20), number(24));
        let Some(entries) = lists.get(LIST..list).and_then(|all| all.get(header..)) else {
            break;
        };
        if head.starts_with(&X509) && one > OWNER {
            let ders = entries.chunks_exact(one).filter_map(|e| e.get(OWNER..));
            found.extend(ders.filter_map(Certificate::parse));
        }
        lists = lists.get(list..).unwrap_or_default();
    }
    found
}
