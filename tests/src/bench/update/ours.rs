//! Our side of the comparison: whole updates by each way, and how near an update
//! comes to what network and disk allow.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use updater::slots::Disk;

use super::child::{self, Cost};
use super::machine::{Machine, Told};
use super::pair::Pair;
use super::report::Rate;
use super::server::{Server, Traffic, total};
use super::{Measured, same};

/// Bytes per second of 100 Mbit/s and of 10 Mbit/s.
const FAST: f64 = 12.5e6;
const SLOW: f64 = 1.25e6;
/// Bytes per second of a small cloud volume, reading and writing together.
const VOLUME: f64 = 125e6;

/// A way, and what the server hides so that it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A patch from the running release.
    Patch,
    /// What the machine has, and the rest of the full stream.
    Reuse,
    /// The full stream.
    Full,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 3] = [Way::Patch, Way::Reuse, Way::Full];

    /// As the updater calls it.
    fn name(self) -> &'static str {
        match self {
            Way::Patch => "patch",
            Way::Reuse => "reuse",
            Way::Full => "full",
        }
    }

    fn hidden(self) -> &'static [&'static str] {
        match self {
            Way::Patch => &[],
            Way::Reuse => &[".from-"],
            Way::Full => &[".from-", ".usr.leaves"],
        }
    }
}

/// A machine, its repository's server, and where it works.
#[derive(Debug)]
pub struct Ours<'a> {
    pair: &'a Pair,
    server: &'a Server,
    machine: Machine,
    work: PathBuf,
}

/// One update.
#[derive(Debug)]
struct Update {
    cost: Cost,
    told: Told,
    /// All that went over the wire, and how much of it for the kernel image.
    traffic: Traffic,
    kernel: Traffic,
}

impl<'a> Ours<'a> {
    /// A machine that runs the old image, on a copy of its disk.
    pub fn new(pair: &'a Pair, server: &'a Server, repository: &str, work: &Path) -> Result<Self> {
        let work = work.join("machine");
        fs::create_dir_all(&work).context("creating a folder")?;
        let disk = work.join("disk");
        copy_sparse(&pair.old.disk, &disk)
            .with_context(|| format!("copying {}", pair.old.disk.display()))?;
        let machine = Machine {
            disk,
            esp: work.join("esp"),
            state: work.join("state"),
            root: pair.repository.join("metadata/1.root.json"),
            url: server.url(repository),
            image: pair.name.clone(),
            architecture: pair.architecture.clone(),
            version: pair.old.version.clone(),
            root_hash: pair.old.root_hash.to_string(),
            sequence: pair.old.epoch,
            disk_rate: None,
            limit: None,
            told: work.join("told.json"),
        };
        Ok(Ours {
            pair,
            server,
            machine,
            work,
        })
    }

    /// Updates by one way, `runs` times.
    pub fn measure(&self, way: Way, runs: u32) -> Result<Measured> {
        let mut costs = Vec::new();
        let mut wire = Traffic::default();
        // The first one makes the file system find room for the slot.
        for run in 0..=runs {
            let update = self.update(way, &self.machine)?;
            if run > 0 {
                costs.push(update.cost);
            }
            wire = Traffic {
                sent: update.traffic.sent - update.kernel.sent,
                received: update.traffic.received - update.kernel.received,
                requests: update.traffic.requests - update.kernel.requests,
            };
        }
        Ok(Measured { wire, costs })
    }

    /// Updates with a slow network, a slow disk, and both.
    pub fn rates(&self) -> Result<Vec<Rate>> {
        let plans = [
            (Way::Patch, Some(SLOW), None),
            (Way::Full, Some(FAST), None),
            (Way::Patch, None, Some(VOLUME)),
            (Way::Full, Some(FAST), Some(VOLUME)),
        ];
        let mut rates = Vec::new();
        for (way, network, disk) in plans {
            let machine = Machine {
                disk_rate: disk,
                ..self.machine.clone()
            };
            self.server.limit(network);
            let update = self.update(way, &machine);
            self.server.limit(None);
            let update = update?;
            let bytes = update.traffic.bytes();
            let moved = update.told.read + update.told.written;
            rates.push(Rate::new(
                way.name(),
                (bytes, network),
                (moved, disk),
                update.told.seconds,
            ));
        }
        Ok(rates)
    }

    fn update(&self, way: Way, machine: &Machine) -> Result<Update> {
        let uki = fs::read(&self.pair.old.uki).context("reading the old kernel image")?;
        machine.reset(&uki)?;
        let config = self.work.join("machine.json");
        fs::write(&config, serde_json::to_vec(machine)?).context("writing the machine")?;
        self.server.hide(way.hidden());
        self.server.take();
        let log = self.work.join(format!("{}.log", way.name()));
        let cost = child::run(&child::machine(&config)?, &log);
        let traffic = self.server.take();
        self.server.hide(&[]);
        let cost = cost.with_context(|| format!("updating by way of `{}`", way.name()))?;
        let told = fs::read(&machine.told).context("reading what happened")?;
        let told: Told = serde_json::from_slice(&told).context("reading what happened")?;
        if told.ways.last().map(String::as_str) != Some(way.name()) {
            bail!("the updater went by {:?}, not by {}", told.ways, way.name());
        }
        self.check()?;
        let kernel = traffic.iter().filter(|(path, _)| path.ends_with(".efi"));
        Ok(Update {
            cost,
            told,
            kernel: total(&kernel.map(|(path, t)| (path.clone(), *t)).collect()),
            traffic: total(&traffic),
        })
    }

    /// Whether the other slot holds the new /usr.
    fn check(&self) -> Result<()> {
        let disk = Disk::of_image(&self.machine.disk, self.pair.old.root_hash)?;
        let usr = disk.area(&disk.inactive().usr)?;
        if !same(&usr, &File::open(&self.pair.new.usr)?, self.pair.new.size)? {
            bail!("the slot does not hold the new /usr");
        }
        Ok(())
    }
}

/// Copies a file without its holes.
fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};

    use nix::unistd::{Whence, lseek};

    let mut source = File::open(from)?;
    let mut target = File::create(to)?;
    let len = source.metadata()?.len();
    target.set_len(len)?;
    let mut at = 0;
    loop {
        let data = match lseek(&source, at, Whence::SeekData) {
            Ok(data) => data,
            // Nothing but a hole is left.
            Err(nix::errno::Errno::ENXIO) => return target.sync_all(),
            Err(e) => return Err(e.into()),
        };
        at = lseek(&source, data, Whence::SeekHole)?;
        let start = SeekFrom::Start(data.unsigned_abs());
        source.seek(start)?;
        target.seek(start)?;
        io::copy(&mut (&source).take((at - data).unsigned_abs()), &mut target)?;
    }
}
