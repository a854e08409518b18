//! F10: what an update takes of memory, measured in a process that does nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use init::cmdline::RootHash;

use super::world::{Build, NOW, World, noise, with_files};
use crate::boot::testing::make_uki;
use crate::fetch::directory::Directory;
use crate::update::{Done, Event, Identity, Setup, Work, check};
use crate::verity::BLOCK;

/// The promise, in bytes; the program itself, its tests included, is in it.
const LIMIT: u64 = 64 << 20;
/// As published.
const WINDOW: usize = 8 << 20;
/// Names the machine's folder for [`an_update_alone`].
const FOLDER: &str = "UPDATER_TEST_MACHINE";

/// A patch with whole windows, each with the windows beside it as dictionary, and a
/// kernel image of 16 MiB: what takes most.
#[test]
fn f10_an_update_stays_within_64_mib() {
    let one = Build::new("1", 100, noise(1, 3 * WINDOW));
    let mut usr = one.usr.clone();
    for at in (0..usr.len()).step_by(1 << 20) {
        usr[at..at + BLOCK].copy_from_slice(&noise(at as u64, BLOCK));
    }
    let mut two = Build::new("2", 200, usr);
    let cmdline = format!("usrhash={} quiet", two.tree.root_hex());
    two.uki = make_uki(&two.version, &cmdline, 16 << 20);
    let mut world = World::with_windows(&one, WINDOW as u32);
    let release = world.release(&two, Some(&one));
    world.publish(&release);
    fs::write(world.path("root.json"), world.repository.root_bytes()).unwrap();
    fs::write(world.path("hash"), one.hash().to_string()).unwrap();

    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "update::tests::memory::an_update_alone"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, world.dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let peak = text.split_once("peak: ").unwrap().1;
    let peak: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    // A window's dictionary and the window itself must have been there.
    assert!(peak > 24 << 20, "{peak}: what was measured?");
    println!("{} KiB at most", peak >> 10);
    assert!(peak <= LIMIT, "{peak} bytes");
    world.assert_installed(&two);
}

#[test]
#[ignore = "a part of f10_an_update_stays_within_64_mib"]
fn an_update_alone() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let hash = fs::read_to_string(folder.join("hash")).unwrap();
    let machine = Identity {
        image: "docker".into(),
        architecture: "amd64".into(),
        version: "1".into(),
        root_hash: RootHash::parse(&hash).unwrap(),
        sequence: 100,
    };
    let setup = Setup {
        state: folder.join("state"),
        root: fs::read(folder.join("root.json")).unwrap(),
        channel: "stable".into(),
        now: NOW,
        again: false,
        downgrade: false,
        pin: None,
    };
    fs::create_dir_all(&setup.state).unwrap();
    let mut source = Directory::open(&folder.join("repository")).unwrap();
    let offer = check(&machine, &setup, &mut source).unwrap().offer.unwrap();
    let mut ways = Vec::new();
    let done = with_files(&folder, &machine, |disk, boot| {
        Work {
            state: &setup.state,
            disk,
            boot,
            source: &mut source,
            stop: &|| false,
            tell: &mut |event| {
                if let Event::Way { way, .. } = event {
                    ways.push(*way);
                }
            },
        }
        .install(&offer)
    });
    assert_eq!(
        (done.unwrap(), &ways[..]),
        (Done::Installed, &["patch"][..])
    );
    println!("peak: {} bytes", peak());
}

/// Most bytes of memory that this process had.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}
