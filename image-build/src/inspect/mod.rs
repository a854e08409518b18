//! What is in an image: partitions, releases, UKIs, boot state; and whether /usr
//! is what its root hash says.

mod image;
mod qcow2;
mod text;

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

use fatfs::{FileSystem, FsOptions};
use init::gpt::{self, Copy, Guid, Partition, types};
use init::verity::{SUPERBLOCK_SIZE, Superblock};
use serde::Serialize;
use updater::grub::{ENV_SIZE, Env};
use updater::uki;

pub use image::{Disk, open};

use crate::boot::authenticode;
use crate::error::{Context, Error, Result};
use crate::verity;

/// What was found in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// `raw` or `qcow2`.
    pub format: &'static str,
    /// Length of the disk in bytes.
    pub disk_bytes: u64,
    /// GUID of the disk.
    pub disk_guid: String,
    /// Which copy of the partition table is good: `primary`, or `backup` if the primary is not.
    pub table: &'static str,
    /// The partitions, by number.
    pub partitions: Vec<FoundPartition>,
    /// The installed releases.
    pub slots: Vec<FoundSlot>,
    /// UKIs on the ESP.
    pub ukis: Vec<FoundUki>,
    /// Who signed the EFI programs on the ESP, by their paths.
    pub programs: BTreeMap<String, Vec<FoundSignature>>,
    /// Files on the ESP with their sizes in bytes.
    pub esp: BTreeMap<String, u64>,
    /// Free bytes on the ESP.
    pub esp_free: u64,
    /// Files on the OEM partition with their sizes in bytes.
    pub oem: BTreeMap<String, u64>,
    /// Variables of GRUB's environment block.
    pub grubenv: BTreeMap<String, String>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundPartition {
    /// Number, from 1.
    pub number: u32,
    /// GPT name.
    pub name: String,
    /// What the type GUID means, or the GUID.
    pub kind: String,
    /// PARTUUID.
    pub guid: String,
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// A release in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundSlot {
    /// Version, from the partitions' name.
    pub version: String,
    /// Number of the /usr partition.
    pub partition: u32,
    /// Bytes of /usr in use.
    pub used_bytes: u64,
    /// The root hash that the PARTUUIDs stand for.
    pub root_hash: String,
    /// Whether hashing /usr again gave the root hash and the stored tree; only with `verify`.
    pub verified: Option<bool>,
}

/// A UKI on the ESP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundUki {
    /// Path on the ESP.
    pub path: String,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Command line.
    pub cmdline: Option<String>,
    /// Sections with their sizes in bytes.
    pub sections: BTreeMap<String, u64>,
    /// Whether a slot has the /usr it names.
    pub usr_present: bool,
}

/// A signature of an EFI program, for Secure Boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundSignature {
    /// Whose certificate signed.
    pub subject: String,
    /// SHA-256 of that certificate, in hexadecimal.
    pub fingerprint: String,
    /// Whether the program is the one that was signed.
    pub intact: bool,
}

/// UKIs larger than this are not read.
const MAX_UKI: u64 = 256 << 20;

/// Reads an image. With `verify`, all of /usr is hashed again, too; a difference
/// is an error.
pub fn read(path: &Path, verify: bool) -> Result<Found> {
    let disk = open(path)?;
    let disk = disk.as_ref();
    let mut whole = image::Part::new(disk, 0, disk.len());
    let loaded = gpt::load(&mut whole, 512, disk.len() / 512).map_err(|e| {
        let hint = e.hint();
        Error::input(format!("{} has no usable partition table", path.display()))
            .because(e)
            .hint(hint)
    })?;
    let table = &loaded.table;
    let mut found = Found {
        format: disk.format(),
        disk_bytes: disk.len(),
        disk_guid: table.disk_guid.to_string(),
        table: if loaded.copy == Copy::Primary {
            "primary"
        } else {
            "backup"
        },
        partitions: table.partitions.iter().map(partition).collect(),
        slots: Vec::new(),
        ukis: Vec::new(),
        programs: BTreeMap::new(),
        esp: BTreeMap::new(),
        esp_free: 0,
        oem: BTreeMap::new(),
        grubenv: BTreeMap::new(),
    };
    for usr in table
        .by_type(types::X86_64.usr)
        .filter(|p| p.name != "_empty")
    {
        let hash = table
            .by_type(types::X86_64.usr_verity)
            .find(|p| p.name == usr.name);
        found
            .slots
            .extend(hash.map(|hash| slot(disk, usr, hash, verify)).transpose()?);
    }
    if let Some(esp) = table.by_type(types::ESP).next() {
        let (start, len) = range(esp);
        let contents = fat(disk, start, len).input(|| "reading the ESP".to_owned())?;
        found.esp_free = contents.free;
        for (path, (size, bytes)) in contents.files {
            if path.ends_with("/grubenv") && bytes.len() == ENV_SIZE {
                found.grubenv = Env::parse(&bytes).map(|env| env.vars).unwrap_or_default();
            }
            if path.starts_with("EFI/Linux/") && path.ends_with(".efi") {
                let uki = found_uki(&path, &bytes, &found.slots)
                    .input(|| format!("reading {path} on the ESP"))?;
                found.ukis.push(uki);
            }
            if is_program(&path) {
                let signatures =
                    signatures(&bytes).input(|| format!("reading {path} on the ESP"))?;
                found.programs.insert(path.clone(), signatures);
            }
            found.esp.insert(path, size);
        }
    }
    if let Some(oem) = table.partitions.iter().find(|p| p.name == "OEM") {
        let (start, len) = range(oem);
        // The owner of the machine may have put anything there.
        if let Ok(contents) = fat(disk, start, len) {
            found.oem = contents
                .files
                .into_iter()
                .map(|(path, (size, _))| (path, size))
                .collect();
        }
    }
    Ok(found)
}

fn range(partition: &Partition) -> (u64, u64) {
    (partition.first_lba * 512, partition.sectors() * 512)
}

fn partition(partition: &Partition) -> FoundPartition {
    let (start, bytes) = range(partition);
    FoundPartition {
        number: partition.number,
        name: partition.name.clone(),
        kind: kind(partition.type_guid),
        guid: partition.guid.to_string(),
        start,
        bytes,
    }
}

fn kind(guid: Guid) -> String {
    let known = [
        (types::BIOS_BOOT, "BIOS boot"),
        (types::ESP, "ESP"),
        (types::LINUX_GENERIC, "Linux data"),
        (types::X86_64.usr, "usr"),
        (types::X86_64.usr_verity, "usr-verity"),
        (types::X86_64.root, "root"),
    ];
    known
        .iter()
        .find(|(known, _)| *known == guid)
        .map_or_else(|| guid.to_string(), |(_, name)| (*name).to_owned())
}

fn slot(disk: &dyn Disk, usr: &Partition, hash: &Partition, verify: bool) -> Result<FoundSlot> {
    let what = || format!("reading the hash tree in partition {}", hash.number);
    let mut block = [0; SUPERBLOCK_SIZE];
    let ((usr_start, usr_len), (hash_start, hash_len)) = (range(usr), range(hash));
    disk.read_at(&mut block, hash_start).input(what)?;
    let superblock = Superblock::decode(&block).input(what)?;
    let used = superblock
        .data_blocks
        .saturating_mul(superblock.data_block_size.into());
    if used > usr_len {
        return Err(Error::input(format!(
            "the hash tree in partition {} is for more data than partition {} has",
            hash.number, usr.number
        )));
    }
    let root_hash: Vec<u8> = usr
        .guid
        .as_bytes()
        .iter()
        .chain(hash.guid.as_bytes())
        .copied()
        .collect();
    let mut verified = None;
    if verify {
        let tree = verity::build_from(used, &superblock.salt, |buffer, at| {
            disk.read_at(buffer, usr_start + at)
        })?;
        let mut stored = vec![0; tree.bytes.len()];
        let same_tree = stored.len() as u64 <= hash_len && {
            disk.read_at(&mut stored, hash_start).input(what)?;
            // The superblock's UUID is free to choose.
            stored[verity::BLOCK..] == tree.bytes[verity::BLOCK..]
        };
        if tree.root_hash[..] != root_hash || !same_tree {
            return Err(Error::refused(format!(
                "/usr in partition {} has the root hash {}, but its partitions name {}",
                usr.number,
                tree.root_hex(),
                init::verity::hex(&root_hash)
            ))
            .hint("the image is damaged or was changed; get it again from where it was built"));
        }
        verified = Some(true);
    }
    Ok(FoundSlot {
        version: usr
            .name
            .strip_prefix(updater::version::PREFIX)
            .unwrap_or(&usr.name)
            .to_owned(),
        partition: usr.number,
        used_bytes: used,
        root_hash: init::verity::hex(&root_hash),
        verified,
    })
}

fn found_uki(
    path: &str,
    bytes: &[u8],
    slots: &[FoundSlot],
) -> std::result::Result<FoundUki, uki::BadUki> {
    let cmdline = uki::text(bytes, ".cmdline")?;
    let named = cmdline.as_deref().and_then(|line| {
        line.split_whitespace()
            .find_map(|word| word.strip_prefix("usrhash="))
    });
    Ok(FoundUki {
        path: path.to_owned(),
        kernel: uki::text(bytes, ".uname")?,
        usr_present: named.is_some_and(|hash| slots.iter().any(|slot| slot.root_hash == hash)),
        cmdline,
        sections: uki::sections(bytes)?
            .into_iter()
            .map(|section| (section.name, section.len))
            .collect(),
    })
}

fn signatures(
    program: &[u8],
) -> std::result::Result<Vec<FoundSignature>, authenticode::Unreadable> {
    let found = authenticode::read(program)?;
    Ok(found
        .into_iter()
        .map(|signed| FoundSignature {
            subject: signed.certificate.subject(),
            fingerprint: signed.certificate.fingerprint(),
            intact: signed.intact,
        })
        .collect())
}

/// Whether firmware or systemd-boot may start it. FAT does not tell case.
fn is_program(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.starts_with("efi/") && path.ends_with(".efi")
}

/// Files of a FAT file system: size, and content where it is needed.
struct Contents {
    files: BTreeMap<String, (u64, Vec<u8>)>,
    free: u64,
}

fn fat(disk: &dyn Disk, start: u64, len: u64) -> std::io::Result<Contents> {
    let part = image::Part::new(disk, start, len);
    let volume = FileSystem::new(part, FsOptions::new())?;
    let stats = volume.stats()?;
    let free = u64::from(stats.free_clusters()) * u64::from(stats.cluster_size());
    let mut files = BTreeMap::new();
    let mut folders = vec![(String::new(), volume.root_dir())];
    while let Some((folder, dir)) = folders.pop() {
        for entry in dir.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            // A damaged file system may have circles.
            if entry.is_dir() && path.matches('/').count() < 8 {
                folders.push((path, entry.to_dir()));
            } else if entry.is_file() {
                let mut bytes = Vec::new();
                if is_program(&path) || path.ends_with("/grubenv") {
                    BufReader::with_capacity(1 << 16, entry.to_file())
                        .take(MAX_UKI)
                        .read_to_end(&mut bytes)?;
                }
                files.insert(path, (entry.len(), bytes));
            }
        }
    }
    Ok(Contents { files, free })
}
