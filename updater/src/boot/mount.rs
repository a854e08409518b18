//! Mounts the ESP where nobody else sees it, for as long as it is used.
//!
//! It is not mounted all the time: a FAT that nobody has open cannot be damaged by a
//! crash, and containers with access to the host's tree cannot reach the loader.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::Error;
use super::esp::Folder;
use super::{Repaired, repair};
use crate::slots::Disk;

/// Where the ESP is mounted: a folder for each process, so that none unmounts what
/// another is writing to.
fn place(root: &Path) -> PathBuf {
    root.join(format!("run/holdfast/esp.{}", std::process::id()))
}

/// FAT32 names are UTF-8 on the ESP; what is wrong with one file must not make the
/// whole file system read-only in the middle of an update.
const OPTIONS: &str = "umask=0077,shortname=mixed,utf8=1,errors=continue";

/// The mounted ESP; unmounted when dropped.
#[derive(Debug)]
pub struct Mounted {
    /// Its files.
    pub folder: Folder,
    place: PathBuf,
}

impl Mounted {
    /// Mounts the ESP of the disk that /usr is on: the one this system was started
    /// from. `root` is `/`.
    pub fn open(root: &Path, disk: &Disk) -> Result<Self, Error> {
        let io = |source: io::Error| Error::Mount(source);
        let (Some(esp), Some(machine)) = (disk.esp(), disk.machine()) else {
            return Err(Error::NoEsp(disk.name().to_owned()));
        };
        let node = machine
            .partition_node(esp.number)
            .map_err(|e| io(io::Error::other(e)))?;
        put_in_order(&node);
        let place = place(root);
        fs::create_dir_all(&place).map_err(io)?;
        mount(
            Some(&node),
            &place,
            Some("vfat"),
            // Synchronous directories: names change on the disk in the order in which
            // they are changed, so a rename makes the new name before it drops the old.
            MsFlags::MS_DIRSYNC | MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
            Some(OPTIONS),
        )
        .map_err(|e| io(e.into()))?;
        Ok(Mounted {
            folder: Folder::new(&place),
            place,
        })
    }
}

/// Repairs the file system, unless it is mounted somewhere. What cannot be repaired
/// is used as it is: a loader does so, too.
fn put_in_order(node: &Path) {
    let exclusive = File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_EXCL.bits())
        .open(node);
    match exclusive.and_then(|file| repair(&file)) {
        Ok(Repaired {
            names: 0,
            clusters: 0,
        }) => {}
        Ok(Repaired { names, clusters }) => tracing::info!(
            "repaired the EFI system partition: {names} names that were left over, {clusters} lost clusters"
        ),
        // Mounted: whoever did it may have repaired it.
        Err(e) if e.raw_os_error() == Some(nix::libc::EBUSY) => {}
        Err(e) => tracing::warn!("the EFI system partition was not checked: {e}"),
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Every change was flushed when it was made; if this fails the next one does it.
        let _ = umount2(&self.place, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.place);
    }
}
