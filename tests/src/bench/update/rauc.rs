//! rauc streams a bundle through a network block device and dm-verity, which needs a
//! kernel that has both: it runs in a machine of ours, as its documentation says. The
//! bundle comes over the same counting server.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use image_build::run::{Accel, KeyPair, Machine, MachineConfig};
use image_build::simulate::{Provider, Scenario};

use super::child::{self, Cost};
use super::methods::Place;
use super::pair::Pair;
use super::report::Line;
use super::same;
use super::server::{Server, total};
use crate::bench::{Bench, progress};

const RECIPE: &str = include_str!("../../../bench/update/rauc.yaml");
const MANIFEST: &str = include_str!("../../../bench/update/manifest.raucm");
const SYSTEM: &str = include_str!("../../../bench/update/system.conf");
const OPENSSL: &str = include_str!("../../../bench/update/openssl.cnf");
const INSTALL: &str = include_str!("../../../bench/update/install.sh");

/// As the documentation has it for adaptive updates: small blocks.
const SQUASHFS: &str = "-comp zstd -Xcompression-level 9 -b 64k";

/// From power-on to a login.
const BOOT: Duration = Duration::from_secs(400);
/// One command, the installation excepted.
const COMMAND: Duration = Duration::from_secs(120);
/// The installation: hashing all of the old one, emulated.
const UPDATE: Duration = Duration::from_secs(900);

/// Installs a bundle with `adaptive=block-hash-index` over HTTP.
pub fn measure(bench: &Bench, pair: &Pair, place: &Place<'_>, server: &Server) -> Result<Line> {
    let work = place.work.join("rauc");
    fs::create_dir_all(&work).context("creating a folder")?;
    progress("publishing: rauc");
    let bundled = bundle(place, &work)?;
    progress("updating: rauc, in a machine");
    let (machine, target) = boot(bench, pair, place, &work)?;
    let sh = |command: &str| -> Result<String> {
        let out = machine.ssh(command, COMMAND)?.ok();
        Ok(out.with_context(|| format!("in the machine: {command}"))?)
    };
    sh("sudo modprobe -a nbd loop squashfs dm-verity && sudo mkdir -p /etc/rauc /var/lib/rauc")?;
    let keyring = fs::read_to_string(work.join("cert.pem")).context("reading the certificate")?;
    for (path, text) in [
        ("/etc/rauc/system.conf", SYSTEM),
        ("/etc/rauc/keyring.pem", &keyring),
        ("/etc/rauc/install.sh", INSTALL),
    ] {
        let command = format!("sudo tee {path} >/dev/null");
        machine
            .ssh_with_input(&command, text.as_bytes(), COMMAND)?
            .ok()?;
    }
    sh("sudo systemctl stop rauc; \
        sudo systemd-run --unit=bench-rauc -p Type=dbus -p BusName=de.pengutronix.rauc \
        rauc --override-boot-slot=A service")?;
    server.take();
    let start = Instant::now();
    let url = format!("http://10.0.2.2:{}/rauc/new.raucb", server.port());
    let told = machine.ssh(&format!("sudo sh /etc/rauc/install.sh {url}"), UPDATE)?;
    let seconds = start.elapsed().as_secs_f64();
    let wire = total(&server.take());
    let peaks = told.ok().context("installing with rauc")?;
    // The service and its process for the network live at the same time.
    let peak: u64 = peaks.lines().filter_map(|kb| kb.parse::<u64>().ok()).sum();
    machine.power_cut();
    let (made, new) = (File::open(&target)?, File::open(place.new)?);
    if !same(&made, &new, pair.new.size)? {
        bail!("rauc made another /usr");
    }
    Ok(Line {
        name: "rauc, block-hash-index".to_owned(),
        settings: format!(
            "{}, mksquashfs {SQUASHFS}; in an emulated machine, where it took {seconds:.0} s: no times \
             to compare",
            place.peers.version("rauc")
        ),
        wire: wire.bytes(),
        requests: wire.requests,
        seconds: None,
        cpu: None,
        peak: (peak > 0).then_some(peak * 1024),
        publishing: Some(bundled.cpu),
    })
}

/// Signs and packs the new /usr.
fn bundle(place: &Place<'_>, work: &Path) -> Result<Cost> {
    let config = work.join("openssl.cnf");
    fs::write(&config, OPENSSL).context("writing a configuration")?;
    let (key, cert) = (work.join("key.pem"), work.join("cert.pem"));
    let mut command = place.peers.command("openssl")?;
    command.args([
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
    ]);
    command.arg("-config").arg(config).arg("-keyout").arg(&key);
    child::run(command.arg("-out").arg(&cert), &work.join("openssl.log"))
        .context("making a certificate")?;

    let content = work.join("content");
    fs::create_dir_all(&content).context("creating a folder")?;
    fs::write(content.join("manifest.raucm"), MANIFEST).context("writing the manifest")?;
    fs::hard_link(place.new, content.join("usr.img")).context("linking the new /usr")?;
    let folder = place.served.join("rauc");
    fs::create_dir_all(&folder).context("creating a folder of the server")?;
    let mut command = place.peers.command("rauc")?;
    command.arg("bundle");
    for (option, path) in [("cert", &cert), ("key", &key), ("keyring", &cert)] {
        command.arg(format!("--{option}={}", path.display()));
    }
    command.arg(format!("--mksquashfs-args={SQUASHFS}"));
    command.arg(content).arg(folder.join("new.raucb"));
    child::run(&command, &work.join("bundle.log")).context("making rauc's bundle")
}

/// Boots a machine with rauc, the old /usr as a disk, and an empty disk beside it.
fn boot(
    bench: &Bench,
    pair: &Pair,
    place: &Place<'_>,
    work: &Path,
) -> Result<(Machine, std::path::PathBuf)> {
    let recipe = work.join("rauc.yaml");
    fs::write(&recipe, RECIPE).context("writing a recipe")?;
    let out = work.join("out");
    bench.builder()?.build_recipe(&recipe, "qcow2", &out)?;
    let target = work.join("target");
    let file = File::create(&target).context("creating a disk")?;
    file.set_len(pair.new.size).context("creating a disk")?;
    let tools = bench.tools()?;
    let key = KeyPair::in_cache(&tools, &bench.cache)?;
    let (accel, _) = Accel::probe(&tools, &bench.cache)?;
    let mut extra = Vec::new();
    for (name, path, readonly) in [("old", place.old, "on"), ("new", &target, "off")] {
        extra.extend([
            "-drive".to_owned(),
            format!(
                "if=none,id={name},format=raw,readonly={readonly},file={}",
                path.display()
            ),
            "-device".to_owned(),
            format!("virtio-blk-pci,drive={name},serial={name}"),
        ]);
    }
    let mut scenario = Scenario::new(Provider::named("nocloud")?);
    scenario.ssh_keys = vec![key.public];
    scenario.hostname = "bench".to_owned();
    let config = MachineConfig {
        scenario,
        extra,
        ssh_key: Some(key.private),
        console_log: Some(bench.logs.join("rauc.console.log")),
        ..MachineConfig::new(out.join("rauc.qcow2"), accel)
    };
    let machine = Machine::boot(&config, &tools).context("starting the machine")?;
    machine
        .wait_for_ssh(BOOT)
        .context("waiting for the machine")?;
    Ok((machine, target))
}
