//! The part of a recipe that says who signs what firmware starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::load::read_text;
use super::raw::RawSecureBoot;
use crate::boot::secure_boot::certificate::Certificate;
use crate::boot::secure_boot::enrolment::{self, Variable};
use crate::boot::secure_boot::signer::Signer;
use crate::error::{Context, Error, Result};

/// Longest file for one variable of a firmware.
const MAX_UPDATE: u64 = 64 << 10;

/// Keys that sign what firmware starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecureBoot {
    /// File of the private key, or of the program that has it. Not part of what identifies
    /// an image: the certificate tells which key it is.
    #[serde(skip)]
    pub key: PathBuf,
    /// The key's certificate, in PEM.
    pub certificate: String,
    /// How the firmware learns of the keys, if the image brings them.
    pub enroll: Option<Enroll>,
}

/// Keys for firmware in setup mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Enroll {
    /// When they are taken.
    pub when: When,
    /// What sets the firmware's variables, by their names.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// When systemd-boot gives the keys to a firmware in setup mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// When asked for in its menu.
    Manual,
    /// By itself in virtual machines, else when asked for: hardware may have parts
    /// that need the keys of others.
    #[default]
    IfSafe,
    /// By itself on every machine.
    Force,
}

impl When {
    /// The value of `secure-boot-enroll` in `loader.conf`.
    pub fn word(self) -> &'static str {
        match self {
            When::Manual => "manual",
            When::IfSafe => "if-safe",
            When::Force => "force",
        }
    }
}

impl SecureBoot {
    /// Opens the key.
    pub fn signer(&self) -> Result<Signer> {
        Signer::open(&self.key, certificate(&self.certificate)?)
    }
}

/// Reads the files a recipe in `folder` names, except for the private key.
pub(super) fn read(raw: &mut RawSecureBoot, folder: &Path) -> Result<()> {
    raw.key = folder.join(&raw.key);
    raw.certificate = read_text(&folder.join(&raw.certificate))?;
    if let Some(enroll) = &mut raw.enroll {
        for variable in Variable::ALL {
            let path = folder
                .join(&enroll.keys)
                .join(format!("{}.auth", variable.name()));
            let what = || format!("reading {}", path.display());
            if std::fs::metadata(&path).input(what)?.len() > MAX_UPDATE {
                return Err(Error::input(format!(
                    "{} is larger than 64 KiB",
                    path.display()
                )));
            }
            let bytes = std::fs::read(&path).input(what)?;
            enroll.files.insert(variable.name().to_owned(), bytes);
        }
    }
    Ok(())
}

pub(super) fn check(raw: RawSecureBoot) -> Result<SecureBoot> {
    let signs = certificate(&raw.certificate)?;
    let enroll = raw.enroll.map(|enroll| Enroll {
        when: enroll.when,
        files: enroll.files,
    });
    for (name, file) in enroll.iter().flat_map(|enroll| &enroll.files) {
        let Some(variable) = Variable::ALL.into_iter().find(|v| v.name() == name) else {
            continue;
        };
        let found = enrolment::read(variable, file).map_err(|e| {
            Error::input(format!("`secure_boot.enroll`: {name}.auth"))
                .because(e)
                .hint("`image-build keys secure-boot` makes these files")
        })?;
        // A machine that took such keys would never start its own image.
        if variable == Variable::Db && !found.iter().any(|der| der == signs.der()) {
            return Err(Error::input(format!(
                "`secure_boot.enroll`: db.auth lacks the certificate that signs ({})",
                signs.subject()
            ))
            .hint("name the certificate that was made with db.auth: db.pem"));
        }
    }
    Ok(SecureBoot {
        key: raw.key,
        certificate: raw.certificate,
        enroll,
    })
}

fn certificate(pem: &str) -> Result<Certificate> {
    Certificate::from_pem(pem).map_err(|e| {
        Error::input("`secure_boot.certificate` is no certificate of an RSA key in PEM")
            .because(e)
            .hint("`image-build keys secure-boot` makes one: db.pem")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Recipe;
    use super::*;
    use crate::boot::secure_boot::keyset::{self, Db};

    #[test]
    fn keys_lie_beside_the_recipe() {
        let dir = tempfile::tempdir().unwrap();
        for (folder, name) in [("a", "A"), ("b", "B")] {
            let now = Duration::from_secs(1_795_377_600);
            keyset::make(&dir.path().join(folder), name, now, Db::New).unwrap();
        }
        let load = |keys: &str| {
            let path = dir.path().join("recipe.yaml");
            let text = format!("extends: minimal\nname: x\nsecure_boot: {keys}\n");
            std::fs::write(&path, text).unwrap();
            Recipe::load(path.to_str().unwrap())
        };
        let recipe = load("{key: a/db.key, certificate: a/db.pem, enroll: {keys: a}}").unwrap();
        let keys = recipe.secure_boot.as_ref().unwrap();
        let enroll = keys.enroll.as_ref().unwrap();
        assert_eq!((enroll.when, enroll.files.len()), (When::IfSafe, 3));
        keys.signer().unwrap();
        // What identifies the image tells neither the key nor where it is.
        let text = serde_json::to_string(&recipe).unwrap();
        assert!(!text.contains("PRIVATE") && !text.contains("db.key"));

        // Locks are made where the key is not.
        let keys = load("{key: missing, certificate: a/db.pem}").unwrap();
        assert!(keys.secure_boot.unwrap().signer().is_err());
        for (bad, want) in [
            (
                "{key: a/db.key}",
                "recipe.yaml:3:15: missing field `certificate`",
            ),
            (
                "{key: a/db.key, cert: a/db.pem}",
                "recipe.yaml:3:30: unknown key `cert`",
            ),
            (
                "{key: a/db.key, certificate: a/db.key}",
                "it is a PRIVATE KEY",
            ),
            ("{key: a/db.key, certificate: none.pem}", "none.pem"),
            (
                "{key: a/db.key, certificate: a/db.pem, enroll: {keys: none}}",
                "db.auth",
            ),
            (
                "{key: a/db.key, certificate: a/db.pem, enroll: {keys: b}}",
                "lacks the certificate",
            ),
            (
                "{key: a/db.key, certificate: a/db.pem, enroll: {keys: a, when: always}}",
                "`always` is not allowed here",
            ),
        ] {
            let e = load(bad).unwrap_err();
            assert!(e.chain().contains(want), "{bad}: {}", e.chain());
        }
        let keys = load("{key: b/db.key, certificate: a/db.pem}").unwrap();
        assert!(keys.secure_boot.unwrap().signer().is_err());
    }
}
