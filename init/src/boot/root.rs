//! The root partition: found by type on the disk of `/usr`, made on first boot, grown when the disk grew.
//!
//! Making it is safe against a power cut at any point. The partition is born with the name `root.new`, formatted, flushed,
//! and only then named `root` in the table. A partition called `root.new` is ours and holds nothing yet, so it is formatted
//! again; anything else with content is never formatted. A factory reset uses the same names: [`crate::reset`].

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use nix::mount::MsFlags;

use super::disk::Disk;
use super::failure::{Failure, OrFail};
use super::{loader::Loader, log, mounts, reset};
use crate::cmdline::Cmdline;
use crate::fstype::{self, Content};
use crate::gpt::{ALIGNMENT, Attributes, Copy, Guid, Partition, types};
use crate::reset::{NAME, NEW, PRUNE};
use crate::sys::ext4_resize;

/// Less is no use: not even the journal fits.
const SMALLEST: u64 = 64 * 1024 * 1024;
const MKFS: &str = "/usr/sbin/mkfs.ext4";
const CHECK_DISK: &str = "check the disk; then write the image again if the error stays";

/// Which partition is wanted: `root=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The one of the DPS type on the disk of `/usr`; made if there is none.
    Automatic,
    /// The one with this PARTUUID on that disk.
    Guid(Guid),
    /// The one with this name on that disk.
    Name(String),
}

impl Wanted {
    /// Reads `root=`. Without it, or with systemd's `gpt-auto`, the partition type decides.
    pub fn parse(cmdline: &Cmdline) -> Result<Self, Failure> {
        let Some(text) = cmdline.get("root") else {
            return Ok(Self::Automatic);
        };
        let guid = text.strip_prefix("PARTUUID=").map(str::parse);
        match (text, guid, text.strip_prefix("PARTLABEL=")) {
            ("" | "gpt-auto", ..) => Ok(Self::Automatic),
            (_, Some(Ok(guid)), _) => Ok(Self::Guid(guid)),
            (_, _, Some(name)) => Ok(Self::Name(name.into())),
            _ => Err(Failure::new(
                format!("kernel command line: root={text:?} is not supported"),
                "use root=PARTUUID=<uuid> or root=PARTLABEL=<name> of a partition on the system disk, or no root=",
            )),
        }
    }

    fn find(&self, disk: &Disk) -> Result<Option<u32>, Failure> {
        let mut all = disk.table.partitions.iter();
        let number = |partition: &Partition| partition.number;
        let missing = |what: String| {
            Failure::new(
                format!("{} has no partition {what}", disk.name),
                "correct root=",
            )
        };
        match self {
            Self::Automatic => Ok(disk.table.by_type(types::ROOT).next().map(number)),
            Self::Guid(guid) => match all.find(|partition| partition.guid == *guid) {
                Some(partition) => Ok(Some(partition.number)),
                None => Err(missing(guid.to_string())),
            },
            Self::Name(name) => match all.find(|partition| partition.name == *name) {
                Some(partition) => Ok(Some(partition.number)),
                None => Err(missing(format!("named {name:?}"))),
            },
        }
    }
}

/// A root partition that is being mounted beside other work.
#[derive(Debug)]
pub struct Ahead(JoinHandle<Result<(), Failure>>);

impl Ahead {
    /// Waits until it is mounted.
    pub fn wait(self) -> Result<(), Failure> {
        // A panic in a thread reboots the machine (see `failure`).
        self.0
            .join()
            .unwrap_or_else(|_| Err(Failure::new("mounting the root partition", CHECK_DISK)))
    }
}

/// Begins to mount the root partition on `target` before `/usr` is there, where nothing but a mount is wanted: as on
/// every boot but the first, unless the disk grew or something is to be repaired. None: it takes [`mount`].
pub fn mount_ahead(
    disk: &Disk,
    wanted: &Wanted,
    cmdline: &Cmdline,
    loader: &Loader,
    target: &str,
) -> Result<Option<Ahead>, Failure> {
    let usual = disk.copy == Copy::Primary && disk.sectors <= disk.table.disk_sectors;
    let Some(number) = wanted.find(disk)?.filter(|_| usual) else {
        return Ok(None);
    };
    let Some(path) = disk.partition_path(number) else {
        return Ok(None);
    };
    let plain = !is_named(disk, number, NEW) && !is_named(disk, number, PRUNE);
    match content(&path) {
        Ok(Content::Ext4(ext4)) if plain && ext4.grown(disk.partition_bytes(number)).is_none() => {}
        _ => return Ok(None),
    }
    let (loader, target) = (loader.clone(), target.to_owned());
    let options = cmdline.get("rootflags").unwrap_or_default().to_owned();
    Ok(Some(Ahead(thread::spawn(move || {
        attach(&path, number, &target, "ext4", &options, &loader)
    }))))
}

/// Mounts the partition, as soon as the kernel has its file system.
fn attach(
    path: &str,
    number: u32,
    target: &str,
    kind: &str,
    options: &str,
    loader: &Loader,
) -> Result<(), Failure> {
    loader.require(&[kind]);
    // ext4 replays its journal on mount, which is what a power cut needs; a full check belongs to systemd-fsck, which
    // runs from the verified /usr on errors the kernel has marked in the superblock.
    let remedy = format!(
        "check it from a rescue system: e2fsck -f {path}; or delete partition {number} to start afresh"
    );
    mounts::device(path, target, kind, MsFlags::MS_RELATIME, options, &remedy)
}

/// Finds, makes or grows the root partition and mounts it on `target`. `/usr` must be mounted.
pub fn mount(
    disk: &mut Disk,
    wanted: &Wanted,
    cmdline: &Cmdline,
    loader: &Loader,
    target: &str,
) -> Result<(), Failure> {
    let mut changed = false;
    if disk.sectors > disk.table.disk_sectors {
        disk.table
            .move_backup(disk.sectors)
            .or_fail(format_args!("growing {}", disk.name), CHECK_DISK)?;
        changed = true;
    } else if disk.copy == Copy::Backup {
        // Both copies good again, if the disk lets us; this boot does not depend on it.
        match disk.write_table() {
            Ok(()) => log::info(&format!(
                "{}: partition table repaired from its backup",
                disk.name
            )),
            Err(failure) => log::warning(&failure.cause),
        }
    }
    let number = match wanted.find(disk)? {
        Some(number) => {
            let grew = changed
                && disk
                    .table
                    .extend(number)
                    .or_fail("growing the root partition", CHECK_DISK)?;
            if changed {
                disk.write_table()?;
            }
            if grew {
                disk.announce_size(number)?;
                log::info(&format!(
                    "root partition grown to {} MiB",
                    disk.partition_bytes(number) >> 20
                ));
            }
            if is_named(disk, number, NEW) {
                log::critical("what the root partition holds does not count; it is formatted");
            }
            number
        }
        None => {
            let number = add(disk)?;
            disk.write_table()?;
            disk.announce_partitions()?;
            log::info(&format!(
                "first boot: root partition {number} of {}, {} MiB",
                disk.name,
                disk.partition_bytes(number) >> 20
            ));
            number
        }
    };
    let path = disk.partition_path(number).ok_or_else(|| {
        Failure::new(
            format!("the kernel has no partition {number} of {}", disk.name),
            CHECK_DISK,
        )
    })?;
    let content = prepare(disk, number, &path)?;
    let kind = match &content {
        Content::Other(kind) => kind,
        _ => cmdline
            .get("rootfstype")
            .filter(|kind| !kind.is_empty())
            .unwrap_or("ext4"),
    };
    let options = cmdline.get("rootflags").unwrap_or_default();
    attach(&path, number, target, kind, options, loader)?;
    if is_named(disk, number, PRUNE) {
        reset::finish(target)?;
        rename(disk, number, NAME)?;
        reset::forget(target);
    }
    if let Content::Ext4(ext4) = content
        && let Some(blocks) = ext4.grown(disk.partition_bytes(number))
    {
        // Not being able to grow is no reason not to boot.
        match File::open(target).map(|root| ext4_resize(&root, blocks)) {
            Ok(Ok(())) => log::info(&format!(
                "root file system grown to {} MiB",
                (blocks * ext4.block_size) >> 20
            )),
            Ok(Err(error)) => log::warning(&format!("growing the root file system: {error}")),
            Err(error) => log::warning(&format!("growing the root file system: {error}")),
        }
    }
    Ok(())
}

/// Adds a root partition in the largest free space, in memory.
fn add(disk: &mut Disk) -> Result<u32, Failure> {
    let (first_lba, last_lba) = disk
        .table
        .largest_free()
        .filter(|(first, last)| (last - first + 1) * u64::from(disk.table.sector_size) >= SMALLEST)
        .ok_or_else(|| {
            Failure::new(
                format!("{} has no room for the root partition", disk.name),
                format!("make the disk at least {} MiB larger", SMALLEST / ALIGNMENT),
            )
        })?;
    let mut random = [0; 16];
    // The kernel makes readers of this file wait until it has good randomness: clones must not get the same UUID.
    File::open("/dev/random")
        .and_then(|mut file| file.read_exact(&mut random))
        .or_fail("/dev/random", CHECK_DISK)?;
    let partition = Partition {
        number: 0,
        type_guid: types::ROOT,
        guid: Guid::from_random(random),
        first_lba,
        last_lba,
        attributes: Attributes::GROW_FILE_SYSTEM,
        name: NEW.into(),
    };
    disk.table
        .add(partition)
        .or_fail("adding the root partition", CHECK_DISK)
}

fn content(path: &str) -> Result<Content, Failure> {
    let mut start = Vec::with_capacity(fstype::PROBE_SIZE);
    File::open(path)
        .and_then(|file| file.take(fstype::PROBE_SIZE as u64).read_to_end(&mut start))
        .or_fail(path, CHECK_DISK)?;
    Ok(fstype::probe(&start))
}

/// Makes sure that the partition has a file system.
fn prepare(disk: &mut Disk, number: u32, path: &str) -> Result<Content, Failure> {
    let unfinished = is_named(disk, number, NEW);
    let found = content(path)?;
    match (unfinished, &found) {
        (false, Content::Ext4(_)) => return Ok(found),
        (false, Content::Other("xfs" | "btrfs" | "f2fs")) => return Ok(found),
        (false, Content::Blank) => {
            // Somebody made it for us. Ours from here on, so that a cut during mkfs is understood.
            rename(disk, number, NEW)?;
        }
        (false, Content::Other(_) | Content::Unknown) => {
            return Err(Failure::new(
                format!("the root partition {path} holds something that is no file system for /"),
                format!(
                    "save what it holds, then delete partition {number} of {} or clear its start",
                    disk.name
                ),
            ));
        }
        (true, _) => {}
    }
    format(path)?;
    rename(disk, number, NAME)?;
    content(path)
}

fn is_named(disk: &Disk, number: u32, name: &str) -> bool {
    let partition = disk.table.partition(number);
    partition.is_some_and(|partition| partition.name == name)
}

fn rename(disk: &mut Disk, number: u32, name: &str) -> Result<(), Failure> {
    if let Some(partition) = disk
        .table
        .partitions
        .iter_mut()
        .find(|partition| partition.number == number)
    {
        partition.name = name.into();
    }
    disk.write_table()
}

/// Runs the target's own mkfs. The initramfs has /usr mounted in its place, so it only lacks the links to it.
fn format(path: &str) -> Result<(), Failure> {
    let remedy = "check the disk; the image needs the package e2fsprogs";
    for name in ["bin", "sbin", "lib", "lib64"] {
        if Path::new("/usr").join(name).exists() && !Path::new("/").join(name).exists() {
            symlink(format!("usr/{name}"), format!("/{name}"))
                .or_fail(format_args!("linking /{name}"), remedy)?;
        }
    }
    let mut command = Command::new(MKFS);
    command
        .args(["-q", "-F", "-t", "ext4", "-L", NAME])
        .args([
            "-E",
            "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
            path,
        ])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let config = "/usr/share/holdfast/etc/mke2fs.conf";
    if Path::new(config).exists() {
        command.env("MKE2FS_CONFIG", config);
    }
    let output = command.output().or_fail(MKFS, remedy)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(
            format!("{MKFS} {path}: {}: {}", output.status, said.trim()),
            remedy,
        ));
    }
    fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|device| device.sync_all())
        .or_fail(path, CHECK_DISK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_argument() {
        let parse = |text: &str| Wanted::parse(&Cmdline::parse(text));
        assert_eq!(parse("quiet"), Ok(Wanted::Automatic));
        assert_eq!(parse("root=gpt-auto"), Ok(Wanted::Automatic));
        assert_eq!(
            parse("root=PARTLABEL=data"),
            Ok(Wanted::Name("data".into()))
        );
        let guid = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";
        assert_eq!(
            parse(&format!("root=PARTUUID={guid}")),
            Ok(Wanted::Guid(guid.parse().unwrap()))
        );
        assert!(
            parse("root=/dev/sda1")
                .unwrap_err()
                .cause
                .contains("/dev/sda1")
        );
        assert!(parse("root=PARTUUID=12").is_err());
    }
}
