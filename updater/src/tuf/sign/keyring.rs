//! A folder of keys: `NAME.pem`, `NAME.command`, and `retired/` for those that were
//! rotated out.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::key::{CommandKey, FileKey};
use super::{Error, Signer};
use crate::tuf::key::Key;
use crate::tuf::{Role, Root};

/// Where keys go that sign no more.
const RETIRED: &str = "retired";

/// A key of a keyring.
pub struct Named {
    /// The file's name without its ending.
    pub name: String,
    /// Its identifier in documents.
    pub id: String,
    /// The public key as documents have it.
    pub key: Key,
    path: PathBuf,
    signer: Box<dyn Signer>,
}

/// The keys of a folder.
pub struct Keyring {
    folder: PathBuf,
    keys: Vec<Named>,
}

impl Keyring {
    /// Reads every key of a folder, which is made if it does not exist.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io {
            path: folder.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(io)?;
        let mut keyring = Keyring {
            folder: folder.to_owned(),
            keys: Vec::new(),
        };
        for entry in fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
                continue;
            };
            let signer: Box<dyn Signer> = match path.extension().and_then(|e| e.to_str()) {
                Some("pem") => Box::new(FileKey::read(&path)?),
                Some("command") => Box::new(CommandKey::read(name, &path)?),
                _ => continue,
            };
            let name = name.to_owned();
            keyring.add(name, path, signer);
        }
        keyring.keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(keyring)
    }

    /// Makes a key for `role` in a file of its own: `targets-1.pem`, `targets-2.pem`.
    pub fn generate(&mut self, role: Role) -> Result<String, Error> {
        let retired = self.folder.join(RETIRED);
        let taken = |name: &str| {
            ["pem", "command"].iter().any(|ending| {
                let file = format!("{name}.{ending}");
                self.folder.join(&file).exists() || retired.join(&file).exists()
            })
        };
        let name = (1_u32..)
            .map(|number| format!("{role}-{number}"))
            .find(|name| !taken(name))
            .unwrap_or_default();
        let path = self.folder.join(format!("{name}.pem"));
        let signer = FileKey::generate(&path)?;
        self.add(name.clone(), path, Box::new(signer));
        Ok(name)
    }

    /// Adds a key that a command holds.
    pub fn add_command(
        &mut self,
        name: &str,
        public: &str,
        command: Vec<String>,
    ) -> Result<(), Error> {
        let plain = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !plain {
            return Err(Error::Request(format!(
                "{name:?} is no name of a key: 0-9 A-Z a-z - _"
            )));
        }
        let path = self.folder.join(format!("{name}.command"));
        if self.get(name).is_some() || path.exists() {
            return Err(Error::Exists(path));
        }
        let key = CommandKey::new(name, public, command).map_err(Error::Request)?;
        fs::write(&path, key.encode()).map_err(|source| Error::Io {
            path: path.clone(),
            source,
        })?;
        self.add(name.to_owned(), path, Box::new(key));
        Ok(())
    }

    /// A key by its name.
    pub fn get(&self, name: &str) -> Option<&Named> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// A key by its identifier.
    pub fn by_id(&self, id: &str) -> Option<&Named> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The keys at hand that `root` names for `role`; an error if they are too few.
    pub fn signers(&self, root: &Root, role: Role) -> Result<Vec<&dyn Signer>, Error> {
        let entry = root.roles.get(role.name());
        let signers: Vec<&dyn Signer> = entry
            .into_iter()
            .flat_map(|entry| &entry.keyids)
            .filter_map(|id| Some(&*self.by_id(id)?.signer))
            .collect();
        let need = entry.map_or(1, |entry| entry.threshold);
        if (signers.len() as u64) < need {
            return Err(Error::Keys {
                role,
                have: signers.len(),
                need,
            });
        }
        Ok(signers)
    }

    /// Puts a key aside, if it is here.
    pub fn retire(&mut self, id: &str) -> Result<(), Error> {
        let Some(at) = self.keys.iter().position(|key| key.id == id) else {
            return Ok(());
        };
        let key = self.keys.remove(at);
        let folder = self.folder.join(RETIRED);
        let moved = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .and_then(|()| {
                fs::rename(
                    &key.path,
                    folder.join(key.path.file_name().unwrap_or_default()),
                )
            });
        moved.map_err(|source| Error::Io {
            path: key.path,
            source,
        })
    }

    fn add(&mut self, name: String, path: PathBuf, signer: Box<dyn Signer>) {
        let key = Key::ed25519(signer.public());
        self.keys.push(Named {
            name,
            id: key.id(),
            key,
            path,
            signer,
        });
    }
}
