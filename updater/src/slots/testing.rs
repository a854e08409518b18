//! A disk in memory that records what is done to it, and can be made to fail.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use init::cmdline::RootHash;
use init::gpt::{Attributes, Guid, Partition, Table, types};

use super::{Disk, Storage};
use crate::version::Version;

/// What was done to a disk or an ESP, in order.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Write { at: u64, bytes: Vec<u8> },
    Sync,
    Create { path: String, bytes: Vec<u8> },
    Overwrite { path: String, bytes: Vec<u8> },
    Rename { from: String, to: String },
    Remove { path: String },
}

pub(crate) type Log = Arc<Mutex<Vec<Op>>>;

/// What is wrong with a medium.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Writing this byte fails.
    pub write_error: Option<u64>,
    /// This byte keeps its old value, and nobody says so.
    pub stuck: Option<u64>,
    /// Reading this byte fails.
    pub read_error: Option<u64>,
    /// Writes and reads take at most so many bytes, and are interrupted now and then.
    pub short: Option<usize>,
}

pub(crate) struct Ram {
    bytes: Mutex<Vec<u8>>,
    pub faults: Mutex<Faults>,
    calls: Mutex<usize>,
    log: Log,
}

impl Ram {
    pub fn new(bytes: Vec<u8>, log: Log) -> Arc<Self> {
        Arc::new(Ram {
            bytes: Mutex::new(bytes),
            faults: Mutex::default(),
            calls: Mutex::default(),
            log,
        })
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    /// How much of a request is served.
    fn serve(&self, len: usize) -> io::Result<usize> {
        let Some(most) = self.faults.lock().unwrap().short else {
            return Ok(len);
        };
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        if calls.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(len.min(1 + (*calls * 7919) % most))
    }
}

fn hit(fault: Option<u64>, at: u64, len: usize) -> bool {
    fault.is_some_and(|byte| (at..at + len as u64).contains(&byte))
}

impl FileExt for Ram {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let len = self.serve(buffer.len())?;
        if hit(self.faults.lock().unwrap().read_error, at, len) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let bytes = self.bytes.lock().unwrap();
        let start = bytes.len().min(at as usize);
        let len = len.min(bytes.len() - start);
        buffer[..len].copy_from_slice(&bytes[start..start + len]);
        Ok(len)
    }

    fn write_at(&self, from: &[u8], at: u64) -> io::Result<usize> {
        let len = self.serve(from.len())?;
        let faults = *self.faults.lock().unwrap();
        if hit(faults.write_error, at, len) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let mut bytes = self.bytes.lock().unwrap();
        let old = faults.stuck.map(|byte| bytes[byte as usize]);
        bytes[at as usize..at as usize + len].copy_from_slice(&from[..len]);
        if let (Some(byte), Some(old)) = (faults.stuck, old) {
            bytes[byte as usize] = old;
        }
        self.log.lock().unwrap().push(Op::Write {
            at,
            bytes: from[..len].to_vec(),
        });
        Ok(len)
    }
}

impl Storage for Ram {
    fn sync(&self) -> io::Result<()> {
        self.log.lock().unwrap().push(Op::Sync);
        Ok(())
    }

    fn forget(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of a usr partition of the test disks, and of its hash partition.
pub(crate) const USR: u64 = 256 << 10;
pub(crate) const VERITY: u64 = 64 << 10;

/// A disk as the image builder makes it, small: release `version` in slot A.
pub(crate) fn image(sector: u32, version: &Version, hash: RootHash) -> Vec<u8> {
    image_for(sector, version, hash, USR)
}

/// The same with slots of `usr` bytes.
pub(crate) fn image_for(sector: u32, version: &Version, hash: RootHash, usr: u64) -> Vec<u8> {
    let size = u64::from(sector);
    let (usr_len, verity_len) = (usr, VERITY.max(usr / 64));
    let bytes = (2u64 << 20) + 2 * (usr_len + verity_len - USR - VERITY);
    let random = |n: u8| Guid::from_random([n; 16]);
    let mut table = Table::new(sector, bytes / size, random(99)).unwrap();
    let (usr, verity) = hash.partition_guids();
    let release = version.partition_name();
    let rows = [
        ("bios", types::BIOS_BOOT, random(1), 16 << 10),
        ("esp", types::ESP, random(2), 64 << 10),
        ("OEM", types::LINUX_GENERIC, random(3), 64 << 10),
        (&release, types::USR, usr, usr_len),
        (&release, types::USR_VERITY, verity, verity_len),
        ("_empty", types::USR, random(6), usr_len),
        ("_empty", types::USR_VERITY, random(7), verity_len),
        ("root", types::ROOT, random(8), 256 << 10),
    ];
    let mut at = 64 << 10;
    for (name, type_guid, guid, len) in rows {
        let partition = Partition {
            number: 0,
            type_guid,
            guid,
            first_lba: at / size,
            last_lba: (at + len) / size - 1,
            attributes: Attributes::READ_ONLY,
            name: name.to_owned(),
        };
        table.add(partition).unwrap();
        at += len;
    }
    let encoded = table.encode().unwrap();
    let mut image = vec![0; bytes as usize];
    let mut put = |bytes: &[u8], at: u64| {
        image[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
    };
    put(&encoded.protective_mbr, 0);
    put(&encoded.primary, encoded.primary_offset);
    put(&encoded.backup, encoded.backup_offset);
    image
}

pub(crate) fn open(ram: &Arc<Ram>, sector: u32, booted: RootHash) -> Result<Disk, super::Error> {
    let len = ram.bytes().len() as u64;
    Disk::open("test", ram.clone(), sector, len, booted)
}
