//! Releases to update between: built by the real builder and published by the real
//! publisher, once for all tests.
//!
//! The first is Debian as of its last point release, the second has what Debian has
//! changed since then, the kernel included. The others are the second but for one
//! thing, so that building and fetching them is quick.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use image_build::error::{Context, Error, Result};
use image_build::tools::Tool;

use crate::fixture::{Shared, build_image, build_tools, shared, work_dir};
use crate::server::Server;

/// A release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// What machines are installed with.
    Old,
    /// The update.
    New,
    /// Its kernel panics before anything of ours runs.
    Panic,
    /// It is good when it is published; tests damage it on the disk.
    Corrupt,
    /// A required health check fails.
    Sick,
    /// A job that the whole boot waits for never ends.
    Stuck,
    /// PID 1 dies, and with it everything that could restart the machine but hardware.
    Wedged,
    /// It is good, and comes after all the bad ones.
    Next,
}

/// Recipe of what all have in common. Machines that panic need not wait for a reader.
const BASE: &str = "name: fleet
extends: minimal
formats: [raw]
update: {root: ../start/metadata/1.root.json}
cmdline: [panic=1]
";

impl Release {
    /// Every release, in the order of publication.
    pub const ALL: [Release; 8] = [
        Release::Old,
        Release::New,
        Release::Panic,
        Release::Corrupt,
        Release::Sick,
        Release::Stuck,
        Release::Wedged,
        Release::Next,
    ];

    /// Its version.
    pub fn version(self) -> &'static str {
        match self {
            Release::Old => "1.0",
            Release::New => "2.0",
            Release::Panic => "3.0-panic",
            Release::Corrupt => "3.1-corrupt",
            Release::Sick => "3.2-sick",
            Release::Stuck => "3.3-stuck",
            Release::Wedged => "3.4-wedged",
            Release::Next => "4.0",
        }
    }

    /// What its recipe has beside a version.
    fn recipe(self) -> &'static str {
        match self {
            Release::Old => "extends: base.yaml\npockets: [main]\n",
            Release::New => "extends: base.yaml\n",
            Release::Panic => "extends: 2.0.yaml\ncmdline: [rdinit=/not-there]\n",
            Release::Corrupt | Release::Next => "extends: 2.0.yaml\n",
            Release::Sick => {
                "extends: 2.0.yaml
files:
  - path: /usr/lib/holdfast/health.d/required.d/50-sick
    mode: \"0755\"
    content: |
      #!/bin/sh
      echo this release is sick by design
      exit 1
"
            }
            // It says itself how long its boot may take, so that the test need not wait.
            Release::Stuck => {
                "extends: 2.0.yaml
units:
  - name: stuck.service
    enable: true
    content: |
      [Unit]
      DefaultDependencies=no
      Before=sysinit.target
      [Service]
      Type=oneshot
      TimeoutStartSec=infinity
      ExecStart=/usr/bin/sleep infinity
      [Install]
      RequiredBy=sysinit.target
files:
  - path: /usr/lib/holdfast/update.d/60-stuck.yaml
    content: |
      health-timeout: 30s
"
            }
            Release::Wedged => {
                "extends: 2.0.yaml
units:
  - name: wedged.service
    enable: true
    content: |
      [Unit]
      DefaultDependencies=no
      After=local-fs.target
      [Service]
      Type=oneshot
      ExecStart=/bin/sh -c 'kill -SEGV 1'
      [Install]
      WantedBy=sysinit.target
files:
  - path: /usr/lib/systemd/system.conf.d/60-wedged.conf
    content: |
      [Manager]
      RuntimeWatchdogSec=15s
"
            }
        }
    }
}

/// The builds and the repository that has them all, each on the channel of its version.
#[derive(Debug)]
pub struct Releases {
    dir: PathBuf,
}

/// The releases; the first call builds and publishes them.
pub fn releases() -> Result<&'static Releases> {
    static RELEASES: Shared<Releases> = OnceLock::new();
    shared(&RELEASES, make)
}

impl Releases {
    /// Folder of a release's build.
    pub fn build(&self, release: Release) -> PathBuf {
        self.dir.join("builds").join(release.version())
    }

    /// The repository. Nobody may write to it.
    pub fn repository(&self) -> PathBuf {
        self.dir.join("repository")
    }

    /// Bytes of the patch between two releases, with the kernel image.
    pub fn patch(&self, from: Release, to: Release) -> Result<u64> {
        let path = self.dir.join(format!("{}.json", to.version()));
        let what = || format!("reading {}", path.display());
        let text = fs::read(&path).environment(what)?;
        let published: serde_json::Value = serde_json::from_slice(&text).environment(what)?;
        let patches = published["patches"].as_array().into_iter().flatten();
        let bytes = patches
            .filter(|patch| patch[0] == from.version())
            .find_map(|patch| patch[1].as_u64())
            .zip(published["kernel"].as_u64());
        bytes
            .map(|(patch, kernel)| patch + kernel)
            .ok_or_else(|| Error::environment(format!("{} has no such patch", path.display())))
    }

    /// A release's disk image, raw.
    pub fn image(&self, release: Release) -> PathBuf {
        self.build(release).join("fleet.raw")
    }
}

/// Metadata that is older than this may expire before a test ends.
const FRESH: Duration = Duration::from_secs(24 * 3600);

fn make() -> Result<Releases> {
    let dir = work_dir()?.join("releases");
    let at = |name: &str| dir.join(name);
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let age = at("keys").metadata().and_then(|meta| meta.modified());
    let age = age.map(|made| SystemTime::now().duration_since(made));
    if !age.is_ok_and(|age| age.is_ok_and(|age| age < FRESH)) {
        let _ = fs::remove_dir_all(&dir);
    }
    let what = || format!("preparing {}", dir.display());
    fs::create_dir_all(at("recipes")).environment(what)?;
    if !at("start").exists() {
        let (keys, start) = (text(at("keys")), text(at("start")));
        build_image(&["keys", "init", &keys, "--repository", &start])?;
    }
    fs::write(at("recipes/base.yaml"), BASE).environment(what)?;
    let releases = Releases { dir: dir.clone() };
    let mut stamps = Vec::new();
    for release in Release::ALL {
        let version = release.version();
        let recipe = at("recipes").join(format!("{version}.yaml"));
        let content = format!("version: \"{version}\"\n{}", release.recipe());
        fs::write(&recipe, content).environment(what)?;
        let out = releases.build(release);
        build_image(&["build", &text(recipe), "--out", &text(out.clone())])?;
        stamps.extend(fs::read(out.join("fleet.build.json")).environment(what)?);
    }
    // Written last, so what was published half is published again.
    if fs::read(at("published")).is_ok_and(|published| published == stamps) {
        return Ok(releases);
    }
    let repository = releases.repository();
    let _ = fs::remove_dir_all(&repository);
    copy(&at("start"), &repository)?;
    for release in Release::ALL {
        // The first update is patched from what machines have; all others from it.
        let against = match release {
            Release::Old => "0".to_owned(),
            Release::New => text(releases.build(Release::Old)),
            _ => text(releases.build(Release::New)),
        };
        let published = releases.publish(&repository, release, release.version(), &against)?;
        fs::write(at(&format!("{}.json", release.version())), published).environment(what)?;
    }
    fs::write(at("published"), stamps).environment(what)?;
    Ok(releases)
}

impl Releases {
    /// Publishes a release; what the publisher says of it, as JSON.
    fn publish(&self, to: &Path, release: Release, channel: &str, against: &str) -> Result<String> {
        let words = [
            "publish",
            "--json",
            "--channel",
            channel,
            "--against",
            against,
        ];
        let (build, keys) = (self.build(release), self.dir.join("keys"));
        let build = build.to_string_lossy();
        let (keys, to) = (keys.to_string_lossy(), to.to_string_lossy());
        let places = [&*build, "--repository", &*to, "--keys", &*keys];
        build_image(&[&words[..], &places].concat())
    }
}

/// One test's repository on a web server: its channel `stable` offers what the test says.
#[derive(Debug)]
pub struct Site {
    releases: &'static Releases,
    folder: PathBuf,
    /// The server.
    pub server: Server,
}

impl Site {
    /// A repository with all releases, and nothing on the channel yet.
    pub fn new(test: &str) -> Result<Self> {
        let releases = releases()?;
        let folder = releases.dir.join("sites").join(test);
        let _ = fs::remove_dir_all(&folder);
        copy(&releases.repository(), &folder)?;
        Ok(Site {
            releases,
            server: Server::start(&folder)?,
            folder,
        })
    }

    /// Puts a release on the channel `stable`.
    pub fn offer(&self, release: Release) -> Result<()> {
        self.releases
            .publish(&self.folder, release, "stable", "0")
            .map(drop)
    }

    /// The repository.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a file system image (EROFS) with a repository of `release` alone: metadata,
    /// and what a machine needs of the release. For machines without a network.
    pub fn stick(&self, release: Release) -> Result<PathBuf> {
        let what = || format!("making a stick of {}", self.folder.display());
        let (folder, image) = (
            self.folder.with_extension("d"),
            self.folder.with_extension("erofs"),
        );
        let _ = fs::remove_dir_all(&folder);
        copy(&self.folder, &folder)?;
        for entry in fs::read_dir(folder.join("targets/fleet/amd64")).environment(what)? {
            let entry = entry.environment(what)?;
            if entry.path().is_dir() && entry.file_name() != release.version() {
                fs::remove_dir_all(entry.path()).environment(what)?;
            }
        }
        let _ = fs::remove_file(&image);
        let mut mkfs = build_tools()?.command(Tool::MkfsErofs)?;
        mkfs.arg("--quiet").arg(&image).arg(&folder).run()?;
        fs::remove_dir_all(&folder).environment(what)?;
        Ok(image)
    }

    /// User-data that makes a machine ask this repository.
    pub fn user_data(&self) -> String {
        format!(
            "#cloud-config
write_files:
  - path: /etc/holdfast/update.d/50-test.yaml
    content: |
      servers: [\"{}\"]
      enabled: false
      reboot-strategy: \"off\"
      health-timeout: 4m
",
            self.server.url()
        )
    }
}

/// Copies a folder. Large files, which nobody writes to, become further names of one file.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("copying {} to {}", from.display(), to.display());
    fs::create_dir_all(to).environment(what)?;
    for entry in fs::read_dir(from).environment(what)? {
        let entry = entry.environment(what)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = entry.metadata().environment(what)?;
        if meta.is_dir() {
            copy(&source, &target)?;
        } else if meta.size() > 1 << 20 {
            fs::hard_link(&source, &target).environment(what)?;
        } else {
            fs::copy(&source, &target).environment(what)?;
        }
    }
    Ok(())
}
