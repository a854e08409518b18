//! What the end-to-end tests share: the built image, the tools, one SSH key.
//!
//! The image is built once by the real program and then only read: machines
//! write into overlays.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use image_build::archive::Archive;
use image_build::build;
use image_build::cache::Cache;
use image_build::error::{Context, Error, Result};
use image_build::progress::Progress;
use image_build::run::{Accel, KeyPair};
use image_build::tools::{Closure, Tools};

/// What every test of a machine needs, whichever image it boots.
#[derive(Debug)]
pub struct Host {
    /// The user's cache, shared with the builder.
    pub cache: Cache,
    /// QEMU and its firmware.
    pub tools: Tools,
    /// How QEMU runs instructions here.
    pub accel: Accel,
    /// Key that the simulated providers hand out.
    pub key: KeyPair,
}

/// The shared image.
#[derive(Debug)]
pub struct Fixture {
    /// The `docker` image, qcow2.
    pub image: PathBuf,
    /// The same, raw.
    pub raw: PathBuf,
}

/// The shared image; the first call builds it.
pub fn fixture() -> Result<&'static Fixture> {
    static FIXTURE: Shared<Fixture> = OnceLock::new();
    shared(&FIXTURE, || {
        let out = build_docker()?;
        Ok(Fixture {
            image: out.join("docker.qcow2"),
            raw: out.join("docker.raw"),
        })
    })
}

/// Tools, cache and key; the first call fetches what is missing.
pub fn host() -> Result<&'static Host> {
    static HOST: Shared<Host> = OnceLock::new();
    shared(&HOST, make_host)
}

/// Made once, also when it failed: then each test says why.
pub(crate) type Shared<T> = OnceLock<std::result::Result<T, String>>;

/// What a cell holds; the first call makes it.
pub(crate) fn shared<T>(
    cell: &'static Shared<T>,
    make: impl FnOnce() -> Result<T>,
) -> Result<&'static T> {
    let told = |e: Error| format!("{}\n{}", e.chain(), e.hint_text().unwrap_or_default());
    cell.get_or_init(|| make().map_err(told))
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

fn make_host() -> Result<Host> {
    let cache = Cache::open(None)?;
    let tools = tools(&cache, Closure::Run)?;
    let (accel, _) = Accel::probe(&tools, &cache)?;
    let key = KeyPair::in_cache(&tools, &cache)?;
    Ok(Host {
        tools,
        accel,
        key,
        cache,
    })
}

/// The programs that make images.
pub fn build_tools() -> Result<Tools> {
    tools(&host()?.cache, Closure::Build)
}

fn tools(cache: &Cache, closure: Closure) -> Result<Tools> {
    let mirrors = build::mirrors(None, None)?;
    let progress = Progress::quiet();
    let archive = || Archive::open(cache, &mirrors, "trixie", "amd64", &progress);
    Tools::last_or(cache, &mirrors, archive, closure, &progress)
}

/// Folder for images and logs: `e2e` in cargo's folder of the build profile. Locked
/// by one test program at a time.
pub fn work_dir() -> Result<PathBuf> {
    static LOCK: Mutex<Option<File>> = Mutex::new(None);
    let dir = profile_dir()?.join("e2e");
    std::fs::create_dir_all(dir.join("logs"))
        .environment(|| format!("making {}", dir.display()))?;
    // One thread asks for it, the others wait: a second open file would wait for the first one's lock.
    let mut held = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    if held.is_none() {
        let file = File::create(dir.join("lock")).environment(|| "making the lock".into())?;
        file.lock().environment(|| "taking the lock".into())?;
        *held = Some(file);
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
