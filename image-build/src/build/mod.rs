//! The build: from a recipe to the files in the output folder. Each stage is a
//! function of another module; this one only hands values on.

pub mod output;
mod stages;
mod stamp;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::archive::lock::Lock;
use crate::archive::mirror::Mirrors;
use crate::archive::{self, Archive};
use crate::cache::Cache;
use crate::error::{Context, Error, Result};
use crate::format::Format;
use crate::guest;
use crate::progress::Progress;
use crate::recipe::{Recipe, SecureBoot};
use crate::report::Report;
use crate::tools::{Closure, Tools};
use output::Staging;
use stamp::Inputs;
pub use stamp::Stamp;
use updater::version::Version;

/// What to build, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Built-in recipe or path of a recipe file.
    pub recipe: String,
    /// Folder for the outputs.
    pub out: PathBuf,
    /// Output formats; empty means the recipe's.
    pub formats: Vec<Format>,
    /// Use the lock as it is.
    pub locked: bool,
    /// The lock to use.
    pub lock: Option<PathBuf>,
    /// Folder of the guest programs.
    pub guest_bin: Option<PathBuf>,
    /// Build even if nothing changed.
    pub force: bool,
}

/// The result of a build.
#[derive(Debug)]
pub struct Built {
    /// The images.
    pub images: Vec<PathBuf>,
    /// The report's file.
    pub report: PathBuf,
    /// The report, unless everything was up to date.
    pub fresh: Option<Report>,
}

/// Builds an image. Nothing appears in `options.out` unless the whole build works.
pub fn build(
    options: &Options,
    mirrors: &Mirrors,
    cache: &Cache,
    progress: &Progress,
) -> Result<Built> {
    let (recipe, file) = recipe(&options.recipe)?;
    // A wrong key is told before the long work begins.
    let keys = recipe.secure_boot.as_ref();
    let signer = keys.map(SecureBoot::signer).transpose()?;
    let formats: Vec<Format> = if options.formats.is_empty() {
        recipe
            .formats
            .iter()
            .map(|f| f.parse())
            .collect::<Result<_>>()?
    } else {
        options.formats.clone()
    };
    let guest = guest::load(options.guest_bin.as_deref())?;

    let lock = if options.locked {
        let path = match &options.lock {
            Some(path) => path.clone(),
            None => find_lock(file.as_deref(), &recipe.name, &options.out)?,
        };
        read_lock(&path, &recipe)?
    } else {
        resolve(&recipe, mirrors, cache, progress)?
    };
    let tools = Tools::from_lock(cache, mirrors, &lock.of_tools(), Closure::Build, progress)?;
    let version: Version = recipe
        .version
        .clone()
        .unwrap_or_else(|| crate::time::version(lock.epoch))
        .parse()
        .input(|| format!("the version of recipe {}", recipe.name))?;

    let name = &recipe.name.to_owned();
    let inputs = Inputs::default()
        .with("lock", &lock.encode()?)
        .with(
            "recipe",
            &serde_json::to_vec(&recipe).environment(|| "encoding the recipe".into())?,
        )
        .with("formats", format!("{formats:?}").as_bytes())
        .with("init", &guest.init)
        .with("oem", &guest.oem)
        .with("updater", &guest.updater)
        .with("tools", tools.id().as_bytes())
        .with("builder", &own_hash()?)
        .hash();
    let images = |out: &Path| {
        formats
            .iter()
            .map(|f| out.join(f.file_name(name)))
            .collect::<Vec<_>>()
    };
    let report_name = format!("{name}.report.json");
    if !options.force && Stamp::current(&options.out, name, &inputs).is_some() {
        return Ok(Built {
            images: images(&options.out),
            report: options.out.join(report_name),
            fresh: None,
        });
    }

    let fetched = archive::fetch::fetch(cache, mirrors, &lock, progress)?;
    let staging = Staging::new(&options.out)?;
    let job = stages::Job {
        recipe: &recipe,
        lock: &lock,
        fetched: &fetched,
        version: &version,
        guest: &guest,
        signer: signer.as_ref(),
        tools: &tools,
        formats: &formats,
        cache,
        progress,
        staging: &staging,
    };
    let (report, mut files) = stages::run(&job)?;

    let step = progress.step("write", 0);
    let put = |file: &str, bytes: &[u8]| {
        std::fs::write(staging.path(file), bytes)
            .map_err(|e| crate::cache::writing(e, &staging.path(file)))
    };
    let lock_name = format!("{name}.lock");
    let sbom_name = format!("{name}.spdx.json");
    put(&lock_name, &lock.encode()?)?;
    put(
        &sbom_name,
        &crate::sbom::spdx(name, version.as_str(), &lock, &report.root_hash),
    )?;
    put(&report_name, &report.json())?;
    files.extend([lock_name, sbom_name, report_name.clone()]);
    let mut stamp = Stamp {
        inputs,
        version: version.to_string(),
        root_hash: report.root_hash.clone(),
        outputs: Default::default(),
    };
    for file in &files {
        let meta =
            std::fs::metadata(staging.path(file)).environment(|| format!("reading {file}"))?;
        stamp.outputs.insert(file.clone(), meta.len());
    }
    // Last, so that a build cut while it renames is built again.
    let stamp_name = format!("{name}.build.json");
    put(&stamp_name, &stamp.encode()?)?;
    files.push(stamp_name);
    staging.commit(&files)?;
    step.done(&format!(
        "{} files in {}",
        files.len(),
        options.out.display()
    ));
    Ok(Built {
        images: images(&options.out),
        report: options.out.join(report_name),
        fresh: Some(report),
    })
}

/// Loads a recipe by built-in name or path; the path is returned with it.
pub fn recipe(name: &str) -> Result<(Recipe, Option<PathBuf>)> {
    let recipe = Recipe::load(name)?;
    let file = Path::new(name).is_file().then(|| PathBuf::from(name));
    Ok((recipe, file))
}

/// The mirrors from flags, environment or the host's apt configuration.
pub fn mirrors(main: Option<&str>, security: Option<&str>) -> Result<Mirrors> {
    Mirrors::discover(main, security, None)
}

/// Resolves a recipe's package list against the archive.
pub fn resolve(
    recipe: &Recipe,
    mirrors: &Mirrors,
    cache: &Cache,
    progress: &Progress,
) -> Result<Lock> {
    let archive = Archive::open_pockets(
        cache,
        mirrors,
        &recipe.suite,
        &recipe.pockets,
        &recipe.architecture,
        progress,
    )?;
    let mut lock = archive.resolve(&recipe.requested(), &recipe.excluded())?;
    lock.tools = archive.resolve(&Closure::Build.requested(), &[])?.packages;
    Ok(lock)
}

/// Where `lock` writes and `--locked` looks first: beside the recipe file, or in
/// the current directory.
pub fn lock_path(recipe: Option<&Path>, name: &str) -> PathBuf {
    let file = format!("{name}.lock");
    match recipe.and_then(Path::parent) {
        Some(dir) => dir.join(file),
        None => PathBuf::from(file),
    }
}

fn find_lock(recipe: Option<&Path>, name: &str, out: &Path) -> Result<PathBuf> {
    let candidates = [lock_path(recipe, name), out.join(format!("{name}.lock"))];
    candidates
        .iter()
        .find(|p| p.is_file())
        .cloned()
        .ok_or_else(|| {
            Error::input(format!(
                "--locked, but there is no {} or {}",
                candidates[0].display(),
                candidates[1].display()
            ))
            .hint("make it with `image-build lock`, or name it with --lock")
        })
}

fn read_lock(path: &Path, recipe: &Recipe) -> Result<Lock> {
    let bytes = std::fs::read(path).input(|| format!("reading the lock {}", path.display()))?;
    let lock = Lock::decode(&bytes)
        .map_err(|e| Error::input(format!("reading the lock {}", path.display())).because(e))?;
    if lock.requested != recipe.requested()
        || lock.suite != recipe.suite
        || lock.architecture != recipe.architecture
        || lock
            .pockets()
            .any(|pocket| !recipe.pockets.contains(&pocket))
    {
        return Err(Error::input(format!(
            "{} was made for another package list than recipe {}",
            path.display(),
            &recipe.name
        ))
        .hint("make it again with `image-build lock`"));
    }
    Ok(lock)
}

/// Hash of the running program: another builder may make other bytes.
fn own_hash() -> Result<Vec<u8>> {
    let bytes =
        std::fs::read("/proc/self/exe").environment(|| "reading the running program".into())?;
    Ok(Sha256::digest(bytes).to_vec())
}
