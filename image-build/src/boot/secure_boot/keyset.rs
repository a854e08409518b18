//! Makes the three keys of a firmware, and the files that bring them into it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use init::gpt::Guid;
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use sha2::{Digest, Sha256};

use super::certificate::Certificate;
use super::enrolment::{self, Variable};
use super::signer::{CommandFile, Signer};
use crate::cache::writing;
use crate::error::{Context, Error, Result};

/// What every firmware takes.
const BITS: usize = 2048;
/// Modes of what is secret, and of what is not.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// A file of the set: name, mode, content.
type File = (String, u32, Vec<u8>);

/// Who signs images: a new key, or one that a program has.
#[derive(Debug, Clone)]
pub enum Db {
    /// Make one.
    New,
    /// The certificate, and the program with its arguments ([`super::signer`]).
    Command(Certificate, Vec<String>),
}

/// Makes `PK`, `KEK` and `db` in a folder, which is made if it does not exist: `.key`
/// (private; `db.command` with [`Db::Command`]), `.pem` and `.cer` (the certificate), `.esl`
/// and `.auth` (for firmware). `name` is part of the certificates' names, good from
/// `now`, in seconds since the epoch. Nothing is overwritten.
///
/// Returns the names of the files.
pub fn make(folder: &Path, name: &str, now: Duration, db: Db) -> Result<Vec<String>> {
    let files = files(name, now, db)?;
    if let Some((taken, ..)) = files.iter().find(|(name, ..)| folder.join(name).exists()) {
        return Err(exists(&folder.join(taken)));
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| writing(e, folder))?;
    for (name, mode, bytes) in &files {
        let path = folder.join(name);
        let mut open = OpenOptions::new();
        let file = open.write(true).create_new(true).mode(*mode).open(&path);
        file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .map_err(|e| match e.kind() {
                ErrorKind::AlreadyExists => exists(&path),
                _ => writing(e, &path),
            })?;
    }
    Ok(files.into_iter().map(|(name, ..)| name).collect())
}

fn exists(path: &Path) -> Error {
    Error::input(format!("{} exists already", path.display()))
        .hint("choose another folder; keys are never overwritten")
}

fn files(name: &str, now: Duration, db: Db) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut pair = |variable: Variable| -> Result<Signer> {
        let (key, certificate) = generate(&format!("{name} {}", variable.name()), now)?;
        let pem = key
            .to_pkcs8_pem(LineEnding::LF)
            .environment(|| "writing a key".to_owned())?;
        let file = format!("{}.key", variable.name());
        files.push((file.clone(), SECRET, pem.as_bytes().to_vec()));
        Ok(Signer::new(certificate, key, Path::new(&file)))
    };
    let pk = pair(Variable::Pk)?;
    let kek = pair(Variable::Kek)?;
    let db = match db {
        Db::New => pair(Variable::Db)?.certificate().clone(),
        Db::Command(certificate, command) => {
            let file = serde_json::to_vec_pretty(&CommandFile { command })
                .environment(|| "writing a key".to_owned())?;
            files.push(("db.command".to_owned(), PUBLIC, file));
            certificate
        }
    };
    // Says in the firmware's lists where entries come from.
    let mut owner = [0; 16];
    owner.copy_from_slice(&Sha256::digest(pk.certificate().der())[..16]);
    let owner = Guid::from_random(owner);
    for (variable, certificate, signer) in [
        (Variable::Pk, pk.certificate(), &pk),
        (Variable::Kek, kek.certificate(), &pk),
        (Variable::Db, &db, &kek),
    ] {
        let list = enrolment::list(certificate, owner);
        let auth = enrolment::authenticated(variable, &list, now, signer)?;
        for (ending, bytes) in [
            ("pem", certificate.pem().into_bytes()),
            ("cer", certificate.der().to_vec()),
            ("esl", list),
            ("auth", auth),
        ] {
            files.push((format!("{}.{ending}", variable.name()), PUBLIC, bytes));
        }
    }
    Ok(files)
}

fn generate(name: &str, now: Duration) -> Result<(RsaPrivateKey, Certificate)> {
    let what = || format!("making the key of {name}");
    let key = RsaPrivateKey::new(&mut OsRng, BITS).environment(what)?;
    let certificate = Certificate::for_own_key(&key, name, now).input(what)?;
    Ok((key, certificate))
}
