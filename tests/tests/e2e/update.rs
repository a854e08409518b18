//! Updates of a real machine, on both firmwares: from Debian's point release to what
//! Debian has now, and out of every kind of bad release by itself.

use std::time::{Duration, Instant};

use image_build::disk::layout::number;
use image_build::error::{Context, Error, Result};
use image_build::run::{Firmware, Storage};
use serde_json::json;
use tests::disk::{find, partition};
use tests::guest::{COMMAND, Guest, config_of};
use tests::releases::{Release, Site, releases};

/// One update: fetched over loopback and written by an emulated machine.
const UPDATE: Duration = Duration::from_secs(300);
/// From a reboot into a bad release to the way back: three tries, each with its timeout.
const WAY_BACK: Duration = Duration::from_secs(900);
/// A reboot, a login.
const REBOOT: Duration = Duration::from_secs(300);

/// Most memory of the service between its updates, in bytes.
const IDLE: u64 = 12_000_000;

/// What an update must not change: a file of the user's, a file below /etc that is his
/// and one that came with the system and that he changed, who the machine is.
const STATE: &str = "cat ~/kept /etc/kept /etc/issue /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; \
                     findmnt -no UUID /; id -u core";

struct Story {
    site: Site,
    guest: Guest,
}

impl Story {
    /// A machine with the old release that asks a repository of its own.
    fn begin(name: &str, firmware: Firmware, disk: &std::path::Path) -> Result<Self> {
        let site = Site::new(name)?;
        let mut config = config_of(name, "nocloud", &releases()?.image(Release::Old))?;
        config.firmware = firmware;
        config.memory = 1024;
        // What resets a machine whose PID 1 is gone.
        config.extra = ["-device", "i6300esb", "-device", "qemu-xhci"]
            .map(str::to_owned)
            .to_vec();
        config.storage = Storage::Persistent(disk.to_owned());
        config.scenario.user_data = Some(site.user_data().into());
        let guest = Guest::boot(name, &config)?;
        let story = Story { site, guest };
        story.runs(Release::Old)?;
        Ok(story)
    }

    /// The release is up, with its own kernel.
    fn runs(&self, release: Release) -> Result<()> {
        let version = ". /usr/lib/os-release && echo $IMAGE_VERSION";
        self.guest.expect(version, release.version())?;
        let (kernel, wanted) = (self.guest.sh("uname -v")?, kernel(release)?);
        assert!(kernel.contains(&wanted), "{kernel}, not {wanted}");
        Ok(())
    }

    fn status(&self) -> Result<serde_json::Value> {
        let text = self.guest.sh("sudo updater status --json")?;
        serde_json::from_str(&text).refused(|| format!("updater status printed {text:?}"))
    }

    /// Offers a release and installs it.
    fn install(&self, release: Release) -> Result<()> {
        self.site.offer(release)?;
        self.install_by("sudo updater update", release)
    }

    fn install_by(&self, command: &str, release: Release) -> Result<()> {
        let out = self.guest.machine.ssh(command, UPDATE)?;
        println!("{}: {}", release.version(), out.stderr.replace('\n', "; "));
        out.ok()?;
        let status = self.status()?;
        let staged = &status["machine"]["staged"];
        assert_eq!(*staged, release.version(), "{status:#}");
        Ok(())
    }

    fn boot_id(&self) -> Result<String> {
        self.guest.sh("cat /proc/sys/kernel/random/boot_id")
    }

    /// Restarts the machine, and waits until a release is up in another boot.
    fn reboot_into(&self, release: Release, timeout: Duration) -> Result<()> {
        let before = self.boot_id()?;
        let (starts, started) = (self.starts(), Instant::now());
        // The connection ends with the machine.
        let _ = self.guest.machine.ssh("sudo systemctl reboot", COMMAND);
        let both =
            "cat /proc/sys/kernel/random/boot_id && . /usr/lib/os-release && echo $IMAGE_VERSION";
        loop {
            let out = self.guest.machine.ssh(both, COMMAND)?;
            let mut lines = out.stdout.lines();
            let (boot, version) = (lines.next(), lines.next());
            if boot.is_some_and(|boot| boot != before) && version == Some(release.version()) {
                println!(
                    "{} is up after {:?}, boot {}",
                    release.version(),
                    started.elapsed(),
                    self.starts() - starts
                );
                return Ok(());
            }
            if started.elapsed() > timeout {
                return Err(Error::refused(format!(
                    "{} is not up after {timeout:?} but {version:?}; the console's end:\n{}",
                    release.version(),
                    self.guest.machine.console().tail(40)
                )));
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Installs a release from a stick, with the server gone.
    fn install_from_stick(&self, release: Release) -> Result<()> {
        self.site.offer(release)?;
        let sent = self.site.server.sent().len();
        let stick = self.site.stick(release)?;
        let path = stick.to_string_lossy();
        let machine = &self.guest.machine;
        let node = json!({"driver": "raw", "node-name": "stick", "read-only": true,
                          "file": {"driver": "file", "filename": path}});
        machine.qmp("blockdev-add", node)?;
        machine.qmp(
            "device_add",
            json!({"driver": "usb-storage", "drive": "stick"}),
        )?;
        // The machine's own disk is a virtio one.
        let there = "test -b /dev/sda && echo there";
        self.guest.wait_until(there, "there", COMMAND)?;
        self.guest.sh("sudo mount -o ro /dev/sda /mnt")?;
        self.install_by("sudo updater update --from /mnt", release)?;
        self.guest.sh("sudo umount /mnt")?;
        assert_eq!(self.site.server.sent().len(), sent, "the network was used");
        Ok(())
    }

    /// A good release, which was installed: booted, found good by the machine itself.
    fn moves_to(&self, release: Release) -> Result<()> {
        self.reboot_into(release, REBOOT)?;
        self.guest.expect_healthy()?;
        let good = "sudo updater status | grep -o 'running, known to be good'";
        self.guest
            .wait_until(good, "running, known to be good", REBOOT)
    }

    /// The service has looked for releases and does nothing now.
    fn is_idle_within_its_memory(&self) -> Result<()> {
        let pid = "systemctl show --property=MainPID --value updater";
        let resident = self.guest.sh(&format!(
            "sudo updater check >/dev/null; sed -n 's/^VmRSS: *//p' /proc/$({pid})/status"
        ))?;
        println!("idle: {resident}");
        let kib = resident.split_whitespace().next();
        let kib = kib.and_then(|n| n.parse::<u64>().ok());
        assert!(kib.is_some_and(|kib| kib << 10 <= IDLE), "{resident}");
        Ok(())
    }

    /// A bad release: installed, tried, left again, and not taken a second time.
    fn comes_back_from(&self, release: Release, spoil: impl FnOnce() -> Result<()>) -> Result<()> {
        self.install(release)?;
        spoil()?;
        let starts = self.starts();
        self.reboot_into(Release::New, WAY_BACK)?;
        let tries = self.starts() - starts - 1;
        assert!((1..=3).contains(&tries), "{tries} tries");
        // The service takes note of it once its boot is through.
        let version = release.version();
        let refused = format!(
            "sudo updater status --json | grep -o '\"refused\":.*' | grep -o '\"{version}\"' | head -n 1"
        );
        self.guest
            .wait_until(&refused, &format!("\"{version}\""), REBOOT)?;
        let again = self.guest.machine.ssh("sudo updater update", UPDATE)?;
        println!(
            "{version} again: {} {}{}",
            again.status, again.stdout, again.stderr
        );
        assert_eq!(again.status, 4, "{again:?}");
        let status = self.status()?;
        assert!(status["machine"]["staged"].is_null(), "{status:#}");
        Ok(())
    }

    /// How often the firmware has started a loader.
    fn starts(&self) -> usize {
        let console = self.guest.machine.console().text(0);
        let signs = ["SeaBIOS (version", "BdsDxe: starting Boot"];
        signs.iter().map(|sign| console.matches(sign).count()).sum()
    }
}

/// Debian's version of a release's kernel: of the first two another, but in the days
/// after a point release.
fn kernel(release: Release) -> Result<String> {
    let path = releases()?.image(release).with_extension("lock");
    let text = std::fs::read(&path).environment(|| format!("reading {}", path.display()))?;
    let lock: serde_json::Value =
        serde_json::from_slice(&text).refused(|| format!("{} is no lock", path.display()))?;
    let mut packages = lock["packages"].as_array().into_iter().flatten();
    let image = packages.find(|package| package["name"] == "linux-image-amd64");
    let version = image.and_then(|package| package["version"].as_str());
    version
        .map(str::to_owned)
        .ok_or_else(|| Error::refused(format!("{} has no kernel", path.display())))
}

fn story(name: &str, firmware: Firmware) -> Result<()> {
    let dir = tempfile::tempdir().environment(|| "making a folder".into())?;
    let story = Story::begin(name, firmware, &dir.path().join("disk.qcow2"))?;
    let guest = &story.guest;
    guest.sh("echo mine > kept && echo kept | sudo tee /etc/kept && echo changed | sudo tee -a /etc/issue && sync")?;
    let state = guest.sh(STATE)?;
    story.is_idle_within_its_memory()?;

    story.install(Release::New)?;
    story.moves_to(Release::New)?;
    assert_eq!(guest.sh(STATE)?, state, "the update changed state");
    story.runs(Release::New)?;
    story.is_idle_within_its_memory()?;

    story.comes_back_from(Release::Panic, || Ok(()))?;
    story.comes_back_from(Release::Corrupt, || damage(guest))?;
    for release in judged(firmware) {
        story.comes_back_from(*release, || Ok(()))?;
    }
    story.install_from_stick(Release::Next)?;
    story.moves_to(Release::Next)?;
    assert_eq!(guest.sh(STATE)?, state, "the updates changed state");
    story.guest.shut_down()
}

/// Releases that the system itself finds bad, by health checks, deadline and watchdog. The
/// way back is the one after a panic, which both firmwares go; each of these takes minutes.
/// `make soak` has all on both.
fn judged(firmware: Firmware) -> &'static [Release] {
    let all = std::env::var_os("HOLDFAST_SOAK").is_some();
    match firmware {
        _ if all => &[Release::Sick, Release::Stuck, Release::Wedged],
        Firmware::Bios => &[Release::Sick],
        _ => &[Release::Stuck, Release::Wedged],
    }
}

/// Overwrites a block of the installed release on the disk, after the updater has read
/// it back and committed: in the program of PID 1, which is read long after the mount.
fn damage(guest: &Guest) -> Result<()> {
    let what = || "reading the release".to_owned();
    let path = releases()?.image(Release::Corrupt);
    let image = std::fs::File::open(&path).environment(what)?;
    let usr = partition(&path, number::USR_A)?;
    // A text that systemd has and nothing else in the image.
    let block = find(&image, usr.start, usr.bytes, b"systemd.crash_reboot")?
        .ok_or_else(|| Error::refused("systemd does not have that text"))?
        / 4096;
    let slot =
        "disk=$(lsblk -npo PATH,PARTLABEL | sed -n 's/ *holdfast_3.1-corrupt$//p' | head -n 1)";
    guest.sh(&format!(
        "{slot} && sudo dd if=/dev/zero of=$disk bs=4096 count=1 seek={block} oflag=direct conv=notrunc"
    ))?;
    Ok(())
}

#[test]
fn uefi() -> Result<()> {
    story("update-uefi", Firmware::Uefi)
}

#[test]
fn bios() -> Result<()> {
    story("update-bios", Firmware::Bios)
}
