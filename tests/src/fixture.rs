//! What the end-to-end tests share: the built image, the tools, one SSH key.
//!
//! The image is built once by the real program and then only read: machines
//! write into overlays.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use image_build::build;
use image_build::cache::Cache;
use image_build::error::{Context, Error, Result};
use image_build::progress::Progress;
use image_build::run::{Accel, KeyPair};
use image_build::tools::{Closure, Tools};

/// Everything a test needs to boot the image.
#[derive(Debug)]
pub struct Fixture {
    /// The user's cache, shared with the builder.
    pub cache: Cache,
    /// QEMU and its firmware.
    pub tools: Tools,
    /// How QEMU runs instructions here.
    pub accel: Accel,
    /// Key that the simulated providers hand out.
    pub key: KeyPair,
    /// The `docker` image, qcow2.
    pub image: PathBuf,
    /// The same, raw.
    pub raw: PathBuf,
}

/// The fixture; the first call builds the image.
pub fn fixture() -> Result<&'static Fixture> {
    static FIXTURE: OnceLock<std::result::Result<Fixture, String>> = OnceLock::new();
    FIXTURE
        .get_or_init(|| {
            make().map_err(|e| format!("{}\n{}", e.chain(), e.hint_text().unwrap_or_default()))
        })
        .as_ref()
        .map_err(|e| Error::environment(format!("setting up: {e}")))
}

/// Builds the `docker` image of the fixture, or finds it up to date. Returns its folder.
pub fn build_docker() -> Result<PathBuf> {
    let out = work_dir()?;
    let folder = out.to_string_lossy();
    build_image(&["build", "docker", "--format", "qcow2,raw", "--out", &folder])?;
    Ok(out)
}

fn make() -> Result<Fixture> {
    let out = build_docker()?;
    let cache = Cache::open(None)?;
    let mirrors = build::mirrors(None, None)?;
    let progress = Progress::quiet();
    let archive =
        || image_build::archive::Archive::open(&cache, &mirrors, "trixie", "amd64", &progress);
    let tools = Tools::last_or(&cache, &mirrors, archive, Closure::Run, &progress)?;
    let (accel, _) = Accel::probe(&tools, &cache)?;
    let key = KeyPair::in_cache(&tools, &cache)?;
    Ok(Fixture {
        tools,
        accel,
        key,
        image: out.join("docker.qcow2"),
        raw: out.join("docker.raw"),
        cache,
    })
}

/// Folder for images and logs: `e2e` in cargo's folder of the build profile. Locked
/// by one test program at a time.
pub fn work_dir() -> Result<PathBuf> {
    static LOCK: OnceLock<File> = OnceLock::new();
    let dir = profile_dir()?.join("e2e");
    std::fs::create_dir_all(dir.join("logs"))
        .environment(|| format!("making {}", dir.display()))?;
    if LOCK.get().is_none() {
        let file = File::create(dir.join("lock")).environment(|| "making the lock".into())?;
        file.lock().environment(|| "taking the lock".into())?;
        let _ = LOCK.set(file);
    }
    Ok(dir)
}

/// `target/<triple>/<profile>`, where this test program was built.
fn profile_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().environment(|| "finding this program".into())?;
    let deps = exe.parent().unwrap_or(Path::new("/"));
    let dir = if deps.ends_with("deps") {
        deps.parent().unwrap_or(deps)
    } else {
        deps
    };
    Ok(dir.to_path_buf())
}

/// The program under test.
pub fn builder() -> Result<PathBuf> {
    let path = match std::env::var_os("HOLDFAST_IMAGE_BUILD") {
        Some(path) => path.into(),
        None => profile_dir()?.join("image-build"),
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(
        Error::environment(format!("{} does not exist", path.display()))
            .hint("run the tests with `make test`, which builds it first"),
    )
}

/// Folder of the static `init`, `oem` and `updater`.
pub fn guest_dir() -> Result<PathBuf> {
    Ok(match std::env::var_os("HOLDFAST_GUEST_BIN") {
        Some(dir) => dir.into(),
        None => profile_dir()?.join("../guest"),
    })
}

/// Runs the builder; its output is shown when it fails.
pub fn build_image(args: &[&str]) -> Result<String> {
    let out = Command::new(builder()?)
        .args(args)
        .output()
        .environment(|| "starting image-build".into())?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(Error::environment(format!(
        "image-build {args:?} ended with {}:\n{}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    )))
}
