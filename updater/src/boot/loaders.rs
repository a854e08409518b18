//! The loaders' own files on the ESP, and how they come back.
//!
//! Nothing else on the machine has these files in use, so a FAT that lost one starts
//! nothing any more, and nobody notices before the next boot. The running /usr brings a
//! copy of each, in [`SHIPPED`] under its path on the ESP.
//!
//! What is there and can be read stays, whether it is the same or not: it may be a
//! newer loader, or somebody's own `loader.conf`.

use std::path::Path;

use super::{Error, Esp};
use crate::uki;

/// Folder of the copies, below `/`.
pub const SHIPPED: &str = "usr/lib/holdfast/esp";

/// A file of the loaders.
struct File {
    /// On the ESP.
    path: &'static str,
    /// Others with the same bytes.
    twin: Option<&'static str>,
    /// What it has to be.
    is_whole: fn(&[u8]) -> bool,
}

const fn program(path: &'static str, twin: &'static str) -> File {
    File {
        path,
        twin: Some(twin),
        is_whole: |bytes| uki::sections(bytes).is_ok_and(|sections| !sections.is_empty()),
    }
}

const fn text(path: &'static str) -> File {
    File {
        path,
        twin: None,
        is_whole: |bytes| bytes.iter().any(|byte| *byte != 0),
    }
}

/// Those of an architecture that a machine does not have are nowhere, and left out.
const FILES: [File; 7] = [
    program("EFI/systemd/systemd-bootx64.efi", "EFI/BOOT/BOOTX64.EFI"),
    program("EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi"),
    program("EFI/systemd/systemd-bootaa64.efi", "EFI/BOOT/BOOTAA64.EFI"),
    program("EFI/BOOT/BOOTAA64.EFI", "EFI/systemd/systemd-bootaa64.efi"),
    text("loader/loader.conf"),
    text("loader/entries.srel"),
    text("grub/grub.cfg"),
];

/// What an image ships of these files of its ESP: each once.
pub fn is_shipped(path: &str) -> bool {
    let known = FILES.iter().find(|file| file.path == path);
    known.is_some_and(|file| !file.path.starts_with("EFI/BOOT/"))
}

/// Brings back what is missing or damaged, from the copies below `root` or from a twin
/// on the ESP. Returns the paths of what came back. Can be cut and done again.
pub fn bring_back(esp: &dyn Esp, root: &Path) -> Result<Vec<&'static str>, Error> {
    let mut back = Vec::new();
    for file in &FILES {
        let whole = |bytes: &Vec<u8>| (file.is_whole)(bytes);
        if esp.read(file.path).is_ok_and(|bytes| whole(&bytes)) {
            continue;
        }
        let shipped = |path: &str| std::fs::read(root.join(SHIPPED).join(path)).ok();
        let copy = shipped(file.path)
            .or_else(|| shipped(file.twin?))
            .or_else(|| esp.read(file.twin?).ok())
            .filter(whole);
        let Some(copy) = copy else {
            continue;
        };
        put(esp, file.path, &copy)?;
        back.push(file.path);
    }
    Ok(back)
}

/// Writes a file so that it is old, gone or new. What a cut leaves is written over when
/// this is done again, which is as long as the file is missing.
fn put(esp: &dyn Esp, path: &str, bytes: &[u8]) -> Result<(), Error> {
    let temporary = format!("{path}.tmp");
    let io = |source| Error::Io {
        what: format!("bringing {path} back to the ESP"),
        source,
    };
    esp.create(&temporary, bytes).map_err(io)?;
    if esp.read(&temporary).map_err(io)? != bytes {
        esp.remove(&temporary).map_err(io)?;
        return Err(Error::ReadBack(temporary));
    }
    esp.rename(&temporary, path).map_err(io)
}
