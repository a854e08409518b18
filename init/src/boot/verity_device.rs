//! Sets up the dm-verity device of `/usr` by ioctl, with no program and no library.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, symlink};

use nix::errno::Errno;

use super::disk::Disk;
use super::failure::{Failure, OrFail};
use crate::cmdline::RootHash;
use crate::sys::{DM_HEADER, dm_ioctl};
use crate::verity::{SUPERBLOCK_SIZE, Superblock};

/// Where the device is to be found.
pub const PATH: &str = "/dev/mapper/usr";

const CONTROL: &str = "/dev/mapper/control";
const BROKEN_SLOT: &str = "boot the other slot, then update again or write the image again";
const BROKEN_INITRD: &str = "build the image again; its initrd or kernel is not complete";

// Commands and flags of linux/dm-ioctl.h.
const DM_VERSION: u8 = 0;
const DM_DEV_CREATE: u8 = 3;
const DM_DEV_REMOVE: u8 = 4;
const DM_DEV_SUSPEND: u8 = 6;
const DM_TABLE_LOAD: u8 = 9;
const DM_TABLE_STATUS: u8 = 12;
const DM_READONLY_FLAG: u32 = 1;

/// One request: a `struct dm_ioctl`, then data.
struct Request(Vec<u8>);

impl Request {
    /// A request for the device `name`; `room` bytes follow the header.
    fn new(name: &str, room: usize) -> Self {
        let mut bytes = vec![0; DM_HEADER + room];
        bytes[0..4].copy_from_slice(&4u32.to_ne_bytes());
        bytes[16..20].copy_from_slice(&(DM_HEADER as u32).to_ne_bytes());
        bytes[48..48 + name.len()].copy_from_slice(name.as_bytes());
        Self(bytes)
    }

    fn uuid(mut self, uuid: &str) -> Self {
        self.0[176..176 + uuid.len()].copy_from_slice(uuid.as_bytes());
        self
    }

    fn flags(mut self, flags: u32) -> Self {
        self.0[28..32].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    /// One target that covers `sectors` sectors.
    fn target(name: &str, kind: &str, sectors: u64, parameters: &str) -> Self {
        // struct dm_target_spec (40 bytes), the parameters, a zero byte, padding to 8.
        let mut request = Self::new(name, (40 + parameters.len() + 1).next_multiple_of(8))
            .flags(DM_READONLY_FLAG);
        request.0[20..24].copy_from_slice(&1u32.to_ne_bytes());
        let spec = &mut request.0[DM_HEADER..];
        spec[8..16].copy_from_slice(&sectors.to_ne_bytes());
        spec[24..24 + kind.len()].copy_from_slice(kind.as_bytes());
        spec[40..40 + parameters.len()].copy_from_slice(parameters.as_bytes());
        request
    }

    fn send(&mut self, control: &File, command: u8) -> nix::Result<()> {
        dm_ioctl(control, command, &mut self.0)
    }

    /// Device number of the answer: major and minor in the kernel's "huge" encoding.
    fn device(&self) -> (u64, u64) {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[40..48]);
        let device = u64::from_ne_bytes(bytes);
        (
            (device >> 8) & 0xfff,
            (device & 0xff) | ((device >> 12) & 0xf_ff00),
        )
    }

    /// Text after the first target of an answer to a status request.
    fn status(&self) -> String {
        // The kernel puts the data where we said: right behind the header.
        let text = self.0.get(DM_HEADER + 40..).unwrap_or_default();
        let end = text
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(text.len());
        String::from_utf8_lossy(&text[..end]).into_owned()
    }
}

/// Makes [`PATH`] out of the two partitions. Before the kernel gets them, their first block is checked against the root
/// hash here: then it is this program that says what is wrong and keeps the reason. The kernel restarts the machine on
/// damage without a word.
pub fn open(
    disk: &Disk,
    usr: u32,
    verity: u32,
    hash: RootHash,
    options: &[&'static str],
) -> Result<(), Failure> {
    let what = format!("verity on {} partitions {usr} and {verity}", disk.name);
    let superblock = examine(disk, usr, verity, hash).or_fail(&what, BROKEN_SLOT)?;

    let control = OpenOptions::new()
        .read(true)
        .write(true)
        .open(CONTROL)
        .or_fail(CONTROL, BROKEN_INITRD)?;
    Request::new("", 0)
        .send(&control, DM_VERSION)
        .or_fail("device-mapper", BROKEN_INITRD)?;
    // The form veritysetup uses: systemd and udev then know what the device is.
    let uuid = format!(
        "CRYPT-VERITY-{}-usr",
        superblock.uuid.to_string().replace('-', "")
    );
    let mut create = Request::new("usr", 0).uuid(&uuid);
    create
        .send(&control, DM_DEV_CREATE)
        .or_fail(&what, BROKEN_INITRD)?;
    let (_, minor) = create.device();
    let (data, tree) = (disk.partition_device(usr)?, disk.partition_device(verity)?);
    let table = |options: &[&str]| superblock.table(&data, &tree, &hash.to_string(), options);
    let ready = load(&control, superblock.data_sectors(), &table, options)
        .and_then(|()| check(&control, minor));
    if let Err(error) = ready {
        // What is left of it would only confuse whoever looks at the machine.
        let _ = Request::new("usr", 0).send(&control, DM_DEV_REMOVE);
        return Err(error).or_fail(&what, BROKEN_SLOT);
    }
    let _ = fs::remove_file(PATH);
    symlink(format!("../dm-{minor}"), PATH).or_fail(PATH, BROKEN_INITRD)
}

/// Reads the superblock and follows the tree to the first block of the data.
fn examine(disk: &Disk, usr: u32, verity: u32, hash: RootHash) -> Result<Superblock, String> {
    let device = |number| {
        disk.partition_path(number)
            .ok_or(Errno::ENOENT)
            .map_err(io::Error::from)
            .and_then(File::open)
            .map_err(|error| error.to_string())
    };
    let (data, tree) = (device(usr)?, device(verity)?);
    let mut bytes = [0; SUPERBLOCK_SIZE];
    tree.read_exact_at(&mut bytes, 0)
        .map_err(|error| error.to_string())?;
    let superblock = Superblock::decode(&bytes).map_err(|error| error.to_string())?;
    match superblock.matches(&hash.0, &data, &tree) {
        Ok(Some(false)) => Err("the data does not match usrhash=".into()),
        Ok(_) => Ok(superblock),
        Err(error) => Err(error.to_string()),
    }
}

/// Loads the table and puts it to use: restart on damage, and on read errors where the kernel knows that.
fn load(
    control: &File,
    sectors: u64,
    table: &impl Fn(&[&str]) -> String,
    options: &[&'static str],
) -> Result<(), String> {
    let send = |options: &[&str]| {
        Request::target("usr", "verity", sectors, &table(options)).send(control, DM_TABLE_LOAD)?;
        Request::new("usr", 0)
            .flags(DM_READONLY_FLAG)
            .send(control, DM_DEV_SUSPEND)
    };
    let mut options = options.to_vec();
    if !options
        .iter()
        .any(|option| option.ends_with("_on_corruption"))
    {
        options.push("restart_on_corruption");
    }
    let with_errors: Vec<&str> = options
        .iter()
        .copied()
        .chain(["restart_on_error"])
        .collect();
    // Kernels before 6.12 do not know the last option and refuse the table.
    match send(&with_errors) {
        Err(Errno::EINVAL) => send(&options),
        other => other,
    }
    .map_err(|error| format!("options {}: {error}", options.join(" ")))
}

/// Makes the kernel check the first block, and so all levels of the tree above it.
fn check(control: &File, minor: u64) -> Result<(), String> {
    let node = format!("/dev/dm-{minor}");
    let mut first = [0; 4096];
    // Read before the status is asked for: only then has the kernel checked anything.
    let read = File::open(&node).and_then(|file| file.read_exact_at(&mut first, 0));
    let mut status = Request::new("usr", 4096);
    status
        .send(control, DM_TABLE_STATUS)
        .map_err(|error| error.to_string())?;
    let status = status.status();
    if status.trim() != "V" {
        return Err(format!(
            "the data does not match usrhash= (status {:?})",
            status.trim()
        ));
    }
    read.map_err(|error| format!("reading {node}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernels_layout() {
        let request = Request::target("usr", "verity", 8000, "1 2").flags(1);
        assert_eq!(request.0.len(), 312 + 48);
        assert_eq!(request.0[48..52], *b"usr\0");
        assert_eq!(request.0[312 + 8..312 + 16], 8000u64.to_ne_bytes());
        assert_eq!(request.0[312 + 24..312 + 31], *b"verity\0");
        assert_eq!(request.status(), "1 2");
        let mut request = Request::new("usr", 0);
        request.0[40..48].copy_from_slice(&((254u64 << 8) | 3).to_ne_bytes());
        assert_eq!(request.device(), (254, 3));
    }
}
