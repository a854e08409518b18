//! One flipped byte in /usr is found, and the machine does not run on it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use image_build::disk::layout::number;
use image_build::error::{Context, Error, Result};
use tests::disk::{find, partition};
use tests::fixture::{fixture, work_dir};
use tests::guest::{Guest, config};

/// A sparse copy of a raw image.
pub fn copied(name: &str, image: &Path) -> Result<(PathBuf, File)> {
    let what = || format!("copying {}", image.display());
    let source = File::open(image).environment(what)?;
    let path = work_dir()?.join(format!("{name}.raw"));
    let copy = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&path)
        .environment(what)?;
    let len = source.metadata().environment(what)?.len();
    copy.set_len(len).environment(what)?;
    let mut buf = vec![0; 1 << 20];
    for at in (0..len).step_by(buf.len()) {
        let n = source.read_at(&mut buf, at).environment(what)?;
        if buf[..n].iter().any(|b| *b != 0) {
            copy.write_all_at(&buf[..n], at).environment(what)?;
        }
    }
    Ok((path, copy))
}

/// A copy of the raw image with the byte at `offset` of /usr inverted.
fn flipped(name: &str, offset: impl FnOnce(&File, u64, u64) -> Result<u64>) -> Result<PathBuf> {
    let (path, copy) = copied(name, &fixture()?.raw)?;
    let usr = partition(&path, number::USR_A)?;
    let at = usr.start + offset(&copy, usr.start, usr.bytes)?;
    invert(&copy, at)?;
    Ok(path)
}

/// Inverts one byte.
pub fn invert(disk: &File, at: u64) -> Result<()> {
    let mut byte = [0];
    disk.read_exact_at(&mut byte, at)
        .and_then(|()| disk.write_all_at(&[!byte[0]], at))
        .environment(|| "damaging a copy".to_owned())
}

/// The machine must restart (or stop) without ever coming up.
fn refuses(name: &str, image: PathBuf) -> Result<()> {
    let mut config = config(name, "ec2")?;
    config.image = image.clone();
    let guest = Guest::start(name, &config)?;
    let deadline = Instant::now() + Duration::from_secs(180);
    while guest.machine.resets() == 0 {
        if Instant::now() > deadline {
            let tail = guest.machine.console().tail(30);
            return Err(Error::refused(format!(
                "{name}: the machine did not restart:\n{tail}"
            )));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let console = guest.machine.console().text(0);
    assert!(
        !console.contains("login:"),
        "{name}: it came up:\n{console}"
    );
    drop(guest);
    std::fs::remove_file(&image).environment(|| "removing the damaged copy".into())
}

/// In the first block, which is read before anything is mounted.
#[test]
fn in_the_file_systems_superblock() -> Result<()> {
    let image = flipped("verity-superblock", |_, _, _| Ok(1024))?;
    refuses("verity-superblock", image)
}

/// In the code of systemd itself, which runs long after the mount.
#[test]
fn in_a_program() -> Result<()> {
    let image = flipped("verity-program", |disk, start, size| {
        // A text that systemd's PID 1 has and nothing else in the image.
        let needle = b"systemd.crash_reboot";
        find(disk, start, size, needle)?
            .ok_or_else(|| Error::refused("systemd does not have that text"))
    })?;
    refuses("verity-program", image)
}
