//! Whole updates on machines with faults; see `ATTACKS.md`.

use std::fs;

use super::world::{Build, World, builds, noise};
use crate::update::work::KERNEL;
use crate::update::{Done, Error};
use crate::verity::BLOCK;

/// The state folder cannot be written (full, read-only, out of inodes): said, nothing
/// is done, and it goes on once it can.
#[test]
fn f3_a_state_folder_that_cannot_be_written_is_told() {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    let offer = world.check().unwrap().offer.unwrap();
    // Not even root writes to a file's name that a folder has.
    let kernel = world.path("state").join(KERNEL);
    fs::create_dir(&kernel).unwrap();
    let (done, _) = world.update(&mut world.source());
    let error = done.unwrap_err();
    assert!(matches!(error, Error::State(..)), "{error}");
    assert!(error.hint().unwrap().contains("free space") && !error.is_refusal());
    world.assert_untouched();
    fs::remove_dir(kernel).unwrap();

    // The journal alone.
    let journal = world.path("state/journal.json");
    fs::create_dir(&journal).unwrap();
    let error = world.update(&mut world.source()).0.unwrap_err();
    assert!(error.to_string().contains("journal"), "{error}");
    assert!(error.hint().unwrap().contains("free space"));
    let ukis = fs::read_dir(world.path("esp/EFI/Linux")).unwrap().count();
    assert_eq!(ukis, 1, "no part of a kernel image is left");
    fs::remove_dir(journal).unwrap();
    let (done, _) = world.update(&mut world.source());
    assert_eq!(done.unwrap(), Done::Installed);
    world.assert_installed(&two);
    assert_eq!(offer.version.as_str(), "2");
}

/// Another process of the updater is killed at some byte, again and again: what came
/// before is not fetched again.
#[test]
fn f10_any_number_of_restarts_resume() {
    let one = Build::new("1", 100, noise(1, 40 * BLOCK));
    let two = Build::new("2", 200, noise(2, 60 * BLOCK));
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    let all = (two.usr.len() + two.uki.len()) as u64;
    let (mut fetched, mut runs) = (0, 0);
    loop {
        runs += 1;
        let mut source = world.source();
        source.left = 90_000;
        let (done, _) = world.update(&mut source);
        fetched += source.fetched;
        match done {
            Ok(done) => {
                assert_eq!(done, Done::Installed);
                break;
            }
            Err(error) => assert!(error.is_network() && runs < 20, "{error}"),
        }
    }
    world.assert_installed(&two);
    // A window of 64 KiB at most each time.
    assert!(
        fetched < all + runs * 66_000,
        "{fetched} of {all} in {runs}"
    );
}

/// The updater of the other slot is an older or a newer one: what it left of an
/// installation is no journal to this one, and does no harm.
#[test]
fn f15_a_journal_of_another_updater_is_none() {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    let mut source = world.source();
    source.left = two.uki.len() as u64 + 3_000;
    assert!(world.update(&mut source).0.is_err());
    let path = world.path("state/journal.json");
    for text in [
        r#"{"format":2,"version":"2","windows":[[0,9]],"new":true}"#,
        r#"{"format":0}"#,
        "\0\0\0\0",
    ] {
        fs::write(&path, text).unwrap();
        let mut source = world.source();
        source.left = 1000;
        let error = world.update(&mut source).0.unwrap_err();
        assert!(error.is_network(), "{error}");
    }
    assert_eq!(
        world.update(&mut world.source()).0.unwrap(),
        Done::Installed
    );
    world.assert_installed(&two);
}
