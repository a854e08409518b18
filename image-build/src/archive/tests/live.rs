//! Against the real archive; run by hand.

use super::*;

/// By hand: `HOLDFAST_CACHE=DIR cargo test -p image-build --lib live:: -- --ignored --nocapture`.
#[test]
#[ignore = "needs a Debian mirror and fetches 300 MB"]
fn image_packages() {
    let time = std::time::Instant::now();
    let lap = |what: &str| eprintln!("{:8.3}s {what}", time.elapsed().as_secs_f64());
    let cache = Cache::open(None).unwrap();
    let mirrors = Mirrors::discover(None, None, None).unwrap();
    let progress = Progress::auto();
    let archive = Archive::open(&cache, &mirrors, "trixie", "amd64", &progress).unwrap();
    lap("open");
    let split = |names: &str| {
        names
            .split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let requested = split(
        "base-files base-passwd bash coreutils systemd systemd-sysv udev dbus-broker docker.io docker-cli containerd \
         runc openssh-server sudo linux-image-amd64 iproute2 ca-certificates curl iptables systemd-resolved \
         systemd-timesyncd e2fsprogs mawk libpam-systemd procps",
    );
    let exclude = split(
        "adduser cpio debconf debconf-2.0 dpkg init-system-helpers initramfs-tools libdebconfclient0 linux-base \
         linux-initramfs-tool logsave openssl perl perl-base runit-helper sensible-utils ucf tini",
    );
    let lock = archive.resolve(&requested, &exclude).unwrap();
    lap("resolve");
    assert!(lock.packages.iter().all(|p| !exclude.contains(&p.name)));
    for p in &lock.packages {
        eprintln!("{} {} {:?}", p.name, p.version, p.pocket);
    }
    let fetched = fetch::fetch(&cache, &mirrors, &lock, &progress).unwrap();
    lap("fetch");
    assert_eq!(fetched.len(), lock.packages.len());
}

#[test]
#[ignore = "needs a Debian mirror and fetches 70 MB"]
fn tools() {
    use crate::tools::{Closure, Tool, Tools};
    let cache = Cache::open(None).unwrap();
    let mirrors = Mirrors::discover(None, None, None).unwrap();
    let progress = Progress::auto();
    let archive = Archive::open(&cache, &mirrors, "trixie", "amd64", &progress).unwrap();
    for (closure, programs) in [
        (
            Closure::Build,
            &[Tool::MkfsErofs, Tool::GrubMkimage, Tool::QemuImg][..],
        ),
        (Closure::Run, &[Tool::Qemu, Tool::QemuImg, Tool::Swtpm][..]),
    ] {
        for _ in 0..2 {
            let time = std::time::Instant::now();
            let tools = Tools::open(&cache, &mirrors, &archive, closure, &progress).unwrap();
            eprintln!("{closure:?} {} {:?}", tools.id(), time.elapsed());
            for program in programs {
                let out = tools
                    .command(*program)
                    .unwrap()
                    .arg("--version")
                    .run()
                    .unwrap();
                eprintln!(
                    "{}",
                    String::from_utf8_lossy(&out).lines().next().unwrap_or("")
                );
            }
        }
        let time = std::time::Instant::now();
        let no_archive = || panic!("no network is needed");
        Tools::last_or(&cache, &mirrors, no_archive, closure, &progress).unwrap();
        eprintln!("last {:?}", time.elapsed());
    }
}
