//! The old and the new image, and the repository that offers the new one.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image_build::publish::build::Build;
use init::cmdline::RootHash;
use serde::Serialize;
use updater::slots::Disk;

use super::child;
use crate::bench::holdfast::Holdfast;
use crate::bench::progress;

const OLD: &str = include_str!("../../../bench/update/old.yaml");
const NEW: &str = include_str!("../../../bench/update/new.yaml");

/// Folders of two builds, in place of those that are made.
pub type Folders = (PathBuf, PathBuf);

/// One of the two images.
#[derive(Debug)]
pub struct Image {
    /// Folder of the build.
    pub folder: PathBuf,
    /// Its disk.
    pub disk: PathBuf,
    /// Its /usr as a file.
    pub usr: PathBuf,
    /// Its kernel image.
    pub uki: PathBuf,
    /// Version.
    pub version: String,
    /// Root hash.
    pub root_hash: RootHash,
    /// Time of its newest package.
    pub epoch: u64,
    /// Bytes of /usr.
    pub size: u64,
}

/// Both, published.
#[derive(Debug)]
pub struct Pair {
    /// What runs.
    pub old: Image,
    /// What comes.
    pub new: Image,
    /// Image's name.
    pub name: String,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// The repository that offers both.
    pub repository: PathBuf,
    /// CPU seconds of publishing the new one: full stream, patch, leaves.
    pub publishing: f64,
}

/// What a reader must know of it.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    /// Version that runs.
    pub old: String,
    /// Version that comes.
    pub new: String,
    /// Packages of the new image.
    pub packages: usize,
    /// Packages that it has in another version.
    pub changed: usize,
    /// Kernel packages, old and new.
    pub kernels: [String; 2],
    /// Bytes of the new /usr.
    pub usr: u64,
    /// Bytes of the new kernel image, which everybody fetches besides.
    pub kernel_image: u64,
}

impl Pair {
    /// Builds both below `work`, unless `given` has them, and publishes them into
    /// `repository`.
    pub fn make(
        holdfast: &Holdfast,
        given: Option<&Folders>,
        work: &Path,
        repository: &Path,
    ) -> Result<Self> {
        let (old, new) = match given {
            Some(folders) => folders.clone(),
            None => {
                progress("building the old and the new image");
                let build = |name: &str, text: &str| -> Result<PathBuf> {
                    let recipe = work.join(format!("{name}.yaml"));
                    fs::write(&recipe, text).context("writing a recipe")?;
                    let out = work.join(name);
                    holdfast.build_recipe(&recipe, "raw", &out)?;
                    Ok(out)
                };
                (build("old", OLD)?, build("new", NEW)?)
            }
        };
        progress("publishing them: full streams, a patch, leaves");
        let (keys, log) = (work.join("keys"), work.join("publish.log"));
        let mut command = holdfast.command("keys");
        command.arg("init").arg(&keys);
        child::run(command.arg("--repository").arg(repository), &log)?;
        let publish = |build: &Path, against: &Path| -> Result<f64> {
            let mut command = holdfast.command("publish");
            command.arg(build).arg("--keys").arg(&keys);
            command.arg("--repository").arg(repository);
            command.arg("--against").arg(against);
            Ok(child::run(&command, &log).context("publishing")?.cpu)
        };
        publish(&old, Path::new("0"))?;
        let publishing = publish(&new, &old)?;
        let read = |folder: &Path, to: &str| image(folder, &work.join(to));
        let (build, old) = read(&old, "old.usr")?;
        let (_, new) = read(&new, "new.usr")?;
        Ok(Pair {
            old,
            new,
            name: build.name,
            architecture: build.architecture,
            repository: repository.to_owned(),
            publishing,
        })
    }

    /// What there is to say about it.
    pub fn about(&self) -> Result<About> {
        let [old, new] = [&self.old, &self.new].map(|image| packages(image, &self.name));
        let (old, new) = (old?, new?);
        let kernel = |packages: &[(String, String)]| {
            let mut names = packages.iter().map(|(name, _)| name);
            let kernel = names.find(|name| name.starts_with("linux-image-"));
            kernel.cloned().unwrap_or_default()
        };
        Ok(About {
            old: self.old.version.clone(),
            new: self.new.version.clone(),
            packages: new.len(),
            changed: new.iter().filter(|package| !old.contains(package)).count(),
            kernels: [kernel(&old), kernel(&new)],
            usr: self.new.size,
            kernel_image: fs::metadata(&self.new.uki)
                .context("reading the kernel image")?
                .len(),
        })
    }
}

/// Reads a build and cuts its /usr out of its disk.
fn image(folder: &Path, usr: &Path) -> Result<(Build, Image)> {
    let build = Build::open(folder, None)?;
    let disk = folder.join(format!("{}.raw", build.name));
    let root_hash = RootHash(build.image.tree().root_hash);
    let slots = Disk::of_image(&disk, root_hash)
        .context("the builds must have their disk as a raw file")?;
    let start = slots.slot(slots.running()).usr.start;
    let mut from = File::open(&disk).context("opening the disk")?;
    from.seek(SeekFrom::Start(start))
        .context("reading the disk")?;
    let mut to = File::create(usr).with_context(|| format!("creating {}", usr.display()))?;
    let size = build.image.size();
    let copied = io::copy(&mut from.take(size), &mut to).context("copying /usr")?;
    if copied != size {
        bail!("{} ends too early", disk.display());
    }
    to.sync_all().context("flushing /usr")?;
    let image = Image {
        folder: folder.to_owned(),
        usr: usr.to_owned(),
        uki: folder.join(format!("{}.efi", build.name)),
        version: build.version.to_string(),
        root_hash,
        epoch: build.epoch,
        size,
        disk,
    };
    Ok((build, image))
}

/// Names and versions of an image's packages.
fn packages(image: &Image, name: &str) -> Result<Vec<(String, String)>> {
    let path = image.folder.join(format!("{name}.lock"));
    let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let lock = image_build::archive::lock::Lock::decode(&text)?;
    let packages = lock.packages.into_iter();
    Ok(packages.map(|p| (p.name, p.version)).collect())
}
