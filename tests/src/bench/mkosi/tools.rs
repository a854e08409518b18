//! The tools tree of mkosi: a small Debian system with mkosi and all it calls,
//! made once with mmdebstrap and kept in the cache.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use image_build::archive::mirror::Mirrors;

use crate::bench::measure;

/// Debian suite the tools come from: the one with the newest mkosi that is not
/// rebuilt daily.
const SUITE: &str = "forky";

/// mkosi depends on nearly everything it runs; these it only recommends or expects.
const PACKAGES: &str = "mkosi,ca-certificates,mount,procps,systemd-boot-efi,xz-utils,zstd";

const ENTER: &str = include_str!("../../../bench/mkosi/enter.sh");

/// A tools tree.
#[derive(Debug)]
pub struct Tools {
    tree: PathBuf,
    enter: PathBuf,
}

impl Tools {
    /// Takes the tree from `dir` or makes it there. `log` gets mmdebstrap's output.
    pub fn ensure(dir: &Path, mirrors: &Mirrors, log: &Path) -> Result<Self> {
        let tree = dir.join(format!("mkosi-tools-{SUITE}"));
        if !tree.is_dir() {
            make(&tree, mirrors, log)?;
        }
        let enter = dir.join("enter.sh");
        fs::write(&enter, ENTER).with_context(|| format!("writing {}", enter.display()))?;
        fs::set_permissions(&enter, fs::Permissions::from_mode(0o755))
            .context("making enter.sh executable")?;
        Ok(Tools { tree, enter })
    }

    /// A command line run in the tree, with `work` at `/peer`, at the caller's priority.
    pub fn command(&self, work: &Path, program: &str) -> Command {
        let mut command = Command::new(&self.enter);
        command.arg(&self.tree).arg(work).arg(program);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// `mkosi 27.1 (forky)`.
    pub fn version(&self, work: &Path) -> Result<String> {
        let output = self
            .command(work, "mkosi")
            .arg("--version")
            .output()
            .context("starting mkosi")?;
        if !output.status.success() {
            bail!(
                "mkosi --version failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(format!(
            "{} ({SUITE})",
            String::from_utf8_lossy(&output.stdout).trim()
        ))
    }
}

fn make(tree: &Path, mirrors: &Mirrors, log: &Path) -> Result<()> {
    eprintln!("making the tools tree of mkosi (once, some minutes)");
    let mmdebstrap = super::host_program("mmdebstrap", "mmdebstrap")?;
    let new = tree.with_extension("new");
    if new.exists() {
        fs::remove_dir_all(&new).with_context(|| format!("removing {}", new.display()))?;
    }
    let mut command = Command::new(mmdebstrap);
    command
        .args(["--quiet", "--variant=apt", "--include", PACKAGES])
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        // A mirror may hold a testing suite that is some weeks old; that does not
        // matter for a peer, and mkosi itself does the same.
        .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
        .arg(SUITE)
        .arg(&new)
        .arg(format!("deb {} {SUITE} main", mirrors.main));
    measure::run(&mut command, log).context("making the tools tree of mkosi")?;
    fs::rename(&new, tree).with_context(|| format!("renaming {}", new.display()))
}
