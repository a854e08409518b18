//! The peer: mkosi, which makes the same kind of image (EROFS /usr with verity,
//! UKI, systemd-boot) from the same packages.

mod config;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use image_build::archive::mirror::Mirrors;
use sha2::{Digest, Sha256};

use crate::bench::measure::{self, Cost};
use tools::Tools;

/// Which image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// The recipe's packages.
    Plain,
    /// And cloud-init, to do what `oem` does.
    CloudInit,
}

impl Flavour {
    fn name(self) -> &'static str {
        match self {
            Flavour::Plain => "plain",
            Flavour::CloudInit => "cloud-init",
        }
    }
}

/// How packages get into the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Every build installs all packages.
    Nothing,
    /// mkosi's cached trees with the packages installed are used.
    Trees,
}

/// Files of a built image.
#[derive(Debug, Clone)]
pub struct Image {
    /// The disk, sparse.
    pub raw: PathBuf,
    /// The unified kernel image.
    pub uki: PathBuf,
    /// The initrd inside it.
    pub initrd: PathBuf,
}

/// mkosi with its tools tree and a configuration.
#[derive(Debug)]
pub struct Mkosi {
    tools: Tools,
    work: PathBuf,
    config_hash: String,
}

impl Mkosi {
    /// Gets mkosi ready below `dir`: makes its tools tree if need be and writes the
    /// configuration for `packages`.
    pub fn prepare(dir: &Path, mirrors: &Mirrors, packages: &[String]) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            bail!(
                "mkosi and its tools tree need root here; run the benchmark as root, or with --side holdfast"
            );
        }
        let work = dir.join("mkosi");
        // What a killed run left.
        let workspace = work.join("workspace");
        if workspace.exists() {
            fs::remove_dir_all(&workspace)
                .with_context(|| format!("removing {}", workspace.display()))?;
        }
        for part in ["out", "packages", "trees", "workspace"] {
            let path = work.join(part);
            fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        }
        let tools = Tools::ensure(dir, mirrors, &work.join("tools.log"))?;
        let files = config::files(packages, mirrors);
        config::write(&work.join("conf"), &files)?;
        let config_hash = hash(&files);
        Ok(Mkosi {
            tools,
            work,
            config_hash,
        })
    }

    /// Name, version and suite.
    pub fn version(&self) -> Result<String> {
        self.tools.version(&self.work)
    }

    /// Builds an image with `mkosi -f`.
    pub fn build(&self, flavour: Flavour, reuse: Reuse) -> Result<Cost> {
        let name = flavour.name();
        let stamp = self.stamp(flavour);
        if stamp.exists() {
            fs::remove_file(&stamp).with_context(|| format!("removing {}", stamp.display()))?;
        }
        let mut command = self.tools.command(&self.work, "mkosi");
        command.args([
            "--directory=/peer/conf",
            "--output-directory=/peer/out",
            "--package-cache-dir=/peer/packages",
        ]);
        command.args([
            "--workspace-directory=/peer/workspace",
            "--cache-directory=/peer/trees",
            "--force",
        ]);
        command.arg(format!("--output={name}"));
        if flavour == Flavour::CloudInit {
            command.arg("--profile=cloud-init");
        }
        command.arg(match reuse {
            Reuse::Nothing => "--incremental=no",
            Reuse::Trees => "--incremental=yes",
        });
        let cost = measure::run(command.arg("build"), &self.log(flavour))
            .context("building with mkosi")?;
        fs::write(&stamp, &self.config_hash)
            .with_context(|| format!("writing {}", stamp.display()))?;
        Ok(cost)
    }

    /// The image as it is in the cache; built when there is none for this configuration.
    pub fn image(&self, flavour: Flavour) -> Result<Image> {
        let current =
            fs::read_to_string(self.stamp(flavour)).is_ok_and(|hash| hash == self.config_hash);
        if !current {
            eprintln!("building the {} image of mkosi", flavour.name());
            self.build(flavour, Reuse::Nothing)?;
        }
        let file = |extension: &str| {
            self.work
                .join("out")
                .join(format!("{}.{extension}", flavour.name()))
        };
        Ok(Image {
            raw: file("raw"),
            uki: file("efi"),
            initrd: file("initrd"),
        })
    }

    fn stamp(&self, flavour: Flavour) -> PathBuf {
        self.work.join(format!("{}.stamp", flavour.name()))
    }

    fn log(&self, flavour: Flavour) -> PathBuf {
        self.work.join(format!("{}.log", flavour.name()))
    }
}

/// A program of the host; installed with apt-get when it is missing.
fn host_program(program: &str, package: &str) -> Result<PathBuf> {
    let find = || {
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
            .iter()
            .map(|dir| Path::new(dir).join(program))
            .find(|p| p.is_file())
    };
    if let Some(path) = find() {
        return Ok(path);
    }
    eprintln!("installing {package} with apt-get");
    let status = Command::new("apt-get")
        .args([
            "install",
            "--yes",
            "--quiet",
            "--no-install-recommends",
            package,
        ])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status();
    match (status, find()) {
        (Ok(status), Some(path)) if status.success() => Ok(path),
        _ => bail!(
            "{program} is missing; install the Debian package {package}, or run with --side holdfast"
        ),
    }
}

fn hash(files: &[(String, String)]) -> String {
    let mut hasher = Sha256::new();
    for (name, text) in files {
        hasher.update(name);
        hasher.update([0]);
        hasher.update(text);
        hasher.update([0]);
    }
    hasher
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}
