//! Leaves the initramfs.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};

use nix::mount::{MsFlags, mount};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{chdir, chroot};

use super::failure::{Failure, OrFail};
use super::mounts;

const BROKEN_IMAGE: &str = "boot the other slot or build the image again";
const DEFAULT_INIT: &str = "/usr/lib/systemd/systemd";

/// Makes `target` the root directory: moves the mounts, changes root. Wait for the thread, which frees the initramfs,
/// before another program takes over.
pub fn root(target: &str) -> Result<JoinHandle<()>, Failure> {
    for place in ["/usr", "/dev", "/proc", "/sys", "/run"] {
        mounts::relocate(place, &format!("{target}{place}"))?;
    }
    let old = File::open("/").or_fail("/", BROKEN_IMAGE)?;
    chdir(target).or_fail(target, BROKEN_IMAGE)?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)
        .or_fail("moving the root mount", BROKEN_IMAGE)?;
    chroot(".").or_fail("changing the root directory", BROKEN_IMAGE)?;
    chdir("/").or_fail("/", BROKEN_IMAGE)?;
    // The memory of the initramfs is only freed by deleting its files, which no path leads to any more.
    Ok(thread::spawn(move || {
        if let Ok(data) = old.metadata() {
            let path = format!("/proc/self/fd/{}", old.as_raw_fd());
            empty(Path::new(&path), data.dev());
        }
    }))
}

/// Deletes what is in a directory, as far as it is on the file system `device`. What cannot be deleted stays.
fn empty(directory: &Path, device: u64) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(data) = fs::symlink_metadata(&path) else {
            continue;
        };
        if data.dev() != device {
            continue;
        }
        if data.is_dir() {
            empty(&path, device);
            let _ = fs::remove_dir(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Realtime and monotonic microseconds at one moment, as systemd counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    realtime: i64,
    monotonic: i64,
}

impl Moment {
    /// Now. The clocks always exist.
    pub fn now() -> Self {
        let read = |clock| {
            nix::time::clock_gettime(clock)
                .map_or(0, |time| time.tv_sec() * 1_000_000 + time.tv_nsec() / 1000)
        };
        Self {
            realtime: read(nix::time::ClockId::CLOCK_REALTIME),
            monotonic: read(nix::time::ClockId::CLOCK_MONOTONIC),
        }
    }

    /// systemd's own serialisation: all it needs to show the initrd phase in `systemd-analyze`.
    fn serialised(self) -> String {
        format!("initrd-timestamp={} {}\n", self.realtime, self.monotonic)
    }
}

/// A file that systemd reads its state from.
fn state_file(began: Moment) -> Option<File> {
    // Not close-on-exec: the next program must find it.
    let mut file = File::from(memfd_create("systemd-state", MFdFlags::empty()).ok()?);
    file.write_all(began.serialised().as_bytes()).ok()?;
    file.rewind().ok()?;
    Some(file)
}

/// Replaces this program by the system's. Returns only if that fails.
pub fn exec(init: Option<&str>, began: Moment) -> Failure {
    let path = init
        .filter(|path| path.starts_with('/'))
        .unwrap_or(DEFAULT_INIT);
    let mut command = Command::new(path);
    let is_systemd = fs::canonicalize(path).is_ok_and(|real| real.ends_with("systemd/systemd"));
    if is_systemd && let Some(state) = state_file(began) {
        let number = OsString::from(state.as_raw_fd().to_string());
        command
            .args(["--switched-root", "--system", "--deserialize"])
            .arg(number);
        let _kept_open = state.into_raw_fd();
    }
    let error = command.exec();
    Failure::new(format!("running {path}: {error}"), BROKEN_IMAGE)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn state_is_what_systemd_reads() {
        let began = Moment {
            realtime: 1_700_000_000_000_001,
            monotonic: 1_234_567,
        };
        let mut text = String::new();
        state_file(began)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "initrd-timestamp=1700000000000001 1234567\n");
    }

    #[test]
    fn emptying_leaves_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        fs::write(directory.path().join("a/b/c"), "x").unwrap();
        empty(
            directory.path(),
            fs::metadata(directory.path()).unwrap().dev(),
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
