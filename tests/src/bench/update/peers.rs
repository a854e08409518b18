//! The other programs: Debian's packages, unpacked in the cache and run through their
//! own loader. Nothing is installed on the host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use image_build::archive::Archive;
use image_build::archive::lock::Lock;
use image_build::archive::mirror::Mirrors;
use image_build::cache::Cache;
use image_build::progress::Progress;
use image_build::tools::{Closure, Tools};

use crate::bench::{ARCHITECTURE, SUITE};

/// What the solver is asked for.
const PACKAGES: [&str; 8] = [
    "casync",
    "curl",
    "openssl",
    "rauc",
    "squashfs-tools",
    "xdelta3",
    "zchunk",
    "zstd",
];

/// The unpacked packages.
#[derive(Debug)]
pub struct Peers {
    root: PathBuf,
    lock: Lock,
    /// Scripts for programs that start others by name.
    bin: PathBuf,
}

impl Peers {
    /// Fetches and unpacks what is missing. Scripts go into a folder below `work`.
    pub fn open(cache: &Cache, mirrors: &Mirrors, work: &Path) -> Result<Self> {
        let progress = Progress::auto();
        let archive = Archive::open(cache, mirrors, SUITE, ARCHITECTURE, &progress)?;
        let lock = archive.resolve(&PACKAGES.map(str::to_owned), &[])?;
        let tools = Tools::from_lock(cache, mirrors, &lock, Closure::Run, &progress)?;
        let peers = Peers {
            root: tools.root().to_owned(),
            lock,
            bin: work.join("bin"),
        };
        fs::create_dir_all(&peers.bin).context("creating a folder")?;
        // rauc starts mksquashfs, casync the program for the store's protocol.
        for path in [
            "usr/bin/mksquashfs",
            "usr/bin/unsquashfs",
            "usr/lib/casync/protocols/casync-http",
        ] {
            peers.script(path)?;
        }
        Ok(peers)
    }

    /// A command line of a program in `usr/bin`.
    pub fn command(&self, program: &str) -> Result<Command> {
        let mut words = self.words(&format!("usr/bin/{program}"))?.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command.env("LC_ALL", "C").env("PATH", &self.bin);
        command.env("CASYNC_PROTOCOL_PATH", &self.bin);
        command.env_remove("http_proxy");
        Ok(command)
    }

    /// The same as words of a shell script.
    pub fn shell(&self, program: &str) -> Result<String> {
        Ok(self.words(&format!("usr/bin/{program}"))?.join(" "))
    }

    /// `name version` of a package.
    pub fn version(&self, name: &str) -> String {
        let package = self.lock.packages.iter().find(|p| p.name == name);
        package.map_or_else(|| name.to_owned(), |p| format!("{name} {}", p.version))
    }

    fn script(&self, path: &str) -> Result<()> {
        let name = Path::new(path).file_name().unwrap_or_default();
        let script = self.bin.join(name);
        let text = format!("#!/bin/sh\nexec {} \"$@\"\n", self.words(path)?.join(" "));
        fs::write(&script, text)
            .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("writing {}", script.display()))
    }

    fn words(&self, path: &str) -> Result<Vec<String>> {
        let program = self.root.join(path);
        if !program.is_file() {
            bail!("{} is missing from the peers' packages", program.display());
        }
        let lib = self.root.join("usr/lib/x86_64-linux-gnu");
        let words = [
            lib.join("ld-linux-x86-64.so.2"),
            "--library-path".into(),
            lib,
            program,
        ];
        let words = words
            .into_iter()
            .map(|word| word.into_os_string().into_string());
        match words.collect::<Result<Vec<_>, _>>() {
            Ok(words) if words.iter().all(|w| !w.contains(char::is_whitespace)) => Ok(words),
            _ => bail!("the cache's path must have no blanks and be Unicode"),
        }
    }
}
