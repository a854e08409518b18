//! A private key and its certificate.
//!
//! A key file is PKCS#8 in PEM (`openssl genpkey -algorithm RSA -pkeyopt
//! rsa_keygen_bits:2048`), readable by its owner alone. A file that ends in `.command`
//! names a program instead, for keys in an HSM or a KMS:
//!
//! ```json
//! { "command": ["sign-with-hsm", "--slot", "3"] }
//! ```
//!
//! It is started without a shell, gets the bytes to sign on standard input and writes
//! the signature (PKCS#1 v1.5 with SHA-256, as long as the key) to standard output.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rsa::pkcs8::DecodePrivateKey;
use rsa::rand_core::OsRng;
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use updater::tuf::sign::ask;

use super::certificate::Certificate;
use super::scheme;
use crate::error::{Context, Error, Result};

/// Key lengths, in bits, that firmware takes.
const BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// Ending of files that name a program.
const COMMAND: &str = "command";

/// Signs with a key and has its certificate.
pub struct Signer {
    certificate: Certificate,
    key: Key,
    path: PathBuf,
}

enum Key {
    File(Box<RsaPrivateKey>),
    Command(Vec<String>),
}

/// A file that names a program.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandFile {
    pub(super) command: Vec<String>,
}

impl Signer {
    /// Reads a key, or the file that names the program that has it. It must be the
    /// certificate's.
    pub fn open(path: &Path, certificate: Certificate) -> Result<Self> {
        if !BITS.contains(&certificate.bits()) {
            return Err(Error::input(format!(
                "the key of certificate {} has {} bits",
                certificate.subject(),
                certificate.bits()
            ))
            .hint("all firmware takes RSA keys of 2048 bits; most takes up to 4096"));
        }
        let key = if path.extension().is_some_and(|ending| ending == COMMAND) {
            Key::Command(command(path)?)
        } else {
            let key = private_key(path)?;
            if RsaPublicKey::from(&key) != *certificate.public() {
                return Err(Error::input(format!(
                    "the key {} is not the one of certificate {}",
                    path.display(),
                    certificate.subject()
                ))
                .hint("name the key and the certificate that were made together"));
            }
            Key::File(Box::new(key))
        };
        Ok(Signer {
            certificate,
            key,
            path: path.to_owned(),
        })
    }

    /// A key that was just made, for the file `path`.
    pub(super) fn new(certificate: Certificate, key: RsaPrivateKey, path: &Path) -> Self {
        Signer {
            certificate,
            key: Key::File(Box::new(key)),
            path: path.to_owned(),
        }
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// A signature over `message`: PKCS#1 v1.5 with SHA-256.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let what = || format!("signing with {}", self.path.display());
        let signature = match &self.key {
            Key::File(key) => key
                .sign_with_rng(&mut OsRng, scheme(), &Sha256::digest(message))
                .environment(what)?,
            Key::Command(command) => {
                let limit = self.certificate.bits() as u64 / 8;
                ask(command, message, limit).map_err(|e| Error::environment(what()).because(e))?
            }
        };
        // A program may answer anything.
        if !self.certificate.verify(message, &signature) {
            return Err(Error::environment(what())
                .because("its signature is not one of the certificate's key")
                .hint("the program must write the bare signature, PKCS#1 v1.5 with SHA-256, over what it reads"));
        }
        Ok(signature)
    }
}

/// Says nothing of the key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}, {:?})", self.path.display(), self.certificate)
    }
}

fn private_key(path: &Path) -> Result<RsaPrivateKey> {
    let what = || format!("reading the key {}", path.display());
    let mode = std::fs::metadata(path).input(what)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::input(format!(
            "others may read the private key {}",
            path.display()
        ))
        .hint(format!("chmod 600 {}", path.display())));
    }
    let text = std::fs::read_to_string(path).input(what)?;
    RsaPrivateKey::from_pkcs8_pem(&text).map_err(|_| {
        Error::input(format!("{} is no RSA key in PKCS#8 PEM", path.display())).hint(
            "image-build keys secure-boot makes one; `openssl pkcs8 -topk8 -nocrypt` converts other forms",
        )
    })
}

fn command(path: &Path) -> Result<Vec<String>> {
    let what = || format!("reading {}", path.display());
    let text = std::fs::read(path).input(what)?;
    let file: CommandFile = serde_json::from_slice(&text).input(what)?;
    if file.command.is_empty() {
        return Err(Error::input(format!("{} names no program", path.display())));
    }
    Ok(file.command)
}
