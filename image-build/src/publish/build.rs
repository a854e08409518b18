//! A build that was finished before, read back from its folder.

use std::fs;
use std::path::Path;

use init::verity::{SUPERBLOCK_SIZE, Superblock};
use updater::version::Version;
use updater::{status, uki};

use super::artefacts::Image;
use crate::archive::lock::Lock;
use crate::build::Stamp;
use crate::error::{Context, Error, Result};
use crate::format::Format;
use crate::inspect;

/// Ending of the stamp's name, which a build puts in place last.
const STAMP: &str = ".build.json";

/// A build.
pub struct Build {
    /// Image's name: the recipe's.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// Time of the newest package, seconds since 1970.
    pub epoch: u64,
    /// Its /usr.
    pub image: Image,
    /// Its kernel image.
    pub uki: Vec<u8>,
}

impl Build {
    /// Reads the build of recipe `name` in `folder`; of the only one there is if no
    /// name is given. Hashes all of /usr.
    pub fn open(folder: &Path, name: Option<&str>) -> Result<Self> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => only(folder)?,
        };
        let stamp = Stamp::read(folder, &name)?;
        let read = |file: String| {
            let path = folder.join(file);
            fs::read(&path).input(|| format!("reading {}", path.display()))
        };
        let lock = Lock::decode(&read(format!("{name}.lock"))?)?;
        let image = image(folder, &name, &stamp)?;
        let uki = read(format!("{name}.efi"))?;
        let cmdline = uki::text(&uki, ".cmdline")
            .input(|| format!("reading {name}.efi"))?
            .unwrap_or_default();
        let root_hash = image.tree().root_hex();
        for (what, found) in [
            ("the build's stamp", Some(stamp.root_hash.as_str())),
            ("its kernel image", status::usr_hash(&cmdline).as_deref()),
        ] {
            if found != Some(root_hash.as_str()) {
                return Err(Error::refused(format!(
                    "the /usr of {name} in {} has the root hash {root_hash}, and {what} names {}",
                    folder.display(),
                    found.unwrap_or("none")
                ))
                .hint("build it again with --force"));
            }
        }
        Ok(Build {
            version: stamp
                .version
                .parse()
                .input(|| format!("the version of {name}"))?,
            architecture: lock.architecture,
            epoch: u64::try_from(lock.epoch).unwrap_or(0),
            image,
            uki,
            name,
        })
    }
}

/// Name of the only build in a folder.
fn only(folder: &Path) -> Result<String> {
    let what = || format!("reading the folder {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).input(what)? {
        let file = entry.input(what)?.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(STAMP));
        names.extend(name.map(str::to_owned));
    }
    names.sort();
    match names.as_slice() {
        [name] => Ok(name.clone()),
        [] => Err(
            Error::input(format!("{} has no finished build", folder.display()))
                .hint("give the folder that `image-build build --out` filled"),
        ),
        names => Err(Error::usage(format!(
            "{} has several builds: {}",
            folder.display(),
            names.join(", ")
        ))
        .hint("say which with --name")),
    }
}

/// The /usr in a build's disk image.
fn image(folder: &Path, name: &str, stamp: &Stamp) -> Result<Image> {
    let files = Format::ALL.map(|format| format.file_name(name));
    let there = files.iter().find(|file| stamp.outputs.contains_key(*file));
    let file = there.ok_or_else(|| {
        Error::input(format!("the build of {name} has no image that can be read"))
            .hint("build it with --format qcow2 or raw")
    })?;
    let path = folder.join(file);
    let found = inspect::read(&path, false)?;
    let odd = || Error::input(format!("{} is no image as it was built", path.display()));
    let [slot] = found.slots.as_slice() else {
        return Err(odd());
    };
    let usr = found.partitions.iter().find(|p| p.number == slot.partition);
    let usr = usr.ok_or_else(odd)?;
    let tree = found
        .partitions
        .iter()
        .find(|p| p.name == usr.name && p.number != usr.number)
        .ok_or_else(odd)?;
    let mut superblock = [0; SUPERBLOCK_SIZE];
    let what = || format!("reading the hash tree in {}", path.display());
    inspect::open(&path)?
        .read_at(&mut superblock, tree.start)
        .input(what)?;
    let superblock = Superblock::decode(&superblock).input(what)?;
    let range = usr.start..usr.start + slot.used_bytes;
    Image::open(&path, range, &superblock.salt)
}
