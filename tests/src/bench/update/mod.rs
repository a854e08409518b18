//! Updates: the same old and new image by our updater and by other tools, in one run:
//! bytes on the wire, time, CPU time and memory.

pub mod child;
mod machine;
mod methods;
mod ours;
mod pair;
mod peers;
mod rauc;
mod report;
mod server;

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

use self::child::Cost;
use self::methods::{Method, Place};
use self::ours::{Ours, Way};
use self::pair::Pair;
use self::peers::Peers;
use self::report::Line;
use self::server::{Server, Traffic, total};
use super::measure::median;
use super::{Bench, progress};

pub use self::pair::Folders;
pub use self::report::Updates;

/// Folder of our repository on the server.
const REPOSITORY: &str = "repository";

/// What several updates by one way took; all of them fetch the same.
#[derive(Debug)]
struct Measured {
    wire: Traffic,
    costs: Vec<Cost>,
}

/// Makes the pair and goes through all ways.
pub(super) fn measure(bench: &Bench, given: Option<&Folders>) -> Result<Updates> {
    let work = bench.work().join("update");
    let served = work.join("served");
    fs::create_dir_all(&served).context("creating a folder")?;
    let holdfast = bench.builder()?;
    let pair = Pair::make(&holdfast, given, &work, &served.join(REPOSITORY))?;
    let server = Server::start(&served)?;
    let mut updates = Updates {
        pair: pair.about()?,
        methods: Vec::new(),
        rates: Vec::new(),
        notes: Vec::new(),
    };
    if bench.holdfast_side().is_some() {
        ours(bench, &pair, &server, &work, &mut updates)?;
    }
    if bench.wants_peers() {
        theirs(bench, &pair, &server, &work, &mut updates)?;
    }
    notes(&mut updates, bench);
    Ok(updates)
}

fn ours(bench: &Bench, pair: &Pair, server: &Server, work: &Path, to: &mut Updates) -> Result<()> {
    let machine = Ours::new(pair, server, REPOSITORY, work)?;
    for way in Way::ALL {
        let (name, settings) = match way {
            Way::Patch => ("Holdfast, patch", "patch of 8 MiB windows"),
            Way::Reuse => ("Holdfast, reuse, no patch", "blocks of 4 KiB by hash tree"),
            Way::Full => ("Holdfast, all of it", "windows of 256 KiB"),
        };
        progress(&format!("updating: {name}"));
        let measured = machine.measure(way, bench.runs)?;
        let mut line = line(name, settings, &measured);
        if way == Way::Patch {
            line.publishing = Some(pair.publishing);
        }
        to.methods.push(line);
    }
    progress("updating with a slow network, and a slow disk");
    to.rates = machine.rates()?;
    Ok(())
}

fn theirs(
    bench: &Bench,
    pair: &Pair,
    server: &Server,
    work: &Path,
    to: &mut Updates,
) -> Result<()> {
    let peers = Peers::open(&bench.cache, &bench.mirrors, work)?;
    let place = Place {
        peers: &peers,
        old: &pair.old.usr,
        new: &pair.new.usr,
        served: &work.join("served"),
        work,
    };
    progress("publishing with the other tools");
    // One that fails says so, and the others are measured all the same.
    for (method, published) in publish(&place)? {
        progress(&format!("updating: {}", method.name()));
        let line = published.and_then(|cost| {
            let mut line = peer(bench, &place, method, server)?;
            line.publishing = Some(cost.cpu);
            Ok(line)
        });
        to.add(method.name(), line);
        place.forget(method)?;
    }
    let rauc = rauc::measure(bench, pair, &place, server);
    to.add("rauc, block-hash-index", rauc);
    Ok(())
}

/// Updates by one of the tools.
fn peer(bench: &Bench, place: &Place<'_>, method: Method, server: &Server) -> Result<Line> {
    place.prepare(method)?;
    let mut costs = Vec::new();
    let mut wire = Traffic::default();
    let out = place.work.join("made.usr");
    for _ in 0..bench.runs {
        server.take();
        costs.push(place.apply(method, server, &out)?);
        wire = total(&server.take());
        let (made, new) = (File::open(&out)?, File::open(place.new)?);
        let size = new.metadata()?.len();
        if made.metadata()?.len() != size || !same(&made, &new, size)? {
            bail!("it made another /usr");
        }
    }
    let version = place.peers.version(method.package());
    let settings = format!("{version}, {}", method.settings());
    Ok(line(method.name(), &settings, &Measured { wire, costs }))
}

/// Publishes with all tools, on all CPUs; in the order of [`Method::ALL`].
fn publish(place: &Place<'_>) -> Result<Vec<(Method, Result<Cost>)>> {
    let left = Mutex::new(Method::ALL.iter());
    let next = || left.lock().map_or(None, |mut left| left.next().copied());
    let work = || {
        let publish = |method: Method| {
            let cost = place.publish(method);
            progress(&format!("  published: {}", method.name()));
            (method, cost)
        };
        std::iter::from_fn(next).map(publish).collect::<Vec<_>>()
    };
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut all = thread::scope(|scope| {
        let workers: Vec<_> = (0..cpus).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow!("a thread died"))?);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    all.sort_by_key(|(method, _)| Method::ALL.iter().position(|m| m == method));
    Ok(all)
}

fn line(name: &str, settings: &str, measured: &Measured) -> Line {
    let middle =
        |value: fn(&Cost) -> f64| median(&measured.costs.iter().map(value).collect::<Vec<_>>());
    Line {
        name: name.to_owned(),
        settings: settings.to_owned(),
        wire: measured.wire.bytes(),
        requests: measured.wire.requests,
        seconds: middle(|cost| cost.wall),
        cpu: middle(|cost| cost.cpu),
        peak: measured.costs.iter().map(|cost| cost.peak).max(),
        publishing: None,
    }
}

fn notes(to: &mut Updates, bench: &Bench) {
    let runs = bench.runs;
    let kernel = to.pair.kernel_image as f64 / 1e6;
    let missing = std::mem::take(&mut to.notes);
    to.notes = vec![
        format!(
            "times are medians of {runs}, memory is the largest of {runs}; fetched from a server on \
             loopback that counts all bytes, headers and requests included"
        ),
        format!(
            "the kernel image ({kernel:.1} MB, compressed already) comes on top for everybody and is in \
             no wire figure of the first table; ours has all metadata in it"
        ),
        "Holdfast's time is that of the whole update: metadata, kernel image, slot, hash tree, reading \
         back, table and loader; the other tools write a file, which is flushed"
            .to_owned(),
        "memory is the resident set as the kernel counts it, mapped files included; `of zstd` is the \
         share of the smallest full download"
            .to_owned(),
    ];
    for line in &to.methods {
        to.notes.push(format!("{}: {}", line.name, line.settings));
    }
    to.notes.extend(missing);
}

/// Whether both have the same first bytes.
fn same(one: &dyn FileExt, other: &dyn FileExt, len: u64) -> io::Result<bool> {
    let mut buffers = [vec![0; 1 << 20], vec![0; 1 << 20]];
    let mut at = 0;
    while at < len {
        let now = buffers[0].len().min((len - at) as usize);
        let [a, b] = &mut buffers;
        one.read_exact_at(&mut a[..now], at)?;
        other.read_exact_at(&mut b[..now], at)?;
        if a[..now] != b[..now] {
            return Ok(false);
        }
        at += now as u64;
    }
    Ok(true)
}
