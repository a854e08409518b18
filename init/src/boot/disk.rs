//! Disks as `/sys` shows them, with the partition table we read ourselves.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;

use super::failure::{Failure, OrFail};
use super::log;
use crate::gpt::{self, Copy, Partition, Table};
use crate::sys::{PartitionChange, change_partition};

const CHECK_DISK: &str = "check the disk; then write the image again if the error stays";

/// A disk with a GPT.
#[derive(Debug)]
pub struct Disk {
    /// Name of the node, for example `vda`.
    pub name: String,
    /// Sectors it has now, in its own sector size.
    pub sectors: u64,
    /// Its table.
    pub table: Table,
    /// The copy the table came from.
    pub copy: Copy,
}

/// Block devices that are no disks of their own, or never hold the system.
fn is_candidate(name: &str) -> bool {
    ![
        "loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Names of all disks the kernel has now, sorted.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_candidate(name))
        .collect();
    names.sort();
    names
}

impl Disk {
    /// Reads the table of a disk. None if it has no medium or no GPT of any kind.
    pub fn open(name: &str) -> Option<Self> {
        let bytes = number(&format!("/sys/block/{name}/size"))?
            .checked_mul(512)
            .filter(|bytes| *bytes > 0)?;
        let sector = u32::try_from(number(&format!(
            "/sys/block/{name}/queue/logical_block_size"
        ))?)
        .ok()?;
        let sectors = bytes / u64::from(sector);
        // Opening also makes the kernel finish its own look at the partitions.
        let mut file = match File::open(format!("/dev/{name}")) {
            Ok(file) => file,
            Err(error) => {
                log::warning(&format!("disk {name}: {error}"));
                return None;
            }
        };
        match gpt::load(&mut file, sector, sectors) {
            Ok(loaded) => {
                if let Some(damage) = loaded.damage {
                    log::warning(&format!(
                        "disk {name}: using the backup partition table: {damage}"
                    ));
                }
                Some(Self {
                    name: name.into(),
                    sectors,
                    table: loaded.table,
                    copy: loaded.copy,
                })
            }
            Err(error) => {
                log::info(&format!("disk {name}: {error}"));
                None
            }
        }
    }

    /// Path of the whole disk.
    pub fn path(&self) -> String {
        format!("/dev/{}", self.name)
    }

    /// Name of a partition's node by the kernel's rule: `vda4`, `nvme0n1p4`.
    fn node(&self, number: u32) -> String {
        let separator = if self.name.ends_with(|c: char| c.is_ascii_digit()) {
            "p"
        } else {
            ""
        };
        format!("{}{separator}{number}", self.name)
    }

    /// Path of a partition's node, if the kernel has the partition.
    pub fn partition_path(&self, number: u32) -> Option<String> {
        let node = self.node(number);
        Path::new(&format!("/sys/class/block/{node}/partition"))
            .exists()
            .then(|| format!("/dev/{node}"))
    }

    /// `major:minor` of a partition.
    pub fn partition_device(&self, number: u32) -> Result<String, Failure> {
        let path = format!("/sys/class/block/{}/dev", self.node(number));
        Ok(fs::read_to_string(&path)
            .or_fail(path, CHECK_DISK)?
            .trim()
            .into())
    }

    fn in_bytes(&self, partition: &Partition) -> (u64, u64) {
        let sector = u64::from(self.table.sector_size);
        (partition.first_lba * sector, partition.sectors() * sector)
    }

    /// Length of a partition in bytes.
    pub fn partition_bytes(&self, number: u32) -> u64 {
        self.table
            .partition(number)
            .map_or(0, |partition| self.in_bytes(partition).1)
    }

    /// Makes the kernel know all partitions of the table. It reads the backup table only when told to (`gpt`), so with a
    /// damaged primary it knows none.
    pub fn announce_partitions(&self) -> Result<(), Failure> {
        let file = File::open(self.path()).or_fail(self.path(), CHECK_DISK)?;
        for partition in &self.table.partitions {
            let (start, length) = self.in_bytes(partition);
            if self.partition_path(partition.number).is_none() {
                match change_partition(&file, PartitionChange::Add, partition.number, start, length)
                {
                    // Busy: the kernel found it itself in the meantime.
                    Ok(()) | Err(Errno::EBUSY) => {}
                    Err(error) => {
                        let what =
                            format!("adding partition {} of {}", partition.number, self.name);
                        return Err(error).or_fail(what, CHECK_DISK);
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells the kernel the new length of a partition.
    pub fn announce_size(&self, number: u32) -> Result<(), Failure> {
        let Some(partition) = self.table.partition(number) else {
            return Ok(());
        };
        let (start, length) = self.in_bytes(partition);
        File::open(self.path())
            .and_then(|file| {
                Ok(change_partition(
                    &file,
                    PartitionChange::Resize,
                    number,
                    start,
                    length,
                )?)
            })
            .or_fail(
                format_args!("resizing partition {number} of {}", self.name),
                CHECK_DISK,
            )
    }

    /// Writes both copies of the table. The backup first, each flushed: at any moment one copy is whole.
    pub fn write_table(&mut self) -> Result<(), Failure> {
        let write = || -> io::Result<()> {
            let encoded = self.table.encode().map_err(io::Error::other)?;
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(self.path())?;
            file.write_all_at(&encoded.backup, encoded.backup_offset)?;
            file.sync_all()?;
            let mut mbr = [0; 512];
            file.read_exact_at(&mut mbr, 0)?;
            let before = mbr;
            gpt::set_protective_size(&mut mbr, self.table.disk_sectors);
            if mbr != before {
                file.write_all_at(&mbr, 0)?;
            }
            file.write_all_at(&encoded.primary, encoded.primary_offset)?;
            file.sync_all()
        };
        write().or_fail(
            format_args!("writing the partition table of {}", self.name),
            CHECK_DISK,
        )?;
        self.copy = Copy::Primary;
        Ok(())
    }

    /// Whether the bytes where failures are recorded belong to no partition.
    pub fn has_record_area(&self) -> bool {
        let sector = u64::from(self.table.sector_size);
        let ends = super::record::OFFSET + super::record::SIZE as u64;
        let entries_end = (2 * sector) + u64::from(self.table.entry_count) * 128;
        entries_end <= super::record::OFFSET
            && self
                .table
                .partitions
                .iter()
                .all(|p| p.first_lba * sector >= ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_follow_the_kernel() {
        let table = Table::new(512, 1 << 20, gpt::Guid::ZERO).unwrap();
        let disk = |name: &str| Disk {
            name: name.into(),
            sectors: 1 << 20,
            table: table.clone(),
            copy: Copy::Primary,
        };
        assert_eq!(disk("vda").node(4), "vda4");
        assert_eq!(disk("nvme0n1").node(4), "nvme0n1p4");
        assert!(disk("sda").has_record_area());
        assert!(
            is_candidate("mmcblk0")
                && is_candidate("xvda")
                && !is_candidate("sr0")
                && !is_candidate("dm-0")
        );
    }
}
