//! The same lock gives the same bytes, whatever the time, place, locale, umask and
//! number of threads.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use image_build::error::{Context, Error, Result};
use sha2::{Digest, Sha256};
use tests::fixture::builder;

fn build(out: &Path, lock: &Path, env: &[(&str, &str)], umask: u32, dir: &Path) -> Result<()> {
    let mut command = Command::new(builder()?);
    command
        .args([
            "build",
            "minimal",
            "--quiet",
            "--locked",
            "--force",
            "--format",
            "qcow2,raw",
            "--lock",
        ])
        .arg(lock)
        .arg("--out")
        .arg(out)
        .current_dir(dir)
        .envs(env.iter().copied());
    // umask has no other way into a child; the shell only sets it and becomes the builder.
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(format!("umask {umask:03o}; exec \"$@\""))
        .arg0("sh")
        .arg("sh")
        .arg(command.get_program());
    shell
        .args(command.get_args())
        .current_dir(dir)
        .envs(env.iter().copied());
    let out = shell
        .output()
        .environment(|| "starting image-build".into())?;
    if out.status.success() {
        return Ok(());
    }
    Err(Error::environment(
        String::from_utf8_lossy(&out.stderr).into_owned(),
    ))
}

fn digest(path: &Path) -> Result<String> {
    let what = || format!("reading {}", path.display());
    let mut file = std::fs::File::open(path).environment(what)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).environment(what)?;
        if read == 0 {
            return Ok(image_build::hex::encode(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

#[test]
fn two_builds_are_identical() -> Result<()> {
    let temp = tempfile::tempdir().environment(|| "making a folder".into())?;
    let lock = temp.path().join("the.lock");
    tests::fixture::build_image(&["lock", "minimal", "--out", &lock.to_string_lossy()])?;
    let (a, b) = (temp.path().join("a"), temp.path().join("elsewhere/b"));
    build(
        &a,
        &lock,
        &[
            ("TZ", "Asia/Tokyo"),
            ("LC_ALL", "C"),
            ("RAYON_NUM_THREADS", "1"),
        ],
        0o022,
        temp.path(),
    )?;
    build(
        &b,
        &lock,
        &[
            ("TZ", "UTC"),
            ("LC_ALL", "de_DE.UTF-8"),
            ("RAYON_NUM_THREADS", "4"),
        ],
        0o077,
        Path::new("/"),
    )?;

    let names = |dir: &Path| -> Result<Vec<String>> {
        let mut names: Vec<String> = std::fs::read_dir(dir)
            .environment(|| format!("reading {}", dir.display()))?
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    };
    let files = names(&a)?;
    assert_eq!(files, names(&b)?);
    assert!(files.len() >= 7, "{files:?}");
    for file in files {
        assert_eq!(
            digest(&a.join(&file))?,
            digest(&b.join(&file))?,
            "{file} differs"
        );
    }
    Ok(())
}
