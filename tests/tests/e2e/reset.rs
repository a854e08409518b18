//! Factory reset, whole and with paths that are kept, cut off and not; and a first boot
//! that is cut off.

use std::time::Duration;

use image_build::error::{Error, Result};
use image_build::run::{MachineConfig, Storage};
use tests::guest::{BOOT, Guest, config};

/// From power-on to what `init` says.
const EARLY: Duration = Duration::from_secs(120);

fn machine(name: &str) -> Result<(tempfile::TempDir, MachineConfig)> {
    let dir = tempfile::tempdir().map_err(|e| Error::environment("making a folder").because(e))?;
    let mut config = config(name, "ec2")?;
    config.storage = Storage::Persistent(dir.path().join("disk.qcow2"));
    Ok((dir, config))
}

/// Powers it on, and off again as soon as the console says `pattern`.
fn cut_at(name: &str, config: &MachineConfig, pattern: &str) -> Result<()> {
    let guest = Guest::start_until(name, config, |machine| {
        machine.wait_for(pattern, EARLY).map(drop)
    })?;
    guest.machine.power_cut();
    Ok(())
}

const IDENTITY: &str =
    "cat /etc/ssh/ssh_host_ed25519_key.pub; grep ^IMAGE_VERSION= /usr/lib/os-release";

/// All state goes, but what is kept; the release stays, and the provider's key lets its
/// owner in.
#[test]
fn what_is_kept_stays_and_all_else_goes_even_with_power_cuts() -> Result<()> {
    let name = "reset-keep";
    let (_dir, config) = machine(name)?;
    let guest = Guest::boot(name, &config)?;
    guest.expect_healthy()?;
    let before = guest.sh(IDENTITY)?;
    guest.sh(
        "mkdir data && echo mine > data/file && echo gone > file && sudo docker volume create vol1 && \
         echo changed | sudo tee /etc/motd && \
         sudo sh -c 'mkdir /srv/many && cd /srv/many && seq 20000 | xargs touch'",
    )?;
    let refused = guest
        .machine
        .ssh("sudo updater factory-reset < /dev/null", BOOT)?;
    assert!(refused.stderr.contains("must be confirmed"), "{refused:?}");
    let asked = "sudo updater factory-reset --yes --json --keep /home/core/data --keep /etc/ssh";
    guest.expect(
        asked,
        r#"{"next_boot":"prune","kept":["home/core/data","var/lib/holdfast/etc/upper/ssh"]}"#,
    )?;
    // Taken back, nothing happens.
    guest.expect(
        "sudo updater factory-reset --cancel",
        "there will be no reset",
    )?;
    guest.shut_down()?;
    let guest = Guest::boot(name, &config)?;
    guest.expect("cat file data/file", "gone\nmine")?;
    guest.sh(asked)?;
    // As after a power cut: nothing of it may depend on a clean shutdown.
    guest.sh("sync")?;
    guest.machine.power_cut();
    drop(guest);

    cut_at(name, &config, "factory reset: removing")?;
    cut_at(name, &config, "factory reset: (removing|done)")?;
    let guest = Guest::boot(name, &config)?;
    guest.expect_healthy()?;
    assert_eq!(guest.sh(IDENTITY)?, before, "release or host key changed");
    guest.expect("cat data/file; stat -c %U:%a data", "mine\ncore:755")?;
    guest.expect(
        "ls file /srv/many /var/lib/holdfast/reset-keep 2>/dev/null | wc -l",
        "0",
    )?;
    guest.expect("sudo docker volume ls -q", "")?;
    guest.expect("grep -c changed /etc/motd || true", "0")?;
    guest.expect("lsblk -no PARTLABEL $(findmnt -no SOURCE /)", "root")?;
    guest.shut_down()?;
    // Once, and no more.
    let guest = Guest::boot(name, &config)?;
    guest.expect("cat data/file", "mine")
}

/// Nothing is kept: another file system, another host key. Cut off while it is made,
/// as is the very first boot.
#[test]
fn all_goes_even_with_power_cuts_and_so_does_a_first_boot_that_was_cut() -> Result<()> {
    let name = "reset-all";
    let (_dir, config) = machine(name)?;
    // What `init` says in the middle of a first boot is for those who want to know.
    let mut talkative = config.clone();
    talkative.extra = [
        "-smbios",
        "type=11,value=io.systemd.stub.kernel-cmdline-extra=loglevel=7",
    ]
    .map(str::to_owned)
    .to_vec();
    cut_at(name, &talkative, "first boot: root partition")?;
    cut_at(
        name,
        &talkative,
        "what the root partition holds does not count",
    )?;

    let guest = Guest::boot(name, &config)?;
    guest.expect_healthy()?;
    let all = format!("{IDENTITY}; findmnt -no UUID /");
    let before = guest.sh(&all)?;
    guest.sh("echo gone > file && sync")?;
    guest.sh("sudo updater factory-reset --yes")?;
    guest.machine.power_cut();
    drop(guest);

    cut_at(
        name,
        &config,
        "what the root partition holds does not count",
    )?;
    cut_at(
        name,
        &config,
        "what the root partition holds does not count",
    )?;
    let guest = Guest::boot(name, &config)?;
    guest.expect_healthy()?;
    let after = guest.sh(&all)?;
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(&before), lines(&after));
    assert_ne!(before[0], after[0], "host key");
    assert_eq!(before[1], after[1], "release");
    assert_ne!(before[2], after[2], "file system");
    guest.expect("ls file 2>/dev/null | wc -l", "0")?;
    guest.expect("lsblk -no PARTLABEL $(findmnt -no SOURCE /)", "root")
}
