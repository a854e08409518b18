//! The power goes at random moments of updates: QEMU is killed, again and again. Every
//! boot after that must reach the system, old or new, and go on with the update where it
//! was: what is fetched twice is counted by the server.
//!
//! `HOLDFAST_KILLS` says how often on each firmware (`make soak` says more), and
//! `HOLDFAST_SEED` repeats a run's moments.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use image_build::error::{Context, Error, Result};
use image_build::run::{Firmware, MachineConfig, Storage};
use image_build::simulate::GUEST;
use tests::guest::{BOOT, Guest, config_of};
use tests::random::{Random, number};
use tests::releases::{Release, releases};
use tests::server::{Sent, Server};

/// Kills on each firmware, if the environment does not say: one takes half a minute.
const KILLS: u32 = 16;
/// Most bytes that may be fetched twice because of one kill: blocks, kernel image,
/// indexes and metadata together.
const LOSS: u64 = 1 << 20;
/// Bytes per second: a download lasts long enough to be cut.
const PACE: u64 = 6 << 20;
/// Kills come up to so long after an update was committed.
const AFTER: Duration = Duration::from_secs(3);
/// One kill of so many waits for that; the others may come before.
const LATE: f64 = 0.2;
/// What follows a download, on an idle host.
const TAIL: Duration = Duration::from_secs(15);
/// An update that nobody cuts.
const UPDATE: Duration = Duration::from_secs(600);

/// The updates of a machine's life, after which it starts anew.
const LIFE: [Release; 3] = [Release::Old, Release::New, Release::Next];

/// What the updater says last.
const COMMITTED: &str = "reboot to start it";

/// What the machine does at each boot but the first, which ends by itself: systemd says
/// which release it is, and updates. Nothing else is started, not even udev: what a whole
/// boot does is tried elsewhere, and so much of it comes in a third of the time.
fn user_data(url: &str) -> String {
    let [old, new, next] = LIFE.map(Release::version);
    format!(
        "#cloud-config
coreos:
  units:
    - name: cut.target
      content: |
        [Unit]
        DefaultDependencies=no
        Wants=cut.service
    - name: cut.service
      content: |
        [Unit]
        DefaultDependencies=no
        [Service]
        ExecStartPre=-/sbin/modprobe virtio_net
        ExecStartPre=-/sbin/ip address add {GUEST}/24 dev eth0
        ExecStartPre=-/sbin/ip link set eth0 up
        ExecStart=/bin/sh -c '. /usr/lib/os-release; echo \"up: $IMAGE_VERSION.\"; updater mark-good; \\
          case $IMAGE_VERSION in {old}) to={new};; *) to={next};; esac; exec updater update --from {url} --channel $to'
        StandardOutput=tty
        StandardError=tty
        TTYPath=/dev/console
        Restart=on-failure
        RestartSec=1
runcmd:
  - systemctl set-default cut.target
power_state:
  mode: poweroff
"
    )
}

/// Which bytes of which file were sent to a machine.
#[derive(Default)]
struct Seen(BTreeMap<String, Vec<Range<u64>>>);

impl Seen {
    /// Adds what was sent; how much of it was sent before.
    fn add(&mut self, sent: &Sent) -> u64 {
        let known = self.0.entry(sent.path.clone()).or_default();
        let all = sent.bytes.end - sent.bytes.start;
        let mut new = vec![sent.bytes.clone()];
        for range in known.iter() {
            new = new
                .into_iter()
                .flat_map(|part| {
                    let before = part.start..part.end.min(range.start);
                    let after = part.start.max(range.end)..part.end;
                    [before, after]
                })
                .filter(|part| !part.is_empty())
                .collect();
        }
        let fresh: u64 = new.iter().map(|part| part.end - part.start).sum();
        known.extend(new);
        all - fresh
    }

    /// Bytes of a release's large files that were sent.
    fn of(&self, release: Release) -> u64 {
        let folder = format!("/{}/", release.version());
        let files = self.0.iter().filter(|(path, _)| path.contains(&folder));
        files
            .flat_map(|(_, parts)| parts)
            .map(|part| part.end - part.start)
            .sum()
    }
}

/// A machine that loses its power again and again.
struct Victim {
    name: String,
    server: Server,
    config: MachineConfig,
    disk: PathBuf,
    /// The disk after the first boot.
    born: PathBuf,
    random: Random,
    /// What was sent to this machine since it is new.
    seen: Seen,
    kills: u32,
    commits: u32,
    /// Most bytes that one kill made fetch twice.
    worst: u64,
}

impl Victim {
    fn new(name: &str, firmware: Firmware, dir: &Path) -> Result<Self> {
        let releases = releases()?;
        let server = Server::start(&releases.repository())?;
        server.limit(PACE);
        let disk = dir.join("disk.qcow2");
        let mut config = config_of(name, "nocloud", &releases.image(Release::Old))?;
        config.firmware = firmware;
        config.memory = 768;
        config.storage = Storage::Persistent(disk.clone());
        config.scenario.user_data = Some(user_data(&server.url()).into());
        Ok(Victim {
            name: name.to_owned(),
            server,
            config,
            born: dir.join("born.qcow2"),
            disk,
            random: Random::of_run(name)?,
            seen: Seen::default(),
            kills: 0,
            commits: 0,
            worst: 0,
        })
    }

    /// The first boot, which configures the machine and powers it off.
    fn bear(&self) -> Result<()> {
        let guest = Guest::start(&self.name, &self.config)?;
        if guest.machine.wait_off(2 * BOOT).is_none() {
            let tail = guest.machine.console().tail(40);
            let name = &self.name;
            return Err(Error::refused(format!("{name}: no first boot\n{tail}")));
        }
        drop(guest);
        copy(&self.disk, &self.born)
    }

    /// Boots. The release that comes up must be one of these.
    fn boot(&self, allowed: &[Release]) -> Result<(Guest, Release)> {
        let guest = Guest::start(&self.name, &self.config)?;
        let console = guest.machine.console();
        let found = console.wait_for(r"up: (\S+)\.\r?\n", 0, 2 * BOOT);
        let text = found.map(|found| found.text).map_err(|e| {
            Error::refused(format!(
                "{}: no system after {} kills: {}\n{}",
                self.name,
                self.kills,
                e.chain(),
                console.tail(60)
            ))
        })?;
        let up = allowed
            .iter()
            .find(|r| text.contains(&format!("up: {}.", r.version())));
        let up = up.ok_or_else(|| {
            let names: Vec<_> = allowed.iter().map(|r| r.version()).collect();
            let kills = self.kills;
            Error::refused(format!(
                "{}: after {kills} kills {text:?} of {names:?}",
                self.name
            ))
        })?;
        Ok((guest, *up))
    }

    /// Lets an update go on for a random time, and cuts the power. Whether the machine
    /// had said that the update is complete. `before` is how much the server had sent
    /// when the machine was powered on.
    fn kill(&mut self, guest: Guest, before: usize, to: Release, total: u64) -> Result<bool> {
        let console = guest.machine.console().clone();
        let wait = |limit: Duration, done: &dyn Fn() -> bool| {
            let start = Instant::now();
            while start.elapsed() < limit && !done() {
                std::thread::sleep(Duration::from_millis(5));
            }
            start.elapsed()
        };
        let committed = || console.text(0).contains(COMMITTED);
        let asked = || self.server.sent().len() > before;
        if wait(UPDATE, &asked) >= UPDATE {
            let tail = console.tail(40);
            return Err(Error::refused(format!("{}: no update\n{tail}", self.name)));
        }
        let left = total.saturating_sub(self.seen.of(to));
        let span = Duration::from_secs_f64(left as f64 / PACE as f64) + TAIL + AFTER;
        let late = self.random.next() < LATE;
        let moment = self.random.next();
        let lived = if late {
            let time = wait(UPDATE, &committed);
            std::thread::sleep(AFTER.mul_f64(moment));
            time
        } else {
            let moment = span.mul_f64(moment);
            // Nothing happens any more some seconds after the end.
            let time = wait(moment, &committed);
            std::thread::sleep(moment.saturating_sub(time).min(AFTER));
            time
        };
        guest.machine.power_cut();
        self.kills += 1;
        let committed = committed();
        if late && !committed {
            let tail = console.tail(40);
            return Err(Error::refused(format!("{}: no end\n{tail}", self.name)));
        }
        drop(guest);
        let sent = self.server.sent().split_off(before);
        let twice = sent.iter().map(|sent| self.seen.add(sent)).sum::<u64>();
        self.worst = self.worst.max(twice);
        self.commits += u32::from(committed);
        println!(
            "{} kill {}: {:.1} s of the way to {}, {}, {} of {} KiB fetched, {} KiB twice",
            self.name,
            self.kills,
            lived.as_secs_f64(),
            to.version(),
            if committed { "complete" } else { "cut" },
            self.seen.of(to) >> 10,
            total >> 10,
            twice >> 10
        );
        if twice > LOSS {
            return Err(Error::refused(format!(
                "{}: {twice} bytes were fetched twice: {sent:?}",
                self.name
            )));
        }
        Ok(committed)
    }

    /// One machine's life: all its updates, or as many kills as are left.
    fn live(&mut self, most: u32) -> Result<()> {
        copy(&self.born, &self.disk)?;
        self.seen = Seen::default();
        let mut may_run = vec![LIFE[0]];
        loop {
            let before = self.server.sent().len();
            let (guest, running) = self.boot(&may_run)?;
            let at = LIFE.iter().position(|r| *r == running).unwrap_or(0);
            let Some(to) = LIFE.get(at + 1).copied().filter(|_| self.kills < most) else {
                return Ok(());
            };
            let total = releases()?.patch(running, to)?;
            may_run = match self.kill(guest, before, to, total)? {
                true => vec![to],
                // It may have been complete without having said so.
                false => vec![running, to],
            };
        }
    }
}

/// Copies a disk and the firmware's variables.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let vars = |disk: &Path| disk.with_extension("qcow2.vars");
    for (from, to) in [(from.to_owned(), to.to_owned()), (vars(from), vars(to))] {
        if from.exists() {
            std::fs::copy(from, to).environment(|| "copying a disk".into())?;
        }
    }
    Ok(())
}

fn kills(name: &str, firmware: Firmware) -> Result<()> {
    let most = number("HOLDFAST_KILLS")?.map_or(KILLS, |n| n.try_into().unwrap_or(u32::MAX));
    let dir = tempfile::tempdir().environment(|| "making a folder".into())?;
    let mut victim = Victim::new(name, firmware, dir.path())?;
    let started = Instant::now();
    victim.bear()?;
    while victim.kills < most {
        victim.live(most)?;
    }
    println!(
        "{name}: {} kills, {} updates complete, 0 unbootable, at most {} KiB fetched twice, {:?}",
        victim.kills,
        victim.commits,
        victim.worst >> 10,
        started.elapsed()
    );
    Ok(())
}

#[test]
fn uefi() -> Result<()> {
    kills("kills-uefi", Firmware::Uefi)
}

#[test]
fn bios() -> Result<()> {
    kills("kills-bios", Firmware::Bios)
}

#[test]
fn what_is_sent_twice_is_counted_once() {
    let mut seen = Seen::default();
    let mut add = |bytes| {
        seen.add(&Sent {
            path: "targets/fleet/amd64/2.0/f".to_owned(),
            bytes,
        })
    };
    assert_eq!(add(0..10), 0);
    assert_eq!(add(5..20), 5);
    assert_eq!(add(0..30), 20);
    assert_eq!(add(30..40), 0);
    assert_eq!(add(25..26), 1);
    assert_eq!(seen.of(Release::New), 40);
}
