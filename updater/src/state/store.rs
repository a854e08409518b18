//! [`Memory`] on disk: `refused.json` and `hold.json` in the state folder.
//!
//! Both are JSON objects with `format`, the version that wrote it, and `readable_from`,
//! the oldest version that may read it. A reader takes every file whose `readable_from`
//! it knows, whatever its `format`, and keeps keys it does not know when it writes: so
//! the older updater of the other slot neither stumbles over a newer one's files nor
//! loses what is in them. Files are replaced by rename, never written over.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::Memory;
use super::memory::{Attempt, Refused};

/// Written by this version.
const FORMAT: u32 = 1;
const REFUSED: &str = "refused.json";
const HOLD: &str = "hold.json";
const MAX_FILE: u64 = 1 << 20;

/// The state folder.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Unknown keys of the files, kept.
    rest: [Map<String, Value>; 2],
}

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Input or output.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] std::io::Error),
    /// Not what this program writes.
    #[error("{0} is damaged: {1}")]
    Damaged(PathBuf, #[source] serde_json::Error),
    /// Written by a version whose files this one may not read.
    #[error("{0} can be read from version {1} on; this is version {FORMAT}")]
    TooNew(PathBuf, u32),
}

impl StoreError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            StoreError::Io(..) => "look at the file system of /var",
            StoreError::Damaged(..) => "move the file away; refused releases are forgotten",
            StoreError::TooNew(..) => "boot the newer release again, or move the file away",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct File<T> {
    format: u32,
    readable_from: u32,
    #[serde(flatten)]
    content: T,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Default, Serialize, Deserialize)]
struct RefusedFile {
    refused: Vec<Refused>,
}

#[derive(Default, Serialize, Deserialize)]
struct HoldFile {
    #[serde(default)]
    hold: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<Ends>,
    #[serde(default)]
    attempts: Vec<Attempt>,
}

/// The end of a hold. An updater that does not know it keeps it beside a hold of its own,
/// whose end it is not: so it says which it belongs to.
#[derive(Serialize, Deserialize)]
struct Ends {
    at: i64,
    hold: String,
}

impl Store {
    /// Reads what is in `folder`; files that are not there are empty.
    pub fn open(folder: &Path) -> Result<(Self, Memory), StoreError> {
        let (refused, rest_refused) = read::<RefusedFile>(&folder.join(REFUSED))?;
        let (hold, rest_hold) = read::<HoldFile>(&folder.join(HOLD))?;
        let store = Store {
            folder: folder.to_owned(),
            rest: [rest_refused, rest_hold],
        };
        let ends = hold.ends.filter(|e| Some(&e.hold) == hold.hold.as_ref());
        let memory = Memory {
            hold: hold.hold,
            hold_until: ends.map(|ends| ends.at),
            attempts: hold.attempts,
            refused: refused.refused,
        };
        Ok((store, memory))
    }

    /// Writes. On return the disk has it.
    pub fn save(&self, memory: &Memory) -> Result<(), StoreError> {
        let [rest_refused, rest_hold] = &self.rest;
        let refused = RefusedFile {
            refused: memory.refused.clone(),
        };
        let hold = HoldFile {
            hold: memory.hold.clone(),
            ends: ends(memory),
            attempts: memory.attempts.clone(),
        };
        write(&self.folder.join(REFUSED), refused, rest_refused)?;
        write(&self.folder.join(HOLD), hold, rest_hold)
    }
}

fn ends(memory: &Memory) -> Option<Ends> {
    Some(Ends {
        at: memory.hold_until?,
        hold: memory.hold.clone()?,
    })
}

/// Reads a file of the state; one that is not there is empty. With it come the keys that
/// are not known, which [`write`] keeps.
pub(crate) fn read<T: DeserializeOwned + Default>(
    path: &Path,
) -> Result<(T, Map<String, Value>), StoreError> {
    let io = |e| StoreError::Io(path.to_owned(), e);
    let file = match open_nofollow(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok((T::default(), Map::new())),
        Err(e) => return Err(io(e)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(io)?;
    let damaged = |e| StoreError::Damaged(path.to_owned(), e);
    // First who may read it: the rest may have another shape.
    #[derive(Deserialize)]
    struct Head {
        readable_from: u32,
    }
    let head: Head = serde_json::from_slice(&bytes).map_err(damaged)?;
    if head.readable_from > FORMAT {
        return Err(StoreError::TooNew(path.to_owned(), head.readable_from));
    }
    let file: File<T> = serde_json::from_slice(&bytes).map_err(damaged)?;
    Ok((file.content, file.rest))
}

/// Nobody but root writes into the folder; a link in it is not ours.
fn open_nofollow(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(path)
}

/// Writes a file of the state. On return the disk has it.
pub(crate) fn write<T: Serialize>(
    path: &Path,
    content: T,
    rest: &Map<String, Value>,
) -> Result<(), StoreError> {
    let file = File {
        format: FORMAT,
        readable_from: 1,
        content,
        rest: rest.clone(),
    };
    let bytes = serde_json::to_vec(&file).map_err(|e| StoreError::Damaged(path.to_owned(), e))?;
    replace(path, &bytes).map_err(|e| StoreError::Io(path.to_owned(), e))
}

/// Replaces a file, so that after a power cut it is old or new; mode 0600.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    replace_with_mode(path, bytes, 0o600)
}

/// The same, with another mode.
pub(crate) fn replace_with_mode(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    let mode = std::fs::Permissions::from_mode(mode);
    file.as_file().set_permissions(mode)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    std::fs::File::open(folder)?.sync_all()
}
