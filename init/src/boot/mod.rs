//! The initramfs: from the kernel's first process to systemd.
//!
//! [`run`] is the order of things. Nothing here sleeps; the one wait is for device events, with a deadline
//! (`rd.timeout=`, seconds). Every failure ends in [`failure::give_up`].

mod disk;
mod failure;
mod loader;
mod log;
mod mounts;
pub mod record;
mod reset;
mod root;
mod search;
mod switch;
mod tree;
mod uevent;
mod verity_device;

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use nix::mount::MsFlags;

use crate::cmdline::Cmdline;
use crate::modules::{ALWAYS, INDEX, Index};
use failure::{Failure, OrFail, RECORD_DISK};

pub use loader::modprobe;

/// Where the new root is put together.
const SYSROOT: &str = "/sysroot";
/// How long the disk may take to appear, in seconds, when `rd.timeout=` does not say.
const DEFAULT_TIMEOUT: u64 = 90;
/// Failed boots, on the root partition.
const FAILURES: &str = "/var/lib/holdfast/boot-failures.log";

const BROKEN_IMAGE: &str =
    "build the image again; its initrd, kernel and command line must come from one build";
const BAD_CMDLINE: &str = "correct the kernel command line in the boot entry";

/// Boots the machine. Never returns.
pub fn run() -> ! {
    failure::catch_panics();
    let began = switch::Moment::now();
    let mut cmdline = Cmdline::default();
    let Err(failure) = boot(&mut cmdline, began);
    failure::give_up(&failure, &cmdline)
}

fn boot(cmdline: &mut Cmdline, began: switch::Moment) -> Result<std::convert::Infallible, Failure> {
    let clock = Instant::now();
    mounts::early()?;
    log::open();
    *cmdline = Cmdline::parse(
        &fs::read_to_string("/proc/cmdline").or_fail("/proc/cmdline", BROKEN_IMAGE)?,
    );
    let hash = cmdline
        .usrhash()
        .or_fail("usrhash", BAD_CMDLINE)?
        .ok_or_else(|| Failure::new("the kernel command line has no usrhash=", BAD_CMDLINE))?;
    let options = cmdline.verity_options().or_fail("verity", BAD_CMDLINE)?;
    let timeout = cmdline
        .seconds("rd.timeout")
        .or_fail("rd.timeout", BAD_CMDLINE)?
        .unwrap_or(DEFAULT_TIMEOUT);
    let wanted = root::Wanted::parse(cmdline)?;

    hurry(true);
    let listener = uevent::Listener::open().or_fail("device events", BROKEN_IMAGE)?;
    let index = fs::read_to_string(INDEX).or_fail(INDEX, BROKEN_IMAGE)?;
    let index = Index::decode(&index).or_fail(INDEX, BROKEN_IMAGE)?;
    // The kernel asks for crypto algorithms through this program; see `modprobe`.
    let _ = fs::write("/proc/sys/kernel/modprobe", "/init");
    let loader = loader::Loader::start(index, cmdline.clone());
    // The way to the disk first, then by far the largest: everything else is done beside them.
    let coldplug = search::Coldplug::start(&loader);
    let processor = search::processor();
    loader.request_for(&processor);
    cmdline
        .forced_modules()
        .for_each(|name| loader.request(&name));

    let root_guid = match &wanted {
        root::Wanted::Guid(guid) => Some(*guid),
        _ => None,
    };
    let mut found = search::find(
        &listener,
        coldplug,
        hash,
        root_guid,
        Duration::from_secs(timeout),
    )?;
    let disk_time = clock.elapsed();
    loader.forget_rest();
    // What is wanted in any case may have been in the queue still.
    cmdline
        .forced_modules()
        .for_each(|name| loader.request(&name));
    ALWAYS.iter().for_each(|name| loader.request(name));
    // Verity and ext4 take the fastest checksum there is when they start, and keep it.
    loader.require_for(&processor);
    let record_disk = found.disk.has_record_area().then(|| found.disk.path());
    if let Ok(mut known) = RECORD_DISK.lock() {
        known.clone_from(&record_disk);
    }

    search::confirm(&found, &loader, hash, root_guid)?;
    let ahead = root::mount_ahead(&found.disk, &wanted, cmdline, &loader, SYSROOT)?;
    loader.require(&["dm_verity", "erofs"]);
    verity_device::open(&found.disk, found.usr, found.verity, hash, &options)?;
    mounts::device(
        verity_device::PATH,
        "/usr",
        cmdline.get("mount.usrfstype").unwrap_or("erofs"),
        MsFlags::MS_RDONLY | MsFlags::MS_NODEV,
        cmdline.get("mount.usrflags").unwrap_or_default(),
        "boot the other slot or write the image again",
    )?;
    loader.usr_is_mounted();
    let usr_time = clock.elapsed();

    search::confirm(&found, &loader, hash, root_guid)?;
    match ahead {
        Some(mounted) => mounted.wait()?,
        None => root::mount(&mut found.disk, &wanted, cmdline, &loader, SYSROOT)?,
    }
    tree::prepare(SYSROOT)?;
    loader.require(&["overlay"]);
    let root_time = clock.elapsed();

    let _ = fs::write("/proc/sys/kernel/modprobe", "/sbin/modprobe");
    hurry(false);
    drop(listener);
    loader.stop();
    let emptying = switch::root(SYSROOT)?;
    tree::mount_etc()?;
    if let Some(path) = record_disk {
        report_last_failure(&path);
    }
    log::info(&format!(
        "{} disk {} usr {} root {} total {} ms",
        found.disk.name,
        disk_time.as_millis(),
        (usr_time - disk_time).as_millis(),
        (root_time - usr_time).as_millis(),
        clock.elapsed().as_millis(),
    ));
    drop(emptying.join());
    Err(switch::exec(cmdline.get("init"), began))
}

/// Makes the kernel load modules faster, or as usual again.
fn hurry(on: bool) {
    let switch = if on { "1" } else { "0" };
    // Every module waits for the kernel's other readers a few times: 20 ms each, or next to nothing with short grace
    // periods (at the price of interrupts to all processors).
    // The self-tests of checksums take longer than all we use them for here; a wrong one fits no root hash.
    for file in [
        "/sys/kernel/rcu_expedited",
        "/sys/module/cryptomgr/parameters/notests",
    ] {
        // Only speed is lost where the kernel has no such switch.
        let _ = fs::write(file, switch);
    }
}

/// Tells of the last failed boot, in the log of this one and in a file.
fn report_last_failure(disk: &str) {
    match record::take(disk) {
        Ok(None) => {}
        Ok(Some(text)) => {
            log::warning(&format!("an earlier boot failed: {text}"));
            let kept = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(FAILURES);
            if let Err(error) = kept.and_then(|mut file| writeln!(file, "{text}")) {
                log::warning(&format!("{FAILURES}: {error}"));
            }
        }
        Err(error) => log::warning(&format!("looking for the record of a failed boot: {error}")),
    }
}
