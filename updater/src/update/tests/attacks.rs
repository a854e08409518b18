//! Whole updates under attack; see `ATTACKS.md`.

use std::fs;
use std::os::unix::fs::symlink;

use super::world::{Build, NOW, World, builds, noise};
use crate::slots::Content;
use crate::tuf::Target;
use crate::update::part::HEAD;
use crate::update::work::KERNEL;
use crate::update::{Done, Error, Refused};
use crate::verity::BLOCK;

/// Nothing that was not asked for has any effect, whatever it is called.
#[test]
fn a3_unexpected_targets_are_ignored() {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    for name in [
        "../../etc/passwd",
        "/etc/shadow",
        "a//b",
        ".",
        "docker/amd64/x\u{0}y",
    ] {
        let target = Target::of(b"evil");
        world.targets.insert(name.to_owned(), target);
    }
    world.publish(&release);
    let mut source = world.source();
    assert_eq!(world.update(&mut source).0.unwrap(), Done::Installed);
    world.assert_installed(&two);
}

/// A release whose place in the order lies in the far future would be the last one that
/// a machine ever takes.
#[test]
fn a4_a_release_from_the_future_is_refused() {
    let one = Build::new("1", 100, noise(1, 40 * BLOCK));
    for sequence in [NOW.plus_days(5000).0 as u64, 1 << 50] {
        let two = Build::new("2", sequence, noise(2, 40 * BLOCK));
        let mut world = World::new(&one);
        let release = world.release(&two, None);
        world.publish(&release);
        let error = world.check().unwrap_err();
        assert!(
            matches!(error, Error::Refused(Refused::Impossible(..))),
            "{error}"
        );
        world.assert_untouched();
    }
}

/// Links in place of what an earlier run kept: nothing is read or written through them.
#[test]
fn a16_links_among_kept_files_are_not_followed() {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    let victim = world.path("victim");
    fs::write(&victim, "precious").unwrap();
    world.check().unwrap();
    for name in [KERNEL, "journal.json"] {
        let link = world.path("state").join(name);
        symlink(&victim, &link).unwrap();
        let (done, _) = world.update(&mut world.source());
        // The kernel image has no other name; a journal is replaced, not written to.
        match name {
            "journal.json" => assert_eq!(done.unwrap(), Done::Installed),
            _ => assert!(matches!(done, Err(Error::State(..)))),
        }
        assert_eq!(fs::read(&victim).unwrap(), b"precious", "{name}");
        let _ = fs::remove_file(link);
    }
    world.assert_installed(&two);
}

/// What was verified or kept changes before it is used: it is verified where it is used.
#[test]
fn a16_kept_files_that_change_meanwhile_are_fetched_again() {
    let one = Build::new("1", 100, noise(1, 40 * BLOCK));
    let two = Build::new("2", 200, noise(2, 60 * BLOCK));
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    let mut source = world.source();
    source.left = two.uki.len() as u64 + 100_000;
    assert!(world.update(&mut source).0.is_err());
    let kernel = world.path("state").join(KERNEL);
    let mut bytes = fs::read(&kernel).unwrap();
    assert_eq!(bytes[HEAD..], two.uki);
    bytes[700] ^= 1;
    fs::write(&kernel, bytes).unwrap();
    // A window that the journal says is there, too.
    let disk = world.disk();
    let start = disk.inactive().usr.start as usize;
    let mut image = fs::read(world.path("disk")).unwrap();
    image[start + 5000] ^= 1;
    fs::write(world.path("disk"), image).unwrap();
    assert_eq!(
        world.update(&mut world.source()).0.unwrap(),
        Done::Installed
    );
    world.assert_installed(&two);
}

/// The running slot was changed on the disk: what is wrong in it does not get into the
/// new one.
#[test]
fn a17_a_changed_running_slot_does_not_spoil_the_new_one() {
    let (one, two) = builds();
    for from in [Some(&one), None] {
        for verity in [false, true] {
            let mut world = World::new(&one);
            let release = world.release(&two, from);
            world.publish(&release);
            let disk = world.disk();
            let slot = disk.slot(disk.running());
            let part = if verity { &slot.verity } else { &slot.usr };
            let mut image = fs::read(world.path("disk")).unwrap();
            image[part.start as usize + 3 * BLOCK + 17] ^= 1;
            fs::write(world.path("disk"), image).unwrap();
            let (done, _) = world.update(&mut world.source());
            match done {
                Ok(done) => {
                    assert_eq!(done, Done::Installed);
                    world.assert_installed(&two);
                }
                Err(error) => panic!("{error}: verity {verity}"),
            }
        }
    }
}

/// A machine whose trusted metadata is gone takes nothing older than what it runs.
#[test]
fn a17_f13_without_state_nothing_older_than_the_running_release_is_taken() {
    let (one, two) = builds();
    let mut world = World::new(&two);
    let release = world.release(&one, None);
    world.publish(&release);
    let error = world.check().unwrap_err();
    let older = matches!(error, Error::Refused(Refused::Older { running: 200, .. }));
    assert!(older, "{error}");
    fs::remove_dir_all(world.path("state")).unwrap();
    assert!(world.check().is_err());
    world.assert_untouched();
}

/// The state folder comes back from a snapshot, and the repository from then with it.
#[test]
fn f13_state_from_a_snapshot_allows_no_downgrade() {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let first = world.release(&one, None);
    world.publish(&first);
    world.check().unwrap();
    let copy = |from: &str, to: &str| {
        let status = std::process::Command::new("cp")
            .arg("-a")
            .args([world.path(from), world.path(to)])
            .status();
        assert!(status.unwrap().success());
    };
    copy("state", "old-state");
    copy("repository", "old-repository");
    let release = world.release(&two, None);
    world.publish(&release);
    assert_eq!(
        world.update(&mut world.source()).0.unwrap(),
        Done::Installed
    );
    // It runs release 2 now; both are put back.
    world.machine.version = "2".into();
    world.machine.root_hash = two.hash();
    world.machine.sequence = two.sequence;
    for name in ["state", "repository"] {
        fs::rename(world.path(name), world.path(&format!("new-{name}"))).unwrap();
        fs::rename(world.path(&format!("old-{name}")), world.path(name)).unwrap();
    }
    let error = world.check().unwrap_err();
    let older = matches!(error, Error::Refused(Refused::Older { running: 200, .. }));
    assert!(older, "{error}");
    // With today's repository old state is no hindrance.
    fs::remove_dir_all(world.path("repository")).unwrap();
    fs::rename(world.path("new-repository"), world.path("repository")).unwrap();
    assert_eq!(world.check().unwrap().offer, None);
}

/// State that two machines share, as clones do, is state of both: a clone goes on with
/// the update of the other, on its own disk.
#[test]
fn f12_a_clone_goes_on_by_its_own_disk() {
    let one = Build::new("1", 100, noise(1, 40 * BLOCK));
    let two = Build::new("2", 200, noise(2, 60 * BLOCK));
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    // Cloned before the other slot was written, with the journal of after.
    let clone = fs::read(world.path("disk")).unwrap();
    let mut source = world.source();
    source.left = two.uki.len() as u64 + 140_000;
    assert!(world.update(&mut source).0.is_err());
    fs::write(world.path("disk"), clone).unwrap();
    assert!(world.path("state/journal.json").exists());
    assert!(!matches!(
        world.disk().inactive().content(),
        Content::Release(..)
    ));
    assert_eq!(
        world.update(&mut world.source()).0.unwrap(),
        Done::Installed
    );
    world.assert_installed(&two);
}
