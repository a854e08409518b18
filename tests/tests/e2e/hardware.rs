//! One image for every hypervisor: the disk buses and network cards they offer.

use image_build::error::Result;
use image_build::run::{Bus, Firmware, Nic};
use tests::guest::{Guest, config};

fn boots(
    name: &str,
    bus: Bus,
    nic: Nic,
    firmware: Firmware,
    disk_driver: &str,
    nic_driver: &str,
) -> Result<()> {
    let mut config = config(name, "ec2")?;
    (config.disk, config.nic, config.firmware) = (bus, nic, firmware);
    let guest = Guest::boot(name, &config)?;
    // The drivers between the root disk and the bus it hangs on.
    let drivers = guest.sh(
        "d=$(lsblk -nso NAME,TYPE $(findmnt -no SOURCE /) | awk '$2==\"disk\"{print $1}' | tr -dc 'a-z0-9'); \
         p=$(readlink -f /sys/block/$d/device); \
         while [ \"$p\" != / ]; do [ -e $p/driver ] && basename $(readlink -f $p/driver); p=$(dirname $p); done",
    )?;
    assert!(
        drivers.lines().any(|d| d == disk_driver),
        "{name}: disk drivers {drivers:?}, not {disk_driver}"
    );
    let card = guest.sh("basename $(readlink -f /sys/class/net/e*/device/driver)")?;
    assert_eq!(card, nic_driver, "{name}");
    guest.shut_down()
}

macro_rules! machines {
    ($($name:ident: $bus:ident $nic:ident $firmware:ident $disk_driver:literal $nic_driver:literal;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            let name = concat!("hardware-", stringify!($name));
            boots(name, Bus::$bus, Nic::$nic, Firmware::$firmware, $disk_driver, $nic_driver)
        }
    )*};
}

machines! {
    virtio_blk: VirtioBlk VirtioNet Bios "virtio_blk" "virtio_net";
    virtio_scsi: VirtioScsi E1000 Uefi "virtio_scsi" "e1000";
    nvme: Nvme Vmxnet3 Uefi "nvme" "vmxnet3";
    ahci: Ahci E1000 Bios "ahci" "e1000";
    ide: Ide E1000 Bios "ata_piix" "e1000";
    lsi_sym53c8xx: Sym53c8xx E1000 Bios "sym53c8xx" "e1000";
    megasas: Megasas VirtioNet Bios "megaraid_sas" "virtio_net";
    pvscsi: Pvscsi Vmxnet3 Bios "vmw_pvscsi" "vmxnet3";
}
