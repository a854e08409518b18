//! One image for every hypervisor and cloud: the disk buses and network cards they
//! offer, and every simulated provider's key, host name and user-data. A boot shows
//! one of each.

use image_build::error::Result;
use image_build::run::{Bus, Firmware, Nic};
use tests::guest::{COMMAND, Guest, config};

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

/// A machine and what the kernel and the agent should call its parts.
struct Case {
    bus: Bus,
    nic: Nic,
    firmware: Firmware,
    disk_driver: &'static str,
    card_driver: &'static str,
    simulated: &'static str,
    provider: &'static str,
}

fn works(name: &str, case: &Case) -> Result<()> {
    let mut config = config(name, case.simulated)?;
    (config.disk, config.nic, config.firmware) = (case.bus, case.nic, case.firmware);
    config.scenario.user_data = Some(USER_DATA.into());
    let guest = Guest::boot(name, &config)?;
    guest.expect_healthy()?;
    has_drivers(&guest, case)?;
    is_configured(&guest, case.provider)?;
    if case.provider == "azure" {
        is_reported(&guest)?;
    }
    guest.shut_down()
}

/// Azure takes a machine for failed that does not say it is ready.
fn is_reported(guest: &Guest) -> Result<()> {
    let ready = "sudo oem status --json | grep -o 'Ready told to the wireserver'";
    guest.wait_until(ready, "Ready told to the wireserver", COMMAND)?;
    let requests = guest.machine.requests();
    let mut reports = requests
        .iter()
        .filter(|e| e.request.method == "POST" && e.request.path == "/machine");
    assert!(reports.any(|e| e.status == 200), "{requests:?}");
    Ok(())
}

fn has_drivers(guest: &Guest, case: &Case) -> Result<()> {
    // Those between the root disk and the bus it hangs on.
    let drivers = guest.sh(
        "d=$(lsblk -nso NAME,TYPE $(findmnt -no SOURCE /) | awk '$2==\"disk\"{print $1}' | tr -dc 'a-z0-9'); \
         p=$(readlink -f /sys/block/$d/device); \
         while [ \"$p\" != / ]; do [ -e $p/driver ] && basename $(readlink -f $p/driver); p=$(dirname $p); done",
    )?;
    assert!(
        drivers.lines().any(|d| d == case.disk_driver),
        "disk drivers {drivers:?}, not {}",
        case.disk_driver
    );
    guest.expect(
        "basename $(readlink -f /sys/class/net/e*/device/driver)",
        case.card_driver,
    )
}

fn is_configured(guest: &Guest, provider: &str) -> Result<()> {
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
    assert_eq!(status["provider"], provider, "{status:#}");
    Ok(())
}

macro_rules! machines {
    ($($name:ident: $bus:ident $disk:literal, $nic:ident $card:literal, $firmware:ident, $simulated:literal $provider:literal;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            works(concat!("machine-", stringify!($name)), &Case {
                bus: Bus::$bus,
                nic: Nic::$nic,
                firmware: Firmware::$firmware,
                disk_driver: $disk,
                card_driver: $card,
                simulated: $simulated,
                provider: $provider,
            })
        }
    )*};
}

machines! {
    virtio_blk_nocloud: VirtioBlk "virtio_blk", VirtioNet "virtio_net", Bios, "nocloud" "nocloud";
    virtio_scsi_openstack_drive: VirtioScsi "virtio_scsi", E1000 "e1000", Uefi, "openstack-configdrive" "openstack";
    nvme_ec2: Nvme "nvme", Vmxnet3 "vmxnet3", Uefi, "ec2" "ec2";
    ahci_cloudstack_drive: Ahci "ahci", E1000 "e1000", Bios, "cloudstack-configdrive" "cloudstack";
    ide_cloudstack: Ide "ata_piix", E1000 "e1000", Bios, "cloudstack" "cloudstack";
    lsi_sym53c8xx_openstack: Sym53c8xx "sym53c8xx", E1000 "e1000", Bios, "openstack" "openstack";
    megasas_azure: Megasas "megaraid_sas", VirtioNet "virtio_net", Bios, "azure-customdata" "azure";
    pvscsi_gce: Pvscsi "vmw_pvscsi", Vmxnet3 "vmxnet3", Bios, "gce" "gce";
}
