//! A second copy of the running release's kernel image, for an ESP that loses the
//! first: /usr cannot hold it, for the image names /usr's own root hash.
//!
//! `kernel-HASH.efi` in the state's folder, written once the release is good. It comes
//! back only for the root hash that runs; and firmware with Secure Boot asks for its
//! signature like any other's.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use init::cmdline::RootHash;
use nix::fcntl::OFlag;
use nix::sys::statvfs::statvfs;

use super::offer::MAX_KERNEL;
use super::{Error, Identity, trial};
use crate::boot::BootControl;
use crate::state::replace;
use crate::{status, uki};

const PREFIX: &str = "kernel-";
/// A copy takes at most this part of what is free.
const SHARE: u64 = 8;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spared {
    /// Nothing.
    Nothing,
    /// There is a copy from now on.
    Kept,
    /// The image is on the ESP again.
    BroughtBack,
}

/// Keeps a copy of the running release's kernel image, or brings it back where it is
/// missing or cut short. Does nothing while the release is on trial: without its image the
/// other one boots.
pub fn keep_or_bring_back(
    state: &Path,
    machine: &Identity,
    boot: &BootControl<'_>,
) -> Result<Spared, Error> {
    if trial::is_on(state, &machine.version) {
        return Ok(Spared::Nothing);
    }
    let path = state.join(format!("{PREFIX}{}.efi", machine.root_hash));
    let failed = |e| Error::State(path.clone(), e);
    let length = fs::symlink_metadata(&path).ok().map(|copy| copy.len());
    let there = boot.running_uki_length()?;
    if length.is_some() && length == there {
        return Ok(Spared::Nothing);
    }
    let ours = |bytes: &[u8]| is_for(bytes, machine.root_hash);
    if let Some(bytes) = boot.running_uki()?.filter(|bytes| ours(bytes)) {
        clear(state).map_err(failed)?;
        if bytes.len() as u64 > room(state).map_err(failed)? / SHARE {
            return Ok(Spared::Nothing);
        }
        replace(&path, &bytes).map_err(failed)?;
        return Ok(Spared::Kept);
    }
    let copy = match length {
        Some(_) => read(&path).map_err(failed)?,
        None => Vec::new(),
    };
    if !ours(&copy) {
        return Ok(Spared::Nothing);
    }
    boot.bring_back_uki(&copy)?;
    Ok(Spared::BroughtBack)
}

/// Whether these bytes boot the /usr with this hash.
fn is_for(bytes: &[u8], root_hash: RootHash) -> bool {
    let cmdline = uki::text(bytes, ".cmdline").ok().flatten();
    let named = cmdline.and_then(|cmdline| status::usr_hash(&cmdline));
    named.and_then(|hash| RootHash::parse(&hash)) == Some(root_hash)
}

fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    let mut options = fs::File::options();
    let file = options
        .read(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_KERNEL).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes copies of other releases.
fn clear(state: &Path) -> io::Result<()> {
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn room(state: &Path) -> io::Result<u64> {
    let stat = statvfs(state)?;
    Ok(stat.blocks_available() as u64 * stat.fragment_size() as u64)
}
