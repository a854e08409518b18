//! Clocks that are wrong.

use super::simulator::{NOW, World, typed};
use crate::tuf::trusted::Refused;
use crate::tuf::{Error, Role, Time, Timestamp};

#[test]
fn a18_a_clock_at_1970_does_not_bring_expired_documents_back() {
    let mut world = World::new();
    world.refresh().expect("fresh");
    world.clock.system = Time(0);
    // The build of the running image and the signed time are lower bounds.
    let seen = world.refresh().expect("fresh").seen().clone();
    assert!(seen.clock_is_behind);
    world.clock.built = NOW.plus_days(31);
    assert!(matches!(
        world.refresh(),
        Err(Error::Refused(Refused::Expired { role: Role::Timestamp, time, .. }))
            if time == world.clock.built
    ));
}

#[test]
fn a18_the_time_is_never_before_the_newest_signature() {
    let mut world = World::new();
    world.clock = crate::tuf::Clock {
        system: Time(0),
        built: Time(0),
    };
    world.refresh().expect("nothing is known yet");
    // Signed far later, and it says so.
    let mut timestamp = typed::<Timestamp>(&world.document("timestamp.json"));
    timestamp.version = 3;
    timestamp.at = Some(NOW.plus_days(366));
    timestamp.expires = NOW.plus_days(400);
    let timestamp = world.sign(&timestamp);
    world.put("timestamp.json", timestamp);
    // The snapshot of then expired a day before.
    assert!(matches!(
        world.refresh(),
        Err(Error::Refused(Refused::Expired {
            role: Role::Snapshot,
            ..
        }))
    ));
}

#[test]
fn a18_a_clock_far_ahead_is_told_from_a_freeze_and_leaves_no_trace() {
    let mut world = World::new();
    world.refresh().expect("fresh");
    let right = world.clock.system;
    world.clock.system = NOW.plus_days(40 * 366);
    match world.refresh() {
        Err(Error::Refused(refused @ Refused::Clock { .. })) => {
            assert!(refused.is_about_time());
            assert!(refused.hint().contains("clock"));
        }
        other => panic!("{other:?}"),
    }
    world.clock.system = Time(i64::MAX);
    assert!(world.refresh().is_err());
    world.clock.system = right;
    let seen = world
        .refresh()
        .expect("as if nothing had happened")
        .seen()
        .clone();
    assert!(!seen.clock_is_behind);
}

#[test]
fn a18_a_stolen_key_cannot_move_the_clock_for_good() {
    let mut world = World::new();
    world.refresh().expect("fresh");
    let mut timestamp = typed::<Timestamp>(&world.document("timestamp.json"));
    timestamp.version = 3;
    timestamp.at = Some(NOW.plus_days(3000));
    timestamp.expires = NOW.plus_days(4000);
    let timestamp = world.sign(&timestamp);
    world.put("timestamp.json", timestamp);
    assert!(world.refresh().is_err());
    assert_eq!(world.kept(Role::Timestamp), Some(3));
    // Everything looks expired now, until the key is revoked.
    assert!(world.refresh().is_err());
    let name = world.repository.generate(Role::Timestamp).expect("a key");
    world
        .repository
        .rotate(Role::Timestamp, &[name], 1)
        .expect("rotates");
    world.serve();
    world.refresh().expect("recovered");
}
