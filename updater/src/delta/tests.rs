//! The ways from one release to another, and what must not get through.

use proptest::prelude::*;

use super::apply::{Applier, Error, Receiver};
use super::encode::{FULL_WINDOW, PATCH_WINDOW};
use super::index::{Index, MAX_WINDOW, Piece, Window, digest};
use super::plan::{self, Choice, Plan, Way, choices};
use super::testing::*;
use crate::release::{Artefact, Digest};
use crate::verity::BLOCK;

fn pair() -> Pair {
    let old = content(1, 400 << 10);
    let mut new = old.clone();
    // Something in front, so that all after it is elsewhere; not block by block.
    new.splice(100_000..100_000, content(2, 5000));
    new.truncate(400 << 10);
    new[300_000..310_000].copy_from_slice(&content(3, 10_000));
    Pair::new(old, new)
}

#[test]
fn every_way_leads_to_the_same_bytes() {
    let pair = pair();
    let mut taken = Vec::new();
    for way in WAYS {
        let plan = pair.plan(way);
        let (disk, result) = pair.apply(&plan);
        result.unwrap();
        assert!(disk.bytes == pair.new, "{way:?}");
        taken.push(plan.bytes(0));
    }
    assert!(taken[0] * 5 < taken[2], "{taken:?}");
    assert!(taken[1] < taken[2], "{taken:?}");
    assert!(pair.repository.borrow().blamed.is_empty());
}

#[test]
fn equal_content_costs_nothing_wherever_it_went() {
    let old = content(1, 512 << 10);
    let mut new = content(2, 64 << 10);
    new.extend_from_slice(&old[192 << 10..]);
    new.extend_from_slice(&old[..192 << 10]);
    let pair = Pair::new(old, new);
    let plan = pair.plan(Way::Patch(0));
    let windows = plan.index.windows();
    assert!(windows[1..].iter().all(|window| window.length == 0));
    let (disk, result) = pair.apply(&plan);
    result.unwrap();
    assert!(disk.bytes == pair.new);
    assert_eq!(pair.plan(Way::Reuse).bytes(0), {
        let full = pair.plan(Way::Full);
        u64::from(full.index.windows()[0].length)
    });
}

#[test]
fn the_smallest_way_is_first() {
    let pair = pair();
    let ways = |choices: Vec<Choice>| choices.iter().map(|c| c.way).collect::<Vec<_>>();
    let have = pair.have();
    assert_eq!(ways(choices(&pair.usr, Some(&have))), WAYS);
    assert_eq!(ways(choices(&pair.usr, None)), [Way::Full]);
    // From another release, or without a hash tree.
    let mut other = have;
    other.root_hash = Digest([0; 32]);
    assert_eq!(ways(choices(&pair.usr, Some(&other))), [Way::Full]);
    let mut other = have;
    other.stored = None;
    assert_eq!(
        ways(choices(&pair.usr, Some(&other))),
        [Way::Patch(0), Way::Full]
    );
    // A patch that is larger than the full stream is none.
    let mut usr = pair.usr.clone();
    usr.patches[0].stream.data.length = usr.full.data.length + 1;
    assert_eq!(ways(choices(&usr, Some(&have))), [Way::Reuse, Way::Full]);
    usr.salt = "00".to_owned();
    assert_eq!(ways(choices(&usr, Some(&have))), [Way::Full]);
}

/// Receiver that refuses everything: nothing may reach it.
struct Nobody;

impl Receiver for Nobody {
    fn window(&mut self, number: usize, _: u64, _: &[u8]) -> std::io::Result<()> {
        Err(std::io::Error::other(format!("window {number} came")))
    }
}

/// Puts another data file, with an index that agrees with it, in place of `way`'s.
fn replaced(pair: &mut Pair, window: Window, frame: Vec<u8>, size: usize) -> Plan {
    let parts = Parts {
        window: WINDOW,
        size: size as u64,
        old_size: 0,
        windows: vec![(window, frame)],
    };
    pair.usr.size = size as u64;
    pair.usr.full = stream(&mut pair.repository.borrow_mut(), "other", parts);
    pair.plan(Way::Full)
}

#[test]
fn a2_a_decompression_bomb_is_cut_at_the_windows_size() {
    let mut pair = pair();
    let bomb = zstd::bulk::compress(&vec![0; 1 << 30], 1).unwrap();
    let window = Window {
        length: bomb.len() as u32,
        frame: digest(&bomb),
        plain: digest(&[0; 4096]),
        pieces: vec![],
    };
    let plan = replaced(&mut pair, window, bomb, 4096 * 16);
    let mut repository = pair.repository.borrow_mut();
    let result = Applier::new(&plan, None, 0).run(&mut *repository, &mut Nobody);
    assert!(
        matches!(result, Err(Error::Stream { window: 0, .. })),
        "{result:?}"
    );
}

#[test]
fn a2_a_frame_longer_than_signed_is_not_taken() {
    let pair = pair();
    let plan = pair.plan(Way::Full);
    let path = plan.data.path();
    let mut endless = pair.repository.borrow().files[&path].clone();
    endless.extend_from_slice(&[0; 100_000]);
    pair.repository
        .borrow_mut()
        .wrong
        .insert(path, vec![endless]);
    let (disk, result) = pair.apply(&plan);
    result.unwrap();
    assert!(disk.bytes == pair.new);
    // An index or leaves of another length than was signed are not even looked at.
    let mut usr = pair.usr.clone();
    usr.leaves.as_mut().unwrap().length += 32;
    let result = Plan::prepare(
        Way::Reuse,
        &usr,
        Some(&pair.have()),
        &mut *pair.repository.borrow_mut(),
    );
    assert!(matches!(result, Err(plan::Error::Mismatch { .. })));
}

#[test]
fn a6_a_wrong_frame_is_refused_and_its_mirror_blamed() {
    for way in WAYS {
        let pair = pair();
        let plan = pair.plan(way);
        let path = plan.data.path();
        let good = pair.repository.borrow().files[&path].clone();
        let fetched: Vec<usize> = (0..plan.index.len())
            .filter(|number| plan.copy(*number).is_none())
            .collect();
        for number in fetched {
            let mut wrong = good.clone();
            let frame = plan.index.frame(number);
            wrong[(frame.end - 1) as usize] ^= 1;
            // Two mirrors have it wrong, the third is right.
            let mut truncated = good.clone();
            truncated.truncate(frame.start as usize + 1);
            *pair.repository.borrow_mut() = Repository {
                files: pair.repository.take().files,
                wrong: [(path.clone(), vec![wrong, truncated])].into(),
                ..Repository::default()
            };
            let (disk, result) = pair.apply(&plan);
            result.unwrap();
            assert!(disk.bytes == pair.new, "{way:?} {number}");
            let repository = pair.repository.borrow();
            assert_eq!(repository.blamed, [path.clone(), path.clone()]);
            // Good frames are kept: only this one and what followed it in the
            // transfer came again.
            assert!(
                repository.fetched < 2 * plan.bytes(0) + 3000,
                "{way:?} {number}"
            );
        }
    }
}

#[test]
fn a6_nothing_wrong_is_passed_on_when_all_mirrors_are_wrong() {
    for way in WAYS {
        let pair = pair();
        let plan = pair.plan(way);
        let first = (0..plan.index.len()).find(|number| plan.copy(*number).is_none());
        let first = first.unwrap();
        let at = plan.index.frame(first).start as usize;
        let path = plan.data.path();
        let mut repository = pair.repository.take();
        repository.files.get_mut(&path).unwrap()[at] ^= 0x80;
        *pair.repository.borrow_mut() = repository;
        let (disk, result) = pair.apply(&plan);
        assert!(
            matches!(result, Err(Error::Wrong { window, .. }) if window == first),
            "{way:?} {result:?}"
        );
        assert_eq!(disk.windows, first);
        assert!(disk.bytes[..] == pair.new[..disk.bytes.len()]);
    }
}

#[test]
fn a7_documents_of_two_releases_do_not_mix() {
    let pair = pair();
    let other = Pair::new(content(8, 400 << 10), content(9, 400 << 10));
    let prepare = |way, usr: &_| {
        let mut repository = pair.repository.borrow_mut();
        Plan::prepare(way, usr, Some(&pair.have()), &mut *repository)
    };
    let files = other.repository.take().files;
    pair.repository.borrow_mut().files.extend(files);
    // Index of one release, data of another; leaves of another; an older /usr that
    // is too small for the patch.
    let mut usr = pair.usr.clone();
    usr.full.index = other.usr.full.index.clone();
    assert!(matches!(
        prepare(Way::Full, &usr),
        Err(plan::Error::Mismatch { .. })
    ));
    let mut usr = pair.usr.clone();
    usr.leaves = other.usr.leaves.clone();
    assert!(matches!(
        prepare(Way::Reuse, &usr),
        Err(plan::Error::Mismatch { .. })
    ));
    let mut have = pair.have();
    have.size -= BLOCK as u64;
    let mut repository = pair.repository.borrow_mut();
    let result = Plan::prepare(Way::Patch(0), &pair.usr, Some(&have), &mut *repository);
    assert!(matches!(result, Err(plan::Error::Mismatch { .. })));
    drop(repository);
    // The signed data's bytes under the other's name are wrong.
    let mut plan = pair.plan(Way::Full);
    plan.data = other.usr.full.data.clone();
    let (disk, result) = pair.apply(&plan);
    assert!(matches!(result, Err(Error::Wrong { window: 0, .. })));
    assert_eq!(disk.windows, 0);
}

#[test]
fn an_index_or_leaves_that_are_wrong_everywhere_are_refused() {
    for (way, artefact) in [(Way::Full, 0), (Way::Reuse, 1)] {
        let pair = pair();
        let artefact: &Artefact = match artefact {
            0 => &pair.usr.full.index,
            _ => pair.usr.leaves.as_ref().unwrap(),
        };
        let mut repository = pair.repository.borrow_mut();
        repository.files.get_mut(&artefact.path()).unwrap()[40] ^= 1;
        let result = Plan::prepare(way, &pair.usr, Some(&pair.have()), &mut *repository);
        assert!(matches!(result, Err(plan::Error::Wrong(_))));
        assert_eq!(repository.blamed, [artefact.path()]);
    }
}

#[test]
fn a_damaged_block_of_the_machine_is_fetched_instead() {
    let mut pair = pair();
    pair.old.0[5 * BLOCK + 1] ^= 1;
    let plan = pair.plan(Way::Reuse);
    assert!(plan.copy(0).is_some());
    let (disk, result) = pair.apply(&plan);
    result.unwrap();
    assert!(disk.bytes == pair.new);
    // A patch cannot do without it, and says so.
    let plan = pair.plan(Way::Patch(0));
    let (disk, result) = pair.apply(&plan);
    assert!(
        matches!(result, Err(Error::Old { window: 0, .. })),
        "{result:?}"
    );
    assert_eq!(disk.windows, 0);
    // Nor without the disk.
    pair.old.0.truncate(4096);
    let (_, result) = pair.apply(&plan);
    assert!(matches!(
        result,
        Err(Error::Old {
            source: Some(_),
            ..
        })
    ));
}

#[test]
fn a_broken_transfer_goes_on_where_it_broke() {
    for way in WAYS {
        let pair = pair();
        let plan = pair.plan(way);
        let total = plan.bytes(0);
        let mut disk = Disk::default();
        let mut start = (0, Vec::new());
        pair.repository.borrow_mut().fetched = 0;
        let mut cuts = 0;
        loop {
            // Each time another process, which knows what the journal says.
            let mut applier = Applier::new(&plan, Some(&pair.old), start.0).with_part(start.1);
            let mut repository = pair.repository.borrow_mut();
            repository.breaks = vec![1501];
            match applier.run(&mut *repository, &mut disk) {
                Ok(()) => break,
                Err(Error::Fetch(_)) => {
                    cuts += 1;
                    start = (disk.windows, disk.part.clone());
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(disk.bytes == pair.new, "{way:?}");
        assert!(cuts > 0, "{way:?}");
        assert_eq!(pair.repository.borrow().fetched, total, "{way:?}");
    }
}

#[test]
fn a_wrong_part_of_an_earlier_run_blames_nobody() {
    let pair = pair();
    let plan = pair.plan(Way::Full);
    for part in [vec![1; 500], vec![1; 1 << 20]] {
        let mut disk = Disk::default();
        let mut repository = pair.repository.borrow_mut();
        let mut applier = Applier::new(&plan, None, 0).with_part(part);
        applier.run(&mut *repository, &mut disk).unwrap();
        assert!(disk.bytes == pair.new);
        assert!(repository.blamed.is_empty());
    }
}

#[test]
fn a_receivers_error_stops_at_once() {
    let pair = pair();
    let plan = pair.plan(Way::Full);
    let mut repository = pair.repository.borrow_mut();
    let result = Applier::new(&plan, None, 0).run(&mut *repository, &mut Nobody);
    assert!(matches!(result, Err(Error::Write { window: 0, .. })));
    assert!(repository.blamed.is_empty());
}

#[test]
fn windows_are_what_an_index_takes() {
    for window in [FULL_WINDOW, PATCH_WINDOW] {
        assert!(window.is_power_of_two() && window <= MAX_WINDOW);
    }
    // A resumed download loses a window's frame at most if nobody keeps parts.
    assert!(FULL_WINDOW <= 1 << 20);
}

#[test]
fn frames_do_not_depend_on_who_makes_them() {
    let (old, new) = (content(4, 300 << 10), content(5, 256 << 10));
    let one = Pair::new(old.clone(), new.clone());
    let other = std::thread::spawn(move || Pair::new(old, new).usr)
        .join()
        .unwrap();
    assert_eq!(one.usr, other);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_change_comes_out_right(
        seed in any::<u64>(),
        len in 1..50usize,
        edits in prop::collection::vec(edit(), 0..6),
    ) {
        let old = content(seed, len * BLOCK);
        let new = edited(&old, &edits);
        let pair = Pair::new(old, new);
        for way in WAYS {
            let plan = pair.plan(way);
            let (disk, result) = pair.apply(&plan);
            prop_assert!(result.is_ok(), "{:?}: {:?}", way, result);
            prop_assert!(disk.bytes == pair.new, "{:?}", way);
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_never_passed_on(
        way in prop::sample::select(&WAYS[..]),
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let old = content(1, 40 * BLOCK);
        let mut new = old.clone();
        new.splice(9000..9000, content(2, BLOCK));
        let pair = Pair::new(old, new);
        let plan = pair.plan(way);
        let path = plan.data.path();
        {
            let mut repository = pair.repository.borrow_mut();
            let data = repository.files.get_mut(&path).unwrap();
            let at = at.index(data.len());
            data[at] ^= 1 << bit;
        }
        let (disk, result) = pair.apply(&plan);
        prop_assert!(disk.bytes[..] == pair.new[..disk.bytes.len()]);
        // Where the byte is not needed, nothing happened.
        prop_assert!(result.is_err() || disk.bytes.len() == pair.new.len());
    }

    /// Whatever a signed index says, applying it does not panic.
    #[test]
    fn any_index_is_survived(
        lengths in prop::collection::vec(0..3000u32, 1..4),
        pieces in prop::collection::vec((0..25u32, 1..20u32), 0..4),
        noise in prop::collection::vec(any::<u8>(), 9000),
    ) {
        let pair = Pair::new(content(1, 30 * BLOCK), content(2, BLOCK));
        let pieces: Vec<Piece> =
            pieces.into_iter().map(|(first, count)| Piece { first, count }).collect();
        let mut at = 0;
        let windows: Vec<Window> = lengths
            .iter()
            .map(|length| {
                let frame = &noise[at..at + *length as usize];
                at += *length as usize;
                Window {
                    length: *length,
                    frame: if *length == 0 { Digest([0; 32]) } else { digest(frame) },
                    plain: digest(frame),
                    pieces: pieces.clone(),
                }
            })
            .collect();
        let size = windows.len() as u64 * u64::from(WINDOW);
        if let Ok(index) = Index::new(WINDOW, size, pair.old.0.len() as u64, windows) {
            let mut plan = pair.plan(Way::Full);
            plan.data = pair.repository.borrow_mut().put("noise", noise[..at].to_vec());
            plan.replace_index(index);
            let _ = pair.apply(&plan);
        }
    }
}
