use super::*;

/// By hand: `HOLDFAST_CACHE=DIR cargo test -p image-build --lib live -- --ignored --nocapture`.
#[test]
#[ignore = "needs a Debian mirror and fetches 300 MB"]
fn live() {
    let time = std::time::Instant::now();
    let lap = |what: &str| eprintln!("{:8.3}s {what}", time.elapsed().as_secs_f64());
    let cache = Cache::open(None).unwrap();
    let mirrors = Mirrors::discover(None, None).unwrap();
    let progress = Progress::auto();
    let archive = Archive::open(&cache, &mirrors, "trixie", "amd64", &progress).unwrap();
    lap("open");
    let names = "base-files base-passwd bash coreutils systemd systemd-sysv udev dbus docker.io containerd openssh-server \
                 sudo linux-image-amd64 iproute2 ca-certificates iptables systemd-resolved systemd-timesyncd e2fsprogs mawk";
    let requested: Vec<String> = names.split_whitespace().map(String::from).collect();
    let lock = archive.resolve(&requested, &[]).unwrap();
    lap("resolve");
    for p in &lock.packages {
        eprintln!("{} {} {:?}", p.name, p.version, p.pocket);
    }
    let fetched = fetch::fetch(&cache, &mirrors, &lock, &progress).unwrap();
    lap("fetch");
    assert_eq!(fetched.len(), lock.packages.len());
}
