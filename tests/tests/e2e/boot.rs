//! Both firmwares reach a healthy system with a read-only, verified /usr.

use image_build::error::Result;
use image_build::run::Firmware;
use tests::guest::{Guest, config};

fn boots(name: &str, firmware: Firmware) -> Result<Guest> {
    let mut config = config(name, "ec2")?;
    config.firmware = firmware;
    config.cpus = 2;
    let guest = Guest::boot(name, &config)?;
    guest.expect_healthy()?;
    guest.expect("hostname", "web1.example.test")?;
    guest.expect("findmnt -no FSTYPE,SOURCE /usr", "erofs /dev/mapper/usr")?;
    guest.expect("findmnt -no FSTYPE /", "ext4")?;
    guest.expect("findmnt -no FSTYPE /etc", "overlay")?;
    guest.expect("sudo touch /usr/x 2>/dev/null || echo refused", "refused")?;
    guest.expect("sudo id -un", "root")?;
    guest.expect(
        "systemctl is-active docker.service ssh.service",
        "active\nactive",
    )?;
    // The initrd's part of the boot is on record.
    guest.expect("systemd-analyze time | grep -c '(initrd)'", "1")?;
    // Keys only, and only the kind that is quick to make.
    guest.expect(
        "sudo sshd -T | grep -ix 'passwordauthentication no' | wc -l",
        "1",
    )?;
    guest.expect(
        "ls /etc/ssh/ssh_host_*_key",
        "/etc/ssh/ssh_host_ed25519_key",
    )?;
    guest.expect("sudo docker info --format '{{.Driver}}'", "overlay2")?;
    Ok(guest)
}

#[test]
fn uefi() -> Result<()> {
    let guest = boots("boot-uefi", Firmware::Uefi)?;
    guest.expect("test -d /sys/firmware/efi && echo uefi", "uefi")?;
    // systemd-boot tells the system what it booted.
    guest.expect("ls /sys/firmware/efi/efivars | grep -c '^LoaderInfo-'", "1")?;
    guest.shut_down()
}

#[test]
fn bios() -> Result<()> {
    let guest = boots("boot-bios", Firmware::Bios)?;
    guest.expect("test -d /sys/firmware/efi || echo bios", "bios")?;
    guest.shut_down()
}
