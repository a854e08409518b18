//! The running machine: which disk /usr is on, and the kernel's partitions of it.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::O_EXCL;

use super::Error;

/// Sectors of `/sys` have 512 bytes, whatever the disk's have.
const SYSFS_SECTOR: u64 = 512;

/// Why the disk of /usr cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum NotMounted {
    /// /usr is no mount of its own.
    #[error("/usr is not a file system of its own")]
    NoMount,
    /// Its device has nothing below it, so it is no verity device.
    #[error("/usr is not on a verified device")]
    NotVerity,
    /// Its data and its hashes are on different disks.
    #[error("/usr is on more than one disk: {0} and {1}")]
    TwoDisks(String, String),
    /// A file of `/sys` or `/proc` is missing or strange.
    #[error("reading {}", .0.display())]
    File(PathBuf, #[source] std::io::Error),
}

/// The disk of the running system as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    root: PathBuf,
    /// Kernel's name of the disk: `vda`.
    pub disk: String,
    /// Bytes of a sector.
    pub sector_size: u32,
    /// Bytes of the disk.
    pub bytes: u64,
    /// Numbers of the partitions below /usr.
    pub in_use: Vec<u32>,
}

impl Machine {
    /// Follows /usr to its disk. `root` is `/`, or a folder that stands for it.
    pub fn find(root: &Path) -> Result<Self, NotMounted> {
        let mounts = read(&root.join("proc/self/mountinfo"))?;
        let device = device_of(&mounts, "/usr").ok_or(NotMounted::NoMount)?;
        let slaves = root.join(format!("sys/dev/block/{device}/slaves"));
        let mut disk: Option<String> = None;
        let mut in_use = Vec::new();
        for entry in fs::read_dir(&slaves).map_err(|_| NotMounted::NotVerity)? {
            let entry = entry.map_err(|e| NotMounted::File(slaves.clone(), e))?;
            let partition = root.join("sys/class/block").join(entry.file_name());
            in_use.push(number(&partition.join("partition"))?);
            let own =
                fs::canonicalize(&partition).map_err(|e| NotMounted::File(partition.clone(), e))?;
            let of = own.parent().and_then(Path::file_name);
            let of = of.map(|name| name.to_string_lossy().into_owned());
            match (of, &disk) {
                (Some(of), Some(other)) if of != *other => {
                    return Err(NotMounted::TwoDisks(other.clone(), of));
                }
                (of, _) => disk = of,
            }
        }
        let disk = disk.ok_or(NotMounted::NotVerity)?;
        in_use.sort_unstable();
        let sys = root.join("sys/class/block").join(&disk);
        let sectors: u64 = number(&sys.join("size"))?;
        Ok(Machine {
            root: root.to_owned(),
            sector_size: number(&sys.join("queue/logical_block_size"))?,
            bytes: sectors.saturating_mul(SYSFS_SECTOR),
            disk,
            in_use,
        })
    }

    /// The disk's node.
    pub fn node(&self) -> PathBuf {
        self.root.join("dev").join(&self.disk)
    }

    /// A partition's folder in `/sys`.
    fn partition(&self, wanted: u32) -> Result<PathBuf, NotMounted> {
        let sys = self.root.join("sys/class/block").join(&self.disk);
        let wrong = |e| NotMounted::File(sys.clone(), e);
        for entry in fs::read_dir(&sys).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            let file = path.join("partition");
            if file.exists() && number::<u32>(&file)? == wanted {
                return Ok(path);
            }
        }
        Err(wrong(std::io::Error::new(
            std::io::ErrorKind::NotFound,
            format!("the kernel has no partition {wanted}"),
        )))
    }

    /// Path of a partition's node.
    pub fn partition_node(&self, number: u32) -> Result<PathBuf, NotMounted> {
        let path = self.partition(number)?;
        let name = path.file_name().unwrap_or_default();
        Ok(self.root.join("dev").join(name))
    }

    /// `major:minor` of a partition.
    pub fn partition_device(&self, number: u32) -> Result<String, NotMounted> {
        Ok(read(&self.partition(number)?.join("dev"))?
            .trim()
            .to_owned())
    }

    /// Whether a partition is what is mounted at `place`.
    pub fn is_mounted(&self, number: u32, place: &str) -> Result<bool, NotMounted> {
        let mounts = read(&self.root.join("proc/self/mountinfo"))?;
        Ok(device_of(&mounts, place) == Some(&*self.partition_device(number)?))
    }

    /// Opens a partition that must be where the table has it, and that nobody uses.
    pub(super) fn open_partition(&self, wanted: u32, start: u64, len: u64) -> Result<File, Error> {
        let sys = self.partition(wanted)?;
        let at = (
            number::<u64>(&sys.join("start"))?.saturating_mul(SYSFS_SECTOR),
            number::<u64>(&sys.join("size"))?.saturating_mul(SYSFS_SECTOR),
        );
        if at != (start, len) {
            return Err(Error::Moved {
                disk: self.disk.clone(),
                number: wanted,
            });
        }
        let node = self.partition_node(wanted)?;
        File::options()
            .read(true)
            .write(true)
            // For a block device: fails while it is mounted or below another device.
            .custom_flags(O_EXCL)
            .open(&node)
            .map_err(|source| Error::Io {
                what: format!("opening {}", node.display()),
                source,
            })
    }
}

fn read(path: &Path) -> Result<String, NotMounted> {
    fs::read_to_string(path).map_err(|e| NotMounted::File(path.to_owned(), e))
}

fn number<T: std::str::FromStr>(path: &Path) -> Result<T, NotMounted> {
    let text = read(path)?;
    text.trim().parse().map_err(|_| {
        let e = std::io::Error::new(std::io::ErrorKind::InvalidData, "not a number");
        NotMounted::File(path.to_owned(), e)
    })
}

/// `major:minor` of what is mounted at `place`: the last mount there is on top.
fn device_of<'a>(mountinfo: &'a str, place: &str) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let mut words = line.split(' ').skip(2);
        let (device, _root, at) = (words.next()?, words.next()?, words.next()?);
        (at == place).then_some(device)
    };
    mountinfo.lines().filter_map(mount).next_back()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What a guest with a virtio disk shows.
    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let at = root.path();
        put(
            at,
            "proc/self/mountinfo",
            "21 1 254:8 / / rw - ext4 /dev/root rw\n\
             30 21 253:0 / /usr ro,relatime shared:2 - erofs /dev/mapper/usr ro\n",
        );
        for (number, start, size) in [(4, 1024, 64), (5, 2048, 8), (6, 4096, 64), (7, 8192, 8)] {
            let sys = format!("sys/devices/virtio0/block/vda/vda{number}");
            put(at, &format!("{sys}/partition"), &format!("{number}\n"));
            put(at, &format!("{sys}/start"), &format!("{start}\n"));
            put(at, &format!("{sys}/size"), &format!("{size}\n"));
            put(at, &format!("{sys}/dev"), &format!("254:{number}\n"));
            put(at, &format!("dev/vda{number}"), "");
        }
        put(at, "sys/devices/virtio0/block/vda/size", "16777216\n");
        put(
            at,
            "sys/devices/virtio0/block/vda/queue/logical_block_size",
            "512\n",
        );
        fs::create_dir_all(at.join("sys/class/block")).unwrap();
        for name in ["vda", "vda/vda4", "vda/vda5"] {
            let link = at
                .join("sys/class/block")
                .join(name.rsplit('/').next().unwrap());
            symlink(at.join("sys/devices/virtio0/block").join(name), link).unwrap();
        }
        for name in ["vda4", "vda5"] {
            put(at, &format!("sys/dev/block/253:0/slaves/{name}"), "");
        }
        root
    }

    #[test]
    fn follows_usr_to_its_disk() {
        let root = machine();
        let machine = Machine::find(root.path()).unwrap();
        assert_eq!(machine.disk, "vda");
        assert_eq!((machine.sector_size, machine.bytes), (512, 8 << 30));
        assert_eq!(machine.in_use, [4, 5]);
        assert_eq!(
            machine.partition_node(6).unwrap(),
            root.path().join("dev/vda6")
        );
        assert_eq!(machine.partition_device(6).unwrap(), "254:6");
        assert!(machine.partition_node(9).is_err());
        assert!(!machine.is_mounted(6, "/").unwrap());
        put(root.path(), "sys/class/block/vda/vda6/dev", "254:8\n");
        assert!(machine.is_mounted(6, "/").unwrap());
        assert!(machine.open_partition(6, 4096 * 512, 64 * 512).is_ok());
        assert!(matches!(
            machine.open_partition(6, 4096 * 512, 65 * 512),
            Err(Error::Moved { number: 6, .. })
        ));
    }

    #[test]
    fn says_when_usr_is_not_ours() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(
            Machine::find(root.path()),
            Err(NotMounted::File(..))
        ));
        put(
            root.path(),
            "proc/self/mountinfo",
            "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
        );
        assert!(matches!(
            Machine::find(root.path()),
            Err(NotMounted::NoMount)
        ));
        put(
            root.path(),
            "proc/self/mountinfo",
            "21 1 8:1 / /usr rw - ext4 /dev/sda1 rw\n",
        );
        assert!(matches!(
            Machine::find(root.path()),
            Err(NotMounted::NotVerity)
        ));
    }
}
