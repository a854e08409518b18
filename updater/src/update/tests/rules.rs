use super::world::{Build, World, builds, noise};
use crate::release::{Channel, FORMAT, Release, channel_name, release_name};
use crate::state::{Cause, Known, Memory, Refused as Entry, Store};
use crate::tuf;
use crate::update::floor::Floor;
use crate::update::{Error, Refused};
use crate::verity::BLOCK;

/// What a machine with release 1 says to release 2 after `change`.
fn refusal(change: impl FnOnce(&mut Release)) -> Refused {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let mut release = world.release(&two, None);
    change(&mut release);
    world.document(&release_name("docker", "amd64", "2"), &release);
    world.offer("2", None);
    let error = world.check().unwrap_err();
    assert!(error.is_refusal() && error.hint().is_some(), "{error}");
    world.assert_untouched();
    match error {
        Error::Refused(refused) => refused,
        other => panic!("{other}"),
    }
}

#[test]
fn a11_signed_software_for_others_is_refused() {
    let other = |refused: Refused| match refused {
        Refused::Other { what, .. } => what,
        other => panic!("{other}"),
    };
    assert_eq!(other(refusal(|r| r.image = "cluster".into())), "image");
    let architecture = refusal(|r| r.architecture = "arm64".into());
    assert_eq!(other(architecture), "architecture");
    // The channel of another image, put in this one's place.
    let (one, two) = builds();
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    let channel = Channel {
        format: FORMAT,
        channel: "beta".into(),
        version: "2".into(),
        floor: None,
        downgrade: false,
    };
    world.document(&channel_name("docker", "amd64", "stable"), &channel);
    world.sign();
    let error = world.check().unwrap_err();
    assert!(matches!(
        error,
        Error::Refused(Refused::Other {
            what: "channel",
            ..
        })
    ));
    // A channel that is not there.
    world.machine.image = "minimal".into();
    let error = world.check().unwrap_err();
    assert!(
        matches!(error, Error::Tuf(tuf::Error::NoTarget(_))),
        "{error}"
    );
}

#[test]
fn a7_a_release_under_the_name_of_another_is_refused() {
    let refused = refusal(|release| release.version = "1.9".into());
    assert!(matches!(
        refused,
        Refused::Other {
            what: "version",
            ..
        }
    ));
}

#[test]
fn a8_an_older_release_is_refused() {
    for sequence in [0, 99, 100] {
        let refused = refusal(|release| release.sequence = sequence);
        assert!(
            matches!(refused, Refused::Older { running: 100, .. }),
            "{refused}"
        );
    }
}

#[test]
fn a8_nothing_below_the_floor_of_its_channel_is_taken() {
    let (one, two) = builds();
    let three = Build::new("3", 300, noise(7, 40 * BLOCK));
    let mut world = World::new(&one);
    for build in [&two, &three] {
        let release = world.release(build, None);
        world.publish(&release);
    }
    world.offer("2", Some("3"));
    let error = world.check().unwrap_err();
    assert!(
        matches!(error, Error::Refused(Refused::BelowFloor(_))),
        "{error}"
    );
    // What runs is below the floor, what is offered is not.
    for floor in ["2", "3"] {
        world.offer("3", Some(floor));
        let offer = world.check().unwrap().offer.unwrap();
        assert!(offer.urgent);
    }
}

/// An old copy of the whole repository, correctly signed.
#[test]
fn a8_an_old_repository_is_refused() {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let release = world.release(&one, None);
    world.publish(&release);
    let timestamp = world.path("repository/metadata/timestamp.json");
    let old = std::fs::read(&timestamp).unwrap();
    let release = world.release(&two, None);
    world.publish(&release);
    world.check().unwrap();
    std::fs::write(&timestamp, old).unwrap();
    let error = world.check().unwrap_err();
    assert!(
        matches!(error, Error::Tuf(_)) && error.is_refusal(),
        "{error}"
    );
}

#[test]
fn what_no_release_has_is_refused() {
    assert!(matches!(
        refusal(|release| release.format = FORMAT + 1),
        Refused::Format { .. }
    ));
    let changes: [fn(&mut Release); 5] = [
        |release| release.usr.size += 1,
        |release| release.usr.size = 0,
        |release| release.uki.length = 1 << 40,
        |release| release.usr.salt = "xy".into(),
        |release| release.usr.salt = "a".into(),
    ];
    for change in changes {
        assert!(matches!(refusal(change), Refused::Impossible(..)));
    }
}

/// A version becomes a file's name and a partition's.
#[test]
fn a3_versions_are_names_and_nothing_else() {
    let (one, _) = builds();
    for version in ["../2", "2+9", "a_b", ""] {
        let mut world = World::new(&one);
        world.offer(version, None);
        let error = world.check().unwrap_err();
        assert!(
            matches!(error, Error::Refused(Refused::Version(_))),
            "{error}"
        );
    }
}

#[test]
fn a_release_that_was_given_up_is_not_taken_unasked() {
    let (one, two) = builds();
    let mut world = World::new(&one);
    let release = world.release(&two, None);
    world.publish(&release);
    let state = world.path("state");
    std::fs::create_dir_all(&state).unwrap();
    let (store, mut memory): (Store, Memory) = Store::open(&state).unwrap();
    memory.refused.push(Entry {
        release: Known {
            version: "2".into(),
            sequence: 200,
        },
        cause: Cause::Unhealthy,
        since: 0,
        times: 1,
        retrying: false,
        rest: serde_json::Map::new(),
    });
    store.save(&memory).unwrap();
    let error = world.check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "release 2 is not tried again: it failed its health checks"
    );
    let mut setup = world.setup();
    setup.again = true;
    let found = crate::update::check(&world.machine, &setup, &mut world.source());
    assert!(found.unwrap().offer.is_some());
    // The next one is.
    let three = Build::new("3", 300, noise(7, 40 * BLOCK));
    let release = world.release(&three, None);
    world.publish(&release);
    assert!(world.check().unwrap().offer.is_some());
}

/// Releases 2 and 3 have the same newest package as 1: their images say 100, as it does.
/// The machine ran 3, which was good.
fn after_three() -> (World, [Build; 3]) {
    let usr = |n: u64| noise(n, 40 * BLOCK);
    let builds = [("1", 100), ("2", 101), ("3", 102)].map(|(version, sequence)| {
        let seed = sequence;
        Build::new(version, sequence, usr(seed))
    });
    let mut world = World::new(&builds[0]);
    for build in &builds {
        let release = world.release(build, None);
        world.publish(&release);
    }
    world.update(&mut world.source()).0.unwrap();
    runs(&mut world, &builds[2]);
    let mut floor = Floor::read(&world.path("state")).unwrap();
    floor
        .ran_well(&world.path("state"), &world.machine)
        .unwrap();
    (world, builds)
}

fn runs(world: &mut World, build: &Build) {
    world.machine.version = build.version.to_string();
    world.machine.root_hash = build.hash();
}

#[test]
fn a8_a_channel_cannot_lead_back_among_releases_of_the_same_packages() {
    let (mut world, builds) = after_three();
    world.offer("2", None);
    let error = world.check().unwrap_err();
    assert!(
        matches!(error, Error::Refused(Refused::Older { running: 102, .. })),
        "{error}"
    );
    // Nor after an operator went back: 3 ran well.
    runs(&mut world, &builds[0]);
    let error = world.check().unwrap_err();
    assert!(
        matches!(error, Error::Refused(Refused::BelowBest { floor: 102, .. })),
        "{error}"
    );
    world.offer("3", None);
    assert!(world.check().unwrap().offer.is_some());
}

#[test]
fn a8_a_downgrade_needs_a_signed_permit_or_an_operator() {
    let (mut world, _) = after_three();
    world.offer("2", None);
    let mut setup = world.setup();
    setup.downgrade = true;
    let found = crate::update::check(&world.machine, &setup, &mut world.source()).unwrap();
    assert!(found.offer.unwrap().downgrade);
    let channel = Channel {
        format: FORMAT,
        channel: "stable".into(),
        version: "2".into(),
        floor: None,
        downgrade: true,
    };
    world.document(&channel_name("docker", "amd64", "stable"), &channel);
    world.sign();
    assert!(world.check().unwrap().offer.unwrap().downgrade);
    // The permit is for what the channel offers, and for nothing else.
    let mut setup = world.setup();
    setup.pin = Some("1".into());
    let error = crate::update::check(&world.machine, &setup, &mut world.source()).unwrap_err();
    assert!(
        matches!(error, Error::Refused(Refused::Older { .. })),
        "{error}"
    );
}

/// F13: with the state lost, the image's own place is the floor, until the repository
/// tells the running release's.
#[test]
fn f13_a_wiped_state_leaves_the_images_own_place_as_the_floor() {
    let (mut world, _) = after_three();
    std::fs::remove_dir_all(world.path("state")).unwrap();
    let own = release_name("docker", "amd64", "3");
    let target = world.targets.remove(&own).unwrap();
    world.offer("1", None);
    let error = world.check().unwrap_err();
    assert!(
        matches!(error, Error::Refused(Refused::Older { running: 100, .. })),
        "{error}"
    );
    // Told by the document of the running release.
    world.targets.insert(own, target);
    world.offer("2", None);
    let error = world.check().unwrap_err();
    assert!(
        matches!(error, Error::Refused(Refused::Older { running: 102, .. })),
        "{error}"
    );
}

#[test]
fn a_pinned_machine_takes_its_release_and_no_other() {
    let (one, two) = builds();
    let three = Build::new("3", 300, noise(7, 40 * BLOCK));
    let mut world = World::new(&one);
    for build in [&one, &two, &three] {
        let release = world.release(build, None);
        world.publish(&release);
    }
    let look = |world: &World, pin: &str| {
        let mut setup = world.setup();
        setup.pin = Some(pin.into());
        std::fs::create_dir_all(&setup.state).unwrap();
        crate::update::check(&world.machine, &setup, &mut world.source())
    };
    let offer = look(&world, "2").unwrap().offer.unwrap();
    assert_eq!(offer.version.as_str(), "2");
    let found = look(&world, "1").unwrap();
    assert_eq!((found.version.as_str(), found.offer), ("1", None));
    let error = look(&world, "9").unwrap_err();
    assert!(
        matches!(error, Error::Refused(Refused::NoPin(_))),
        "{error}"
    );
    let error = look(&world, "../9").unwrap_err();
    assert!(
        matches!(error, Error::Refused(Refused::Version(_))),
        "{error}"
    );
    runs(&mut world, &three);
    world.machine.sequence = 300;
    assert!(look(&world, "2").unwrap_err().is_refusal());
    // Whose release the repository retired.
    world.targets.remove(&release_name("docker", "amd64", "3"));
    world.offer("2", None);
    assert_eq!(look(&world, "3").unwrap().offer, None);
}
