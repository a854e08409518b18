use std::fs;

use super::world::{Build, World, builds, noise};
use crate::delta::{apply, plan};
use crate::release::Release;
use crate::slots::Content;
use crate::update::{Done, Error};
use crate::verity::BLOCK;

#[test]
fn a_machine_gets_the_next_release() {
    let (one, two) = builds();
    for (from, way) in [(Some(&one), "patch"), (None, "reuse")] {
        let mut world = World::new(&one);
        let release = world.release(&one, None);
        world.publish(&release);
        let found = world.check().unwrap();
        assert_eq!((found.version.as_str(), found.offer), ("1", None));

        let release = world.release(&two, from);
        world.publish(&release);
        let found = world.check().unwrap();
        let offer = found.offer.unwrap();
        assert_eq!((offer.version.as_str(), offer.urgent), ("2", false));
        world.assert_untouched();

        let mut source = world.source();
        let (done, ways) = world.update(&mut source);
        assert_eq!(done.unwrap(), Done::Installed);
        assert_eq!(ways, [way]);
        world.assert_installed(&two);
        // One block and twenty of sixty are new; the kernel image comes, too.
        let most = 21 * BLOCK + 2 * BLOCK + two.uki.len() + 2 * 64 * 1024;
        assert!(source.fetched < most as u64, "{}", source.fetched);

        // Again: nothing is fetched, nothing changes.
        let mut source = world.source();
        let (done, ways) = world.update(&mut source);
        assert_eq!(done.unwrap(), Done::Staged);
        assert!(ways.is_empty() && source.fetched == 0);
        world.assert_installed(&two);
    }
}

#[test]
fn f1_an_update_that_was_cut_goes_on() {
    let one = Build::new("1", 100, noise(1, 40 * BLOCK));
    // Nothing in common: all of it has to come.
    let two = Build::new("2", 200, noise(2, 60 * BLOCK));
    let all = (two.usr.len() + two.uki.len()) as u64;
    for cut in [1, 20_000, 60_000, 130_000, 200_000, 250_000, 290_000] {
        let mut world = World::new(&one);
        let release = world.release(&two, None);
        world.publish(&release);
        let mut source = world.source();
        source.left = cut;
        let (done, _) = world.update(&mut source);
        let error = done.unwrap_err();
        assert!(error.is_network() && !error.is_refusal(), "{error}");
        assert!(!matches!(
            world.disk().inactive().content(),
            Content::Release(..)
        ));

        let first = source.fetched;
        let mut source = world.source();
        let (done, _) = world.update(&mut source);
        assert_eq!(done.unwrap(), Done::Installed);
        world.assert_installed(&two);
        // A window at most is fetched twice; frames have a few bytes more.
        let twice = first + source.fetched - all;
        assert!(twice < 66_000, "cut at {cut}: {twice} bytes twice");
    }
}

#[test]
fn a_newer_release_supersedes_one_that_is_partly_written() {
    let (one, two) = builds();
    let three = Build::new("3", 300, noise(9, 50 * BLOCK));
    let mut world = World::new(&one);
    let release = world.release(&two, Some(&one));
    world.publish(&release);
    let mut source = world.source();
    source.left = two.uki.len() as u64 + 3_000;
    assert!(world.update(&mut source).0.is_err());
    let release = world.release(&three, None);
    world.publish(&release);
    let mut source = world.source();
    assert_eq!(world.update(&mut source).0.unwrap(), Done::Installed);
    world.assert_installed(&three);
}

/// Changes a byte of a file of the repository.
fn damage(world: &World, artefact: &crate::release::Artefact) {
    let path = world.path("repository").join(artefact.path());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a6_a_wrong_patch_is_left_for_another_way() {
    let (one, two) = builds();
    type Choose = fn(&Release) -> &crate::release::Artefact;
    let choose: [(Choose, &[&str]); 2] = [
        (
            |release| &release.usr.patches[0].stream.data,
            &["patch", "reuse"],
        ),
        (|release| &release.usr.patches[0].stream.index, &["reuse"]),
    ];
    for (artefact, ways) in choose {
        let mut world = World::new(&one);
        let release = world.release(&two, Some(&one));
        world.publish(&release);
        damage(&world, artefact(&release));
        let (done, taken) = world.update(&mut world.source());
        assert_eq!(done.unwrap(), Done::Installed);
        assert_eq!(taken, ways);
        world.assert_installed(&two);
    }
}

#[test]
fn a1_artefacts_that_are_not_the_signed_ones_are_refused() {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    damage(&world, &release.usr.full.data);
    let error = world.update(&mut world.source()).0.unwrap_err();
    let crate::install::Error::Window { source, .. } = (match error {
        Error::Install(ref e) => e,
        ref other => panic!("{other}"),
    }) else {
        panic!("{error}")
    };
    let source = source.downcast_ref::<apply::Error>();
    assert!(matches!(source, Some(apply::Error::Wrong { .. })));
    assert!(error.is_refusal());

    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    damage(&world, &release.uki);
    let error = world.update(&mut world.source()).0.unwrap_err();
    assert!(matches!(error, Error::Wrong(_)) && error.is_refusal());
    world.assert_untouched();
}

/// Signed, but not one build: each artefact of release 2 in turn is that of release 3.
#[test]
fn a7_artefacts_of_two_builds_do_not_get_installed() {
    let (one, two) = builds();
    let three = Build::new("3", 300, noise(9, 60 * BLOCK));
    type Mix = fn(&mut Release, &Release);
    let mixes: [Mix; 4] = [
        |two, three| two.uki = three.uki.clone(),
        |two, three| two.usr.root_hash = three.usr.root_hash,
        |two, three| two.usr.full = three.usr.full.clone(),
        |two, three| two.usr.full.data = three.usr.full.data.clone(),
    ];
    for mix in mixes {
        let mut world = World::new(&one);
        let mut release = world.release(&two, None);
        mix(&mut release, &world.release(&three, None));
        // Nothing but the full stream.
        release.usr.leaves = None;
        world.publish(&release);
        let error = world.update(&mut world.source()).0.unwrap_err();
        assert!(error.is_refusal(), "{error}");
        assert!(!matches!(
            world.disk().inactive().content(),
            Content::Release(..)
        ));
        let ukis = fs::read_dir(world.path("esp/EFI/Linux")).unwrap();
        assert_eq!(ukis.count(), 1);
    }
}

/// The leaves of another release, for which the root hash does not come out.
#[test]
fn a7_leaves_of_another_build_are_left_for_the_full_stream() {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let mut release = world.release(&two, None);
    let three = Build::new("3", 300, noise(9, 60 * BLOCK));
    release.usr.leaves = world.release(&three, None).usr.leaves;
    world.publish(&release);
    let (done, ways) = world.update(&mut world.source());
    assert_eq!(done.unwrap(), Done::Installed);
    assert_eq!(ways, ["full"]);
    world.assert_installed(&two);
}

#[test]
fn f6_a_slot_that_is_too_small_is_told_before_anything_is_fetched() {
    let one = Build::new("1", 100, noise(1, 40 * BLOCK));
    let two = Build::new("2", 200, noise(2, 65 * BLOCK));
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    let mut source = world.source();
    let error = world.update(&mut source).0.unwrap_err();
    assert!(matches!(
        error,
        Error::Install(crate::install::Error::Slots(
            crate::slots::Error::TooSmall { .. }
        ))
    ));
    assert_eq!(source.fetched, 0);
    world.assert_untouched();
}

#[test]
fn a_stop_keeps_what_was_fetched() {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    let offer = world.check().unwrap().offer.unwrap();
    let calls = std::cell::Cell::new(0);
    let state = world.path("state");
    let mut source = world.source();
    let error = world.with_boot(|disk, boot| {
        crate::update::Work {
            state: &state,
            disk,
            boot,
            source: &mut source,
            stop: &|| {
                calls.set(calls.get() + 1);
                calls.get() > 60
            },
            tell: &mut |_| {},
        }
        .install(&offer)
    });
    assert!(matches!(error, Err(Error::Stopped)));
    let (done, _) = world.update(&mut world.source());
    assert_eq!(done.unwrap(), Done::Installed);
    world.assert_installed(&two);
}

#[test]
fn a_missing_index_is_no_way() {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let release = world.release(&two, Some(&one));
    world.publish(&release);
    for stream in [&release.usr.full, &release.usr.patches[0].stream] {
        let path = world.path("repository").join(stream.index.path());
        fs::remove_file(path).unwrap();
    }
    let error = world.update(&mut world.source()).0.unwrap_err();
    assert!(
        matches!(error, Error::Plan(plan::Error::Wrong(_))),
        "{error}"
    );
}
