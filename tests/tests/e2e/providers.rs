//! Every simulated provider: key, host name and user-data arrive.

use image_build::error::Result;
use tests::guest::{Guest, config};

const USER_DATA: &str = "#cloud-config
write_files:
  - path: /etc/greeting
    permissions: '0640'
    content: |
      hello from $private_ipv4
users:
  - name: ops
    groups: [sudo]
    ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9Rj0M5nGtCzXJmYh3ySyhVg3KqMBPn8xHqU7xR0000 ops]
coreos:
  units:
    - name: hello.service
      command: start
      content: |
        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=/usr/bin/touch /run/hello
      drop-ins:
        - name: 10-more.conf
          content: |
            [Service]
            ExecStart=/usr/bin/touch /run/hello-again
";

fn configures(name: &str, provider: &str, detected: &str) -> Result<()> {
    let mut config = config(name, provider)?;
    config.scenario.user_data = Some(USER_DATA.into());
    let guest = Guest::boot(name, &config)?;
    guest.expect_healthy()?;
    // Some providers tell the whole name, some its first part.
    guest.expect("hostname | cut -d. -f1", "web1")?;
    guest.expect("sudo cat /etc/greeting", "hello from 10.0.2.15")?;
    guest.expect("stat -c '%a %U' /etc/greeting", "640 root")?;
    guest.expect(
        "ls /run/hello /run/hello-again",
        "/run/hello\n/run/hello-again",
    )?;
    guest.expect("id -nG ops", "ops sudo")?;
    guest.expect(
        "sudo sh -c 'cat ~ops/.ssh/authorized_keys.d/oem | wc -l'",
        "1",
    )?;
    let status = guest.oem_status()?;
    assert_eq!(status["provider"], detected, "{status:#}");
    guest.shut_down()
}

#[test]
fn ec2() -> Result<()> {
    configures("provider-ec2", "ec2", "ec2")
}

#[test]
fn cloudstack() -> Result<()> {
    configures("provider-cloudstack", "cloudstack", "cloudstack")
}

#[test]
fn openstack_service() -> Result<()> {
    configures("provider-openstack", "openstack", "openstack")
}

#[test]
fn openstack_drive() -> Result<()> {
    configures(
        "provider-openstack-drive",
        "openstack-configdrive",
        "openstack",
    )
}

#[test]
fn nocloud() -> Result<()> {
    configures("provider-nocloud", "nocloud", "nocloud")
}

#[test]
fn cloudstack_drive() -> Result<()> {
    configures(
        "provider-cloudstack-drive",
        "cloudstack-configdrive",
        "cloudstack",
    )
}
