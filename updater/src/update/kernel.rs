//! Fetches the kernel image, into memory and, for the next time, into a file.

use std::io;
use std::path::Path;

use super::Error;
use super::part::Part;
use crate::delta::index::digest;
use crate::fetch::Source;
use crate::release::Artefact;

/// How often it is fetched again because it was wrong.
const ATTEMPTS: usize = 16;

/// Fetches a kernel image and checks it. `told` hears the bytes that are there. What
/// came before a failure is kept in the file `path`.
pub(super) fn fetch(
    artefact: &Artefact,
    path: &Path,
    source: &mut dyn Source,
    told: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<Vec<u8>, Error> {
    let failed = |e| Error::State(path.to_owned(), e);
    let mut part = Part::new(path, artefact.sha256);
    let mut bytes = part.resume(0..artefact.length);
    // Whatever is in its place is told before anything is fetched.
    part.append(0, &[]).map_err(failed)?;
    let mut from_before = !bytes.is_empty();
    for _ in 0..ATTEMPTS {
        let start = bytes.len() as u64;
        if start < artefact.length {
            let came = source.range(&artefact.path(), start..artefact.length, &mut |piece| {
                part.append(0, piece)?;
                bytes.extend_from_slice(piece);
                told(bytes.len() as u64)
            });
            part.flush().map_err(failed)?;
            came?;
        }
        if bytes.len() as u64 == artefact.length && digest(&bytes) == artefact.sha256 {
            return Ok(bytes);
        }
        bytes.clear();
        part.clear().map_err(failed)?;
        // What was kept may have been wrong: nobody is to blame for that.
        if !std::mem::take(&mut from_before) && !source.blame(&artefact.path()) {
            break;
        }
    }
    Err(Error::Wrong(artefact.name.clone()))
}
