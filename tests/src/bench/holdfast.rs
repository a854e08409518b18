//! Our side: the `image-build` program, used as a user does.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use image_build::cache::Cache;
use serde::Deserialize;

use super::measure::{self, Cost};

/// Folder of the cache that holds the unpacked packages.
const UNPACKED: &str = "unpacked";

/// The program and where it works.
#[derive(Debug)]
pub struct Holdfast {
    program: PathBuf,
    guest_bin: Option<PathBuf>,
    recipe: String,
    cache: PathBuf,
    work: PathBuf,
}

/// The part of the build report that is used here.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// Bytes by name.
    pub sizes: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Lock {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

impl Holdfast {
    /// Finds `image-build`: `$HOLDFAST_IMAGE_BUILD`, else beside this program. The
    /// guest binaries: `$HOLDFAST_GUEST_BIN`, else the profile folder `guest` next
    /// to this program's own, else where `image-build` looks by itself.
    pub fn find(recipe: &str, cache: &Cache, work: &Path) -> Result<Self> {
        let own = env::current_exe().context("finding this program")?;
        let profile = own.parent().unwrap_or(Path::new("."));
        let program = env::var_os("HOLDFAST_IMAGE_BUILD")
            .map_or_else(|| profile.join("image-build"), PathBuf::from);
        if !program.is_file() {
            bail!(
                "there is no {}; run `make builder`, or set HOLDFAST_IMAGE_BUILD",
                program.display()
            );
        }
        let beside = profile.join("../guest");
        let guest_bin = env::var_os("HOLDFAST_GUEST_BIN")
            .map(PathBuf::from)
            .or_else(|| beside.join("init").is_file().then_some(beside));
        Ok(Holdfast {
            program,
            guest_bin,
            recipe: recipe.into(),
            cache: cache.root().into(),
            work: work.into(),
        })
    }

    /// A command line of `image-build`.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--quiet", verb])
            .env("HOLDFAST_CACHE", &self.cache);
        command
    }

    /// Names of the recipe's packages, from its lock.
    pub fn packages(&self) -> Result<Vec<String>> {
        let output = self
            .command("lock")
            .arg(&self.recipe)
            .arg("--json")
            .output()
            .context("starting image-build lock")?;
        if !output.status.success() {
            bail!(
                "image-build lock failed:\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let lock: Lock = serde_json::from_slice(&output.stdout).context("reading the lock")?;
        Ok(lock.packages.into_iter().map(|p| p.name).collect())
    }

    /// Builds the recipe's qcow2 into folder `out` of the work folder.
    pub fn build(&self, out: &str, how: &Build) -> Result<Cost> {
        let mut command = self.command("build");
        command
            .arg(&self.recipe)
            .args(["--format", "qcow2", "--out"])
            .arg(self.out(out));
        if let Some(dir) = &self.guest_bin {
            command.arg("--guest-bin").arg(dir);
        }
        if how.force {
            command.arg("--force");
        }
        if let Some(cache) = &how.cache {
            command.env("HOLDFAST_CACHE", cache);
        }
        command.envs(how.env.iter().copied());
        measure::run(&mut command, &self.work.join("image-build.log"))
            .context("building with image-build")
    }

    /// Builds another recipe's image in one format into `out`.
    pub fn build_recipe(&self, recipe: &Path, format: &str, out: &Path) -> Result<()> {
        let mut command = self.command("build");
        command.arg(recipe).args(["--format", format]);
        command.arg("--out").arg(out);
        if let Some(dir) = &self.guest_bin {
            command.arg("--guest-bin").arg(dir);
        }
        measure::run(&mut command, &self.work.join("image-build.log"))
            .with_context(|| format!("building {}", recipe.display()))?;
        Ok(())
    }

    /// Folder of a build's outputs.
    pub fn out(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// The recipe's image; built if need be.
    pub fn image(&self) -> Result<PathBuf> {
        self.build("out", &Build::default())?;
        Ok(self.out("out").join(format!("{}.qcow2", self.recipe)))
    }

    /// The report of the build in `out`.
    pub fn report(&self) -> Result<Report> {
        let path = self.out("out").join(format!("{}.report.json", self.recipe));
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// A view of the cache in `dir` in which nothing is unpacked yet.
    pub fn cache_without_unpacked(&self, dir: &Path) -> Result<()> {
        let entries = fs::read_dir(&self.cache)
            .with_context(|| format!("reading {}", self.cache.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", self.cache.display()))?;
            if entry.file_name() != UNPACKED {
                let link = dir.join(entry.file_name());
                symlink(entry.path(), &link)
                    .with_context(|| format!("linking {}", link.display()))?;
            }
        }
        Ok(())
    }
}

/// How to build.
#[derive(Debug, Default)]
pub struct Build {
    /// Even if the outputs are up to date.
    pub force: bool,
    /// With another cache.
    pub cache: Option<PathBuf>,
    /// With these environment variables.
    pub env: Vec<(&'static str, &'static str)>,
}
