//! Killed builds leave no half output and a cache that serves the next build.

use std::process::{Command, Stdio};
use std::time::Duration;

use image_build::cache::Cache;
use image_build::error::{Context, Error, Result};
use tests::fixture::{build_image, builder};

use super::mirror::{minimal, private_cache};

#[test]
fn kill_at_any_point() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let out = temp.path().join("out");
    // An empty cache of its own for what is unpacked; downloads come from the shared
    // one, so that the kills fall into the build and not into the network.
    let cache = temp.path().join("cache");
    let (shared, mirrors) = (Cache::open(None)?, image_build::build::mirrors(None, None)?);
    let lock = minimal(&shared, &mirrors)?;
    private_cache(&cache, &shared, &lock, "")?;
    for delay in [50, 200, 500, 1000, 2000, 3500, 6000] {
        let mut child = Command::new(builder()?)
            .args([
                "build", "minimal", "--quiet", "--format", "qcow2", "--cache",
            ])
            .arg(&cache)
            .arg("--out")
            .arg(&out)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .environment(|| "starting image-build".into())?;
        std::thread::sleep(Duration::from_millis(delay));
        let finished = child
            .try_wait()
            .environment(|| "looking at image-build".into())?
            .is_some();
        let _ = child.kill();
        let _ = child.wait();
        let names = visible(&out);
        assert!(
            finished || names.is_empty(),
            "killed after {delay} ms, yet there is {names:?}"
        );
        if finished {
            break;
        }
    }
    build_image(&[
        "build",
        "minimal",
        "--quiet",
        "--format",
        "qcow2",
        "--cache",
        &cache.to_string_lossy(),
        "--out",
        &out.to_string_lossy(),
    ])?;
    // The same as a build from a cache that never saw a kill.
    let clean = temp.path().join("clean");
    build_image(&[
        "build",
        "minimal",
        "--quiet",
        "--format",
        "qcow2",
        "--out",
        &clean.to_string_lossy(),
    ])?;
    let read = |dir: &std::path::Path| {
        std::fs::read(dir.join("minimal.qcow2")).environment(|| "reading the image".into())
    };
    if read(&out)? != read(&clean)? {
        return Err(Error::refused("the image built after the kills differs"));
    }
    let hidden = std::fs::read_dir(&out)
        .environment(|| "reading the outputs".into())?
        .flatten();
    let left: Vec<_> = hidden
        .filter(|e| e.file_name().to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

fn visible(dir: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|n| !n.starts_with('.'))
        .collect()
}
