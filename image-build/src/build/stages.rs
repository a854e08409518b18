//! The stages of one build, in order. Values move one way: nothing that a stage
//! made is changed by a later one.

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use updater::boot::loaders::{SHIPPED, is_shipped};
use updater::version::Version;

use super::output::Staging;
use crate::archive::fetch::Fetched;
use crate::archive::lock::Lock;
use crate::boot::secure_boot::signer::Signer;
use crate::boot::{authenticode, esp, grub, initrd, modules, uki};
use crate::cache::Cache;
use crate::disk::{assemble, layout, oem};
use crate::error::{Context, Result};
use crate::finalize::{self, Composition, Guest};
use crate::format::Format;
use crate::package;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::report::{self, Report, Room};
use crate::tools::Tools;
use crate::tree::{Node, Tree};
use crate::{usr, verity};

/// What a build works on.
pub struct Job<'a> {
    pub recipe: &'a Recipe,
    pub lock: &'a Lock,
    pub fetched: &'a [Fetched],
    pub version: &'a Version,
    pub guest: &'a Guest,
    pub signer: Option<&'a Signer>,
    pub tools: &'a Tools,
    pub formats: &'a [Format],
    pub cache: &'a Cache,
    pub progress: &'a Progress,
    pub staging: &'a Staging,
}

/// Makes all images in the staging folder; returns the report and their names.
pub fn run(job: &Job) -> Result<(Report, Vec<String>)> {
    let data = |path: &str| {
        let path = job.tools.data(path);
        std::fs::read(&path).environment(|| format!("reading {}", path.display()))
    };
    let loader = signed(job, data("usr/lib/systemd/boot/efi/systemd-bootx64.efi")?)?;
    let keys = job.recipe.secure_boot.as_ref();
    let enroll = keys.and_then(|keys| keys.enroll.as_ref());
    let composition = compose(job, esp::loaders(&loader, enroll))?;
    for warning in &composition.warnings {
        job.progress.note(&format!("warning: {warning}"));
    }
    let Composition {
        tree,
        kernel_version: kernel,
        os_release,
        ..
    } = &composition;
    let linux = composition.kernel_image.read()?;

    let usr_path = job.staging.path("usr");
    let (usr_len, initrd) = rayon::join(
        || usr_image(job, tree, &usr_path),
        || make_initrd(job, tree, kernel),
    );
    let (usr_len, initrd) = (usr_len?, initrd?);

    let step = job.progress.step("verity", 0);
    let hashes = verity::build(&usr_path, &salt())?;
    let root_hash = hashes.root_hex();
    step.done(&root_hash);

    let step = job.progress.step("boot", 0);
    let sizes = &job.recipe.sizes;
    let layout = layout::Layout::new(sizes, job.version, &hashes.root_hash)?;
    let uki = signed(
        job,
        uki::build(&uki::Parts {
            stub: &data("usr/lib/systemd/boot/efi/linuxx64.efi.stub")?,
            os_release,
            cmdline: &format!("usrhash={root_hash} {}", job.recipe.cmdline.join(" ")),
            uname: kernel,
            linux: &linux,
            initrd: &initrd,
        })?,
    )?;
    let esp = esp::files(&esp::Content {
        loader: &loader,
        uki: &uki,
        version: job.version,
        size: sizes.esp,
        enroll,
    })?;
    let (bios, _) = layout.range(layout::number::BIOS)?;
    let grub = grub::build(job.tools, bios / layout::SECTOR)?;
    let by = job.signer.map(|signer| signer.certificate().subject());
    step.done(&format!(
        "UKI {}, initrd {}{}",
        report::size(uki.len() as u64),
        report::size(initrd.len() as u64),
        by.map_or(String::new(), |by| format!(", signed by {by}"))
    ));

    let step = job.progress.step("disk", 0);
    let raw = job.staging.path("disk");
    let parts = assemble::Parts {
        layout: &layout,
        grub: &grub,
        esp: &esp,
        oem: &oem::files(),
        usr: &usr_path,
        verity: &hashes,
    };
    assemble::write(&parts, &raw)?;
    step.done(&format!("{} virtual", report::size(sizes.disk)));

    let mut names = Vec::new();
    let mut made = Vec::new();
    let mut formats = job.formats.to_vec();
    // Raw comes last: it is the disk itself under its own name.
    formats.sort_by_key(|f| *f == Format::Raw);
    formats.dedup();
    for format in &formats {
        let name = format.file_name(&job.recipe.name);
        let path = job.staging.path(&name);
        let step = job.progress.step(format.name(), 0);
        match format {
            Format::Raw => std::fs::rename(&raw, &path)
                .environment(|| format!("renaming {}", raw.display()))?,
            _ => format.write(&raw, &path)?,
        }
        let bytes = stored(&job.staging.path(&name))?;
        step.done(&report::size(bytes));
        made.push((name.clone(), bytes));
        names.push(name);
    }
    let uki_name = format!("{}.efi", job.recipe.name);
    std::fs::write(job.staging.path(&uki_name), &uki)
        .map_err(|e| crate::cache::writing(e, &job.staging.path(&uki_name)))?;
    names.push(uki_name);

    made.extend([
        ("initrd".to_owned(), initrd.len() as u64),
        ("kernel".to_owned(), linux.len() as u64),
        ("UKI".to_owned(), uki.len() as u64),
        ("usr".to_owned(), usr_len),
        ("verity".to_owned(), hashes.bytes.len() as u64),
    ]);
    let (packages, directories) = report::shares(tree);
    let report = Report {
        name: job.recipe.name.clone(),
        version: job.version.to_string(),
        kernel: kernel.clone(),
        root_hash,
        sizes: made.into_iter().collect(),
        usr_slot: Room {
            used: usr_len,
            size: sizes.usr,
        },
        verity_slot: Room {
            used: hashes.bytes.len() as u64,
            size: sizes.verity,
        },
        esp: Room {
            used: 3 * uki.len() as u64,
            size: sizes.esp,
        },
        packages,
        directories,
        enabled_units: composition.enabled_units.clone(),
        skipped_scripts: composition.skipped_scripts.clone(),
        warnings: composition.warnings.clone(),
    };
    Ok((report, names))
}

/// Unpacks every package and makes the tree of the image.
/// The tree of the target, with copies of the loaders' files.
fn compose(job: &Job, loaders: esp::Files) -> Result<Composition> {
    let step = job.progress.step("unpack", 0);
    let packages = job
        .fetched
        .par_iter()
        .map(|f| package::unpack(job.cache, &f.file, &f.package.sha256))
        .collect::<Result<Vec<_>>>()?;
    step.done(&format!("{} packages", packages.len()));
    let step = job.progress.step("compose", 0);
    let mut composition = finalize::compose(
        job.recipe,
        &packages,
        job.guest,
        job.lock.epoch,
        job.version.as_str(),
    )?;
    ship(&mut composition.tree, loaders)?;
    step.done(&format!(
        "{} files, {}",
        composition.tree.len(),
        report::size(composition.tree.file_bytes())
    ));
    Ok(composition)
}

fn usr_image(job: &Job, tree: &Tree, out: &std::path::Path) -> Result<u64> {
    let step = job.progress.step("usr", 0);
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&Sha256::digest(format!("holdfast usr {}", job.version))[..16]);
    let options = usr::Options {
        compression: job.recipe.compression,
        uuid,
        epoch: job.lock.epoch,
        slot: job.recipe.sizes.usr,
    };
    let len = usr::write(tree, job.tools, &options, out)?;
    step.done(&report::size(len));
    Ok(len)
}

/// Puts copies of the loaders' files into /usr: the updater brings them back to an ESP
/// that has lost them.
fn ship(tree: &mut Tree, files: esp::Files) -> Result<()> {
    let shipped = files.into_iter().filter(|(path, _)| is_shipped(path));
    for (path, bytes) in shipped {
        let node = Node::file(bytes, 0o644, "the loaders on the ESP");
        tree.insert(&format!("{SHIPPED}/{path}"), node)?;
    }
    Ok(())
}

fn make_initrd(job: &Job, tree: &Tree, release: &str) -> Result<Vec<u8>> {
    let step = job.progress.step("initrd", 0);
    let selection = modules::select(tree, release)?;
    let bytes = initrd::build(&job.guest.init, &selection, job.cache)?;
    step.done(&format!("{} modules", selection.modules.len()));
    Ok(bytes)
}

/// What UEFI starts, signed if the recipe has keys.
fn signed(job: &Job, program: Vec<u8>) -> Result<Vec<u8>> {
    match job.signer {
        Some(signer) => authenticode::sign(&program, signer),
        None => Ok(program),
    }
}

/// One salt for the product, so that a block that did not change keeps its hash
/// from release to release.
fn salt() -> [u8; 32] {
    Sha256::digest(b"holdfast usr-verity").into()
}

/// Bytes a file takes on disk (sparse files take less than their length).
fn stored(path: &std::path::Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).environment(|| format!("reading {}", path.display()))?;
    Ok(meta.len().min(meta.blocks() * 512))
}
