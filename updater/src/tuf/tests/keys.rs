//! Thresholds, rotation and signatures that are not what they seem.

use std::collections::BTreeMap;

use super::simulator::{World, edit, typed};
use crate::tuf::json::Value;
use crate::tuf::sign::sign;
use crate::tuf::trusted::{Refused, inspect};
use crate::tuf::{Error, Role, Root, Timestamp};

fn signatures(members: &mut BTreeMap<String, Value>) -> &mut Vec<Value> {
    match members.get_mut("signatures") {
        Some(Value::List(list)) => list,
        _ => panic!("signatures"),
    }
}

/// A root that follows the one in force, changed, signed by keys of these names.
fn next_root(world: &World, names: &[&str], change: impl FnOnce(&mut Root)) -> Vec<u8> {
    let mut root = world.repository.root().clone();
    root.version += 1;
    change(&mut root.body);
    let only: Root = Root {
        roles: [(
            "root".to_owned(),
            crate::tuf::roles::RoleKeys {
                keyids: names
                    .iter()
                    .map(|name| {
                        world
                            .repository
                            .keyring()
                            .get(name)
                            .expect("a key")
                            .id
                            .clone()
                    })
                    .collect(),
                threshold: names.len() as u64,
            },
        )]
        .into(),
        ..root.body.clone()
    };
    let signers = world
        .repository
        .keyring()
        .signers(&only, Role::Root)
        .expect("keys");
    sign(&root, &signers).expect("signs")
}

fn is_refused(world: &mut World) -> bool {
    matches!(
        world.refresh(),
        Err(Error::Refused(Refused::Signatures { .. }))
    )
}

#[test]
fn a10_one_stolen_root_key_of_three_is_not_enough() {
    let mut world = World::new();
    let evil = next_root(&world, &["root-1"], |root| {
        for role in root.roles.values_mut() {
            role.threshold = 1;
        }
    });
    world.put("2.root.json", evil);
    assert!(is_refused(&mut world));
    // Two are; and then one more root may want just one.
    let good = next_root(&world, &["root-1", "root-3"], |root| {
        for role in root.roles.values_mut() {
            role.threshold = 1;
        }
    });
    world.put("2.root.json", good);
    world.refresh().expect("fresh");
    assert_eq!(world.kept(Role::Root), Some(2));
}

#[test]
fn a10_keys_that_were_rotated_out_sign_no_more() {
    for role in Role::ALL {
        let mut world = World::new();
        world.refresh().expect("fresh");
        let before = world.served.mirrors[0].clone();
        let old_root = world.repository.root().clone();
        // Whoever stole the old keys signs by them.
        let mut stolen = old_root.clone();
        stolen.version = 3;
        let stolen_root = world.sign(&stolen);
        let mut stolen = typed::<Timestamp>(&world.document("timestamp.json"));
        stolen.version = 100;
        let stolen_timestamp = world.sign(&stolen);

        let count = if role == Role::Root { 3 } else { 1 };
        let names: Vec<_> = (0..count)
            .map(|_| world.repository.generate(role).expect("a key"))
            .collect();
        world
            .repository
            .rotate(role, &names, count.min(2))
            .expect("rotates");
        world.serve();
        let seen = world.refresh().expect("follows").seen().clone();
        assert_eq!(seen.root, 2, "{role}");
        if role == Role::Root {
            world.put("3.root.json", stolen_root);
            assert!(is_refused(&mut world));
        }
        if role == Role::Timestamp {
            world.put("timestamp.json", stolen_timestamp);
            assert!(is_refused(&mut world));
        }
        // The old repository with its old root is no way back.
        world.served.mirrors[0] = before;
        assert!(world.refresh().is_err() || matches!(role, Role::Root));
        assert_eq!(world.kept(Role::Root), Some(2), "{role}");
        // The publisher can go on.
        world.reopen();
        world.repository.renew(Role::Root).expect("signs");
        world.serve();
        assert_eq!(world.refresh().expect("fresh").seen().root, 3, "{role}");
    }
}

#[test]
fn a10_a_machine_that_slept_follows_the_whole_chain() {
    let mut world = World::new();
    for _ in 0..3 {
        for role in Role::ALL {
            let count = if role == Role::Root { 3 } else { 1 };
            let names: Vec<_> = (0..count)
                .map(|_| world.repository.generate(role).expect("a key"))
                .collect();
            world
                .repository
                .rotate(role, &names, count.min(2))
                .expect("rotates");
        }
    }
    world.serve();
    assert_eq!(world.refresh().expect("fresh").seen().root, 13);
    // It starts from the shipped root again and needs nothing of the network for it.
    world.refresh().expect("fresh");
    assert_eq!(world.served.log[0], "metadata/14.root.json");
    // A link of the chain is missing.
    let _ = std::fs::remove_dir_all(world.folder());
    world.files().remove("metadata/7.root.json");
    assert!(world.refresh().is_err());
}

#[test]
fn a10_a_root_that_skips_a_version_is_refused() {
    let mut world = World::new();
    let mut root = world.repository.root().clone();
    for version in [1, 3] {
        root.version = version;
        let bytes = world.sign(&root);
        world.put("2.root.json", bytes);
        assert!(matches!(
            world.refresh(),
            Err(Error::Refused(
                Refused::Rollback { .. } | Refused::Mismatch { .. }
            ))
        ));
    }
}

#[test]
fn a10_a_root_must_be_signed_by_its_own_keys_too() {
    let mut world = World::new();
    let names: Vec<_> = (0..2)
        .map(|_| world.repository.generate(Role::Root).expect("a key"))
        .collect();
    let ids: Vec<_> = names
        .iter()
        .map(|name| {
            let named = world.repository.keyring().get(name).expect("a key");
            (named.id.clone(), named.key.clone())
        })
        .collect();
    let change = |root: &mut Root| {
        root.keys.extend(ids.clone());
        if let Some(entry) = root.roles.get_mut("root") {
            entry.keyids = ids.iter().map(|(id, _)| id.clone()).collect();
        }
    };
    for signers in [
        &["root-1", "root-2"][..],
        &["root-4", "root-5"],
        &["root-1", "root-4", "root-5"],
        &["root-1", "root-2", "root-4"],
    ] {
        let bytes = next_root(&world, signers, change);
        world.put("2.root.json", bytes);
        assert!(is_refused(&mut world), "{signers:?}");
    }
    let all = next_root(&world, &["root-1", "root-2", "root-4", "root-5"], change);
    world.put("2.root.json", all);
    world.refresh().expect("signed by old and new");
}

#[test]
fn a12_a_key_counts_once_however_often_it_signs() {
    let mut world = World::new();
    let one = next_root(&world, &["root-1"], |_| ());
    let twice = edit(&one, |members| {
        let list = signatures(members);
        list.push(list[0].clone());
        list.push(list[0].clone());
    });
    world.put("2.root.json", twice);
    assert!(is_refused(&mut world));
}

#[test]
fn a12_a_key_counts_once_under_however_many_names() {
    let mut world = World::new();
    let bytes = next_root(&world, &["root-1", "root-2"], |root| {
        let key = root.keys[&root.roles["timestamp"].keyids[0]].clone();
        root.keys.insert("alias".into(), key);
        if let Some(entry) = root.roles.get_mut("timestamp") {
            entry.keyids.push("alias".into());
            entry.threshold = 2;
        }
    });
    world.put("2.root.json", bytes);
    let aliased = edit(&world.document("timestamp.json"), |members| {
        let list = signatures(members);
        let mut again = list[0].clone();
        if let Value::Object(signature) = &mut again {
            signature.insert("keyid".into(), Value::Text("alias".into()));
        }
        list.push(again);
    });
    world.put("timestamp.json", aliased);
    assert!(is_refused(&mut world));
}

#[test]
fn a12_keys_of_other_kinds_count_for_nothing_and_do_no_harm() {
    let mut world = World::new();
    let foreign = |root: &mut Root, threshold| {
        let mut key = root.keys[&root.roles["timestamp"].keyids[0]].clone();
        key.keytype = "rsa".into();
        key.scheme = "rsassa-pss-sha256".into();
        root.keys.insert("foreign".into(), key);
        if let Some(entry) = root.roles.get_mut("timestamp") {
            entry.keyids.push("foreign".into());
            entry.keyids.push("no such key".into());
            entry.threshold = threshold;
        }
    };
    let two = next_root(&world, &["root-1", "root-2"], |root| foreign(root, 2));
    let renamed = edit(&world.document("timestamp.json"), |members| {
        let list = signatures(members);
        let mut again = list[0].clone();
        if let Value::Object(signature) = &mut again {
            signature.insert("keyid".into(), Value::Text("foreign".into()));
        }
        list.insert(0, again);
    });
    world.put("timestamp.json", renamed);
    world.put("2.root.json", two);
    assert!(is_refused(&mut world));

    let mut world = World::new();
    let one = next_root(&world, &["root-1", "root-2"], |root| foreign(root, 1));
    world.put("2.root.json", one);
    world.refresh().expect("fresh");
}

#[test]
fn a12_malleable_signatures_are_refused() {
    let mut world = World::new();
    let good = world.document("timestamp.json");
    let with = |change: &dyn Fn(String) -> String| {
        edit(&good, |members| {
            for item in signatures(members) {
                if let Value::Object(signature) = item
                    && let Some(Value::Text(text)) = signature.get_mut("sig")
                {
                    *text = change(text.clone());
                }
            }
        })
    };
    // S + L is the same number to a careless verifier.
    let plus_order = |text: String| {
        let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
        let byte = |text: &str, at: usize| u16::from_str_radix(&text[2 * at..2 * at + 2], 16);
        let mut carry = 0;
        let mut out = text[..64].to_owned();
        for at in 0..32 {
            let sum = byte(&text[64..], at).expect("hex") + byte(order, at).expect("hex") + carry;
            out.push_str(&format!("{:02x}", sum & 0xff));
            carry = sum >> 8;
        }
        out
    };
    let changes: [&dyn Fn(String) -> String; 7] = [
        &plus_order,
        &|text| text.to_uppercase(),
        &|text| text + "00",
        &|text| text[..126].to_owned(),
        &|_| String::new(),
        &|_| "é".repeat(64),
        &|_| "00".repeat(64),
    ];
    for change in changes {
        world.put("timestamp.json", with(change));
        assert!(is_refused(&mut world));
    }
    world.put("timestamp.json", with(&|text| text));
    world.refresh().expect("the very same is good");
}

#[test]
fn a12_documents_that_can_be_read_in_two_ways_are_refused() {
    let mut world = World::new();
    let good = String::from_utf8(world.document("timestamp.json")).expect("text");
    for bad in [
        good.replacen("\"version\": 2", "\"version\": 1, \"version\": 2", 1),
        good.replacen("\"signed\": {", "\"signed\": {}, \"signed\": {", 1),
        good.replacen("\"version\": 2", "\"version\": 2.0", 1),
        good.clone() + "{}",
        good.clone() + "\0",
        good.replacen("\"signed\"", "\"Signed\"", 1),
    ] {
        assert_ne!(bad, good);
        world.put("timestamp.json", bad.into_bytes());
        assert!(matches!(
            world.refresh(),
            Err(Error::Refused(Refused::Envelope {
                role: Role::Timestamp,
                ..
            }))
        ));
    }
}

#[test]
fn a12_a_root_without_sense_is_refused() {
    let world = World::new();
    let broken: [&dyn Fn(&mut Root); 4] = [
        &|root| {
            root.roles.remove("snapshot");
        },
        &|root| root.roles.values_mut().for_each(|role| role.threshold = 0),
        &|root| {
            if let Some(role) = root.roles.get_mut("root") {
                let again = role.keyids[0].clone();
                role.keyids.push(again);
            }
        },
        &|root| root.keys.clear(),
    ];
    for change in broken {
        let mut world = World::new();
        let bytes = next_root(&world, &["root-1", "root-2"], change);
        world.put("2.root.json", bytes);
        assert!(world.refresh().is_err());
        assert_eq!(world.kept(Role::Root), None);
    }
    assert_eq!(inspect(&world.shipped).expect("a root"), (Role::Root, 1));
}

/// Made by OpenSSL and a few lines of Python.
#[test]
fn documents_of_other_programs_are_read() {
    let clock = crate::tuf::Clock {
        system: crate::tuf::Time(0),
        built: crate::tuf::Time(0),
    };
    let foreign = include_bytes!("../testdata/root.json");
    let set = crate::tuf::TrustedSet::new(foreign, clock).expect("a good root");
    assert_eq!(set.root().signed.version, 1);
    for (id, key) in &set.root().signed.body.keys {
        assert_eq!(*id, key.id());
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = inspect(&bytes);
    }

    #[test]
    fn never_panics_on_nearly_documents(at in 0_usize..3000, with in ".{0,6}", cut in 0_usize..9) {
        let good = include_bytes!("../testdata/root.json");
        let at = at % good.len();
        let end = (at + cut).min(good.len());
        let bytes = [&good[..at], with.as_bytes(), &good[end..]].concat();
        let _ = inspect(&bytes);
        let clock = crate::tuf::Clock { system: crate::tuf::Time(0), built: crate::tuf::Time(0) };
        if bytes != good {
            if let Ok(set) = crate::tuf::TrustedSet::new(&bytes, clock) {
                // Only what is not signed may differ.
                proptest::prop_assert_eq!(
                    &set.root().signed,
                    &super::simulator::typed::<Root>(good)
                );
            }
        }
    }
}
