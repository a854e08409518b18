use std::fs;
use std::os::unix::fs::symlink;

use nix::mount::{MsFlags, mount};

use super::failure::{Failure, OrFail};

const BROKEN_INITRD: &str = "build the image again; its initrd or kernel is not complete";

/// `/dev`, `/proc`, `/sys` and `/run`, with the options systemd would use.
pub fn early() -> Result<(), Failure> {
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    for (target, kind, flags, options) in [
        ("/dev", "devtmpfs", MsFlags::MS_NOSUID, "mode=0755"),
        ("/proc", "proc", safe, ""),
        ("/sys", "sysfs", safe, ""),
        (
            "/run",
            "tmpfs",
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_STRICTATIME,
            "mode=0755,size=20%,nr_inodes=800k",
        ),
    ] {
        fs::create_dir_all(target)
            .and_then(|()| Ok(mount(Some(kind), target, Some(kind), flags, Some(options))?))
            .or_fail(format_args!("mounting {kind} on {target}"), BROKEN_INITRD)?;
    }
    for (link, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ] {
        // Conveniences for mkfs; systemd makes them too.
        let _ = symlink(target, format!("/dev/{link}"));
    }
    Ok(())
}

/// Mounts a device, with a failure that names it.
pub fn device(
    source: &str,
    target: &str,
    kind: &str,
    flags: MsFlags,
    options: &str,
    remedy: &str,
) -> Result<(), Failure> {
    fs::create_dir_all(target)
        .and_then(|()| {
            Ok(mount(
                Some(source),
                target,
                Some(kind),
                flags,
                Some(options),
            )?)
        })
        .or_fail(
            format_args!("mounting {source} ({kind}) on {target}"),
            remedy,
        )
}

/// Moves a mount.
pub fn relocate(from: &str, to: &str) -> Result<(), Failure> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>).or_fail(
        format_args!("moving the mount {from} to {to}"),
        BROKEN_INITRD,
    )
}
