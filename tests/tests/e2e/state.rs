//! What a machine keeps from boot to boot, and how it grows.

use image_build::error::{Error, Result};
use image_build::run::Storage;
use tests::guest::{Guest, config};

const USER_DATA: &str = "#cloud-config
write_files:
  - path: /etc/kept
    content: from user-data
coreos:
  units:
    - name: kept.service
      enable: true
      content: |
        [Service]
        ExecStart=/usr/bin/sleep infinity
        [Install]
        WantedBy=multi-user.target
";

#[test]
fn second_boot_keeps_state_and_applies_nothing_and_a_larger_disk_is_used() -> Result<()> {
    let name = "state";
    let dir = tempfile::tempdir().map_err(|e| Error::environment("making a folder").because(e))?;
    let mut config = config(name, "ec2")?;
    config.storage = Storage::Persistent(dir.path().join("disk.qcow2"));
    config.scenario.user_data = Some(USER_DATA.into());

    let guest = Guest::boot(name, &config)?;
    guest.expect_healthy()?;
    let identity = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; stat -c '%n %Y %i' /etc/kept /etc/hostname \
                    /etc/systemd/system/kept.service /home/core/.ssh/authorized_keys.d/oem; findmnt -no UUID /";
    let before = guest.sh(identity)?;
    guest.expect(
        "echo mine > mine && sudo docker volume create vol1 && sync",
        "vol1",
    )?;
    let size = root_size(&guest)?;
    guest.shut_down()?;

    // The same machine with twice the disk, as after a resize at the provider.
    config.disk_size = Some(16 << 30);
    let guest = Guest::boot(name, &config)?;
    guest.expect_healthy()?;
    assert_eq!(
        guest.sh(identity)?,
        before,
        "files or identity changed on the second boot"
    );
    guest.expect("cat mine && sudo docker volume ls -q", "mine\nvol1")?;
    guest.expect("systemctl is-active kept.service", "active")?;
    let status = guest.oem_status()?;
    let changed = status["resources"]
        .as_array()
        .map(|all| all.iter().filter(|r| r["state"] != "unchanged").count());
    assert_eq!(changed, Some(0), "{status:#}");

    let grown = root_size(&guest)?;
    assert!(
        grown > size + (7 << 30),
        "root had {size} bytes, has {grown}"
    );
    // The backup table lies at the new end again.
    guest.expect(
        "sudo sfdisk --verify /dev/vda 2>&1 | grep -ci 'backup.*corrupt\\|not at the end' || true",
        "0",
    )?;
    guest.shut_down()
}

fn root_size(guest: &Guest) -> Result<u64> {
    let text = guest.sh("findmnt -bno SIZE /")?;
    text.trim()
        .parse()
        .map_err(|e| Error::refused(format!("findmnt printed {text:?}")).because(e))
}
