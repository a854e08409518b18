//! Secure Boot: a machine without keys takes the image's and then starts nothing else;
//! its kernel locks itself down, and the system works all the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image_build::disk::layout::number;
use image_build::error::{Context, Error, Result};
use image_build::run::{Firmware, MachineConfig, Storage};
use tests::disk::{find, partition};
use tests::fixture::{build_image, guest_dir, work_dir};
use tests::guest::{BOOT, Guest, config};

use crate::verity::{copied, invert};

/// Firmware, boot loader and no kernel, on a slow and busy host.
const REFUSAL: Duration = Duration::from_secs(120);

/// Reads one byte of an EFI variable, behind its four bytes of attributes.
fn variable(name: &str) -> String {
    format!(
        "od -An -tu1 -j4 /sys/firmware/efi/efivars/{name}-8be4df61-93ca-11d2-aa0d-00e098032b8c | tr -d ' '"
    )
}

/// The `docker` image, signed by keys made here: the image and its folder.
fn signed_image() -> Result<PathBuf> {
    let dir = work_dir()?.join("secure-boot");
    fs::create_dir_all(&dir).environment(|| format!("making {}", dir.display()))?;
    let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
    if !dir.join("keys/db.auth").exists() {
        build_image(&["keys", "secure-boot", &path("keys"), "--name", "Test"])?;
    }
    fs::write(
        dir.join("signed.yaml"),
        "name: signed\nextends: docker\nsecure_boot:\n  key: keys/db.key\n  \
         certificate: keys/db.pem\n  enroll: {keys: keys}\n",
    )
    .environment(|| "writing the recipe".to_owned())?;
    let (recipe, guest) = (path("signed.yaml"), guest_dir()?);
    let (out, guest) = (dir.to_string_lossy(), guest.to_string_lossy());
    build_image(&[
        "build",
        &recipe,
        "--format",
        "raw",
        "--out",
        &out,
        "--guest-bin",
        &guest,
    ])?;
    Ok(dir.join("signed.raw"))
}

/// A machine that keeps its disk and its firmware's variables in `disk`.
fn machine(name: &str, image: &Path, disk: &Path) -> Result<MachineConfig> {
    let mut config = config(name, "ec2")?;
    config.image = image.to_owned();
    config.firmware = Firmware::Uefi;
    config.secure_boot = true;
    config.storage = Storage::Persistent(disk.to_owned());
    Ok(config)
}

fn variables_of(disk: &Path) -> PathBuf {
    let mut name = disk.as_os_str().to_owned();
    name.push(".vars");
    name.into()
}

#[test]
fn keys_are_enrolled_and_nothing_else_starts() -> Result<()> {
    let image = signed_image()?;
    for (path, signatures) in image_build::inspect::read(&image, false)?.programs {
        let [signature] = &signatures[..] else {
            return Err(Error::refused(format!("{path}: {signatures:?}")));
        };
        assert!(
            signature.intact && signature.subject == "CN=Test db",
            "{path}"
        );
    }
    let disk = work_dir()?.join("secure-boot/enrolled.qcow2");
    for old in [disk.clone(), variables_of(&disk)] {
        let _ = fs::remove_file(old);
    }

    let guest = Guest::start("secure-boot", &machine("secure-boot", &image, &disk)?)?;
    // The firmware starts twice.
    guest.machine.wait_for_ssh(2 * BOOT)?;
    // The firmware had no keys, took them and started anew.
    assert_eq!(guest.machine.resets(), 1);
    guest.expect(&variable("SecureBoot"), "1")?;
    guest.expect(&variable("SetupMode"), "0")?;
    guest.expect_healthy()?;
    guest.expect(
        "sudo cat /sys/kernel/security/lockdown",
        "none [integrity] confidentiality",
    )?;
    // The initrd's modules were taken with their signatures, and so are those of /usr.
    guest.expect("findmnt -no FSTYPE,SOURCE /usr", "erofs /dev/mapper/usr")?;
    guest.expect(
        "sudo journalctl -k -b --no-pager -o cat | grep -c 'wants signed modules\\|does not take its signature' || true",
        "0",
    )?;
    guest.expect("cat /proc/sys/kernel/tainted", "0")?;
    guest.expect(
        "sudo modprobe nbd && lsmod | grep -c '^nbd ' && sudo docker info --format '{{.Driver}}'",
        "1\noverlay2",
    )?;
    // What is not signed by Debian's key is not loaded.
    guest.expect(
        "cp $(sudo modinfo -n nbd) /tmp/x.ko && sudo rmmod nbd && truncate -s -1 /tmp/x.ko && \
         { sudo insmod /tmp/x.ko 2>/dev/null || echo refused; }",
        "refused",
    )?;
    guest.shut_down()?;

    // One byte of the kernel in the UKI; then one of the boot loader.
    let uki = fs::read(image.with_extension("efi")).environment(|| "reading the UKI".to_owned())?;
    let kernel = updater::uki::section(&uki, ".linux")
        .ok()
        .flatten()
        .and_then(|kernel| kernel.get(1 << 20..(1 << 20) + 512))
        .ok_or_else(|| Error::refused("the UKI has no kernel"))?;
    refuses("secure-boot-uki", &image, &disk, (kernel, 1))?;
    refuses(
        "secure-boot-loader",
        &image,
        &disk,
        (b"#### LoaderInfo: systemd-boot", 2),
    )?;

    // Firmware that knows nothing of signatures.
    let mut config = config("signed-bios", "ec2")?;
    config.image = image;
    config.firmware = Firmware::Bios;
    let guest = Guest::boot("signed-bios", &config)?;
    guest.expect_healthy()?;
    guest.shut_down()
}

/// A machine with the keys of `enrolled` must not start the image after one byte was
/// changed: the first of `needle`, wherever that is on the ESP, in so many programs.
fn refuses(
    name: &str,
    image: &Path,
    enrolled: &Path,
    (needle, changes): (&[u8], usize),
) -> Result<()> {
    let disk = work_dir()?.join(format!("secure-boot/{name}.qcow2"));
    let _ = fs::remove_file(&disk);
    fs::copy(variables_of(enrolled), variables_of(&disk))
        .environment(|| "copying the firmware's variables".to_owned())?;
    let (changed, copy) = copied(name, image)?;
    let esp = partition(&changed, number::ESP)?;
    while let Some(at) = find(&copy, esp.start, esp.bytes, needle)? {
        invert(&copy, esp.start + at)?;
    }
    let programs = image_build::inspect::read(&changed, false)?.programs;
    let broken = programs.values().flatten().filter(|s| !s.intact).count();
    assert_eq!(broken, changes, "{name}");

    let guest = Guest::start(name, &machine(name, &changed, &disk)?)?;
    guest
        .machine
        .wait_for("(?i)security violation|access denied", REFUSAL)?;
    // Time enough for a kernel to say something.
    std::thread::sleep(Duration::from_secs(20));
    let console = guest.machine.console().text(0);
    for sign in ["] Linux version", "login:", "[    0."] {
        assert!(!console.contains(sign), "{name}: it started:\n{console}");
    }
    drop(guest);
    fs::remove_file(&changed).environment(|| "removing the changed image".to_owned())
}
