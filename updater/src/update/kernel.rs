//! Fetches the kernel image, into memory and, for the next time, into a file.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use super::{Error, STEP};
use crate::delta::index::digest;
use crate::fetch::Source;
use crate::release::Artefact;

/// What file names start with; the digest follows.
const PREFIX: &str = "uki-";
/// How often it is fetched again because it was wrong.
const ATTEMPTS: usize = 16;

/// Fetches a kernel image and checks it. `told` hears the bytes that are there. What
/// came before a failure is kept in `folder`.
pub(super) fn fetch(
    artefact: &Artefact,
    folder: &Path,
    source: &mut dyn Source,
    told: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<Vec<u8>, Error> {
    let name = format!("{PREFIX}{}", artefact.sha256);
    let path = folder.join(&name);
    let failed = |e| Error::State(path.clone(), e);
    clear(folder, Some(&name)).map_err(failed)?;
    let file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&path)
        .map_err(failed)?;
    let mut bytes = Vec::new();
    (&file)
        .take(artefact.length)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let mut from_before = !bytes.is_empty();
    for _ in 0..ATTEMPTS {
        let start = bytes.len() as u64;
        if start < artefact.length {
            let mut unflushed = 0;
            source.range(&artefact.path(), start..artefact.length, &mut |piece| {
                (&file).write_all(piece)?;
                bytes.extend_from_slice(piece);
                unflushed += piece.len() as u64;
                if unflushed >= STEP {
                    file.sync_data()?;
                    unflushed = 0;
                }
                told(bytes.len() as u64)
            })?;
        }
        if bytes.len() as u64 == artefact.length && digest(&bytes) == artefact.sha256 {
            return Ok(bytes);
        }
        bytes.clear();
        file.set_len(0).map_err(failed)?;
        // What was kept may have been wrong: nobody is to blame for that.
        if !std::mem::take(&mut from_before) && !source.blame(&artefact.path()) {
            break;
        }
    }
    Err(Error::Wrong(artefact.name.clone()))
}

/// Removes kernel images, all but one.
pub(super) fn clear(folder: &Path, but: Option<&str>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX));
        if ours && name.to_str() != but {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
