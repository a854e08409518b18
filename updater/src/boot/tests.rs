use proptest::prelude::*;

use super::testing::{Fat, RamEsp, grub, make_uki, systemd_boot};
use super::*;
use crate::bls::{TRIES, Verdict};
use crate::grub::{Slot, State as GrubState};
use crate::slots::testing::Log;
use crate::version::Version;

fn v(text: &str) -> Version {
    text.parse().unwrap()
}

/// A release's UKI; its `usrhash=` is its version, for these tests.
fn uki(version: &str) -> Vec<u8> {
    make_uki(&v(version), &format!("usrhash={version} quiet"), 3000)
}

/// The ESP of an image with release `version`.
fn fresh(version: &str) -> Fat {
    let mut fat = Fat::default();
    fat.put(&format!("EFI/Linux/holdfast_{version}.efi"), &uki(version));
    let script = Slot::from_uki(&v(version), &uki(version))
        .unwrap()
        .script()
        .unwrap();
    fat.put("grub/a.cfg", script.as_bytes());
    let state = GrubState {
        order: vec!['a', 'b'],
        good: Some('a'),
        left: Vec::new(),
    };
    fat.put("grub/grubenv", &state.write().unwrap());
    fat.put("EFI/Linux/debian.efi", b"other");
    fat
}

type Loader = fn(&mut Fat) -> Option<String>;
const LOADERS: [(Firmware, Loader); 2] = [(Firmware::Uefi, systemd_boot), (Firmware::Bios, grub)];

/// A machine: boots, and then runs an operation as what was booted.
struct Machine {
    esp: RamEsp,
    firmware: Firmware,
    loader: Loader,
    slots: [&'static str; 2],
}

impl Machine {
    fn new((firmware, loader): (Firmware, Loader), old: &'static str, new: &'static str) -> Self {
        Machine {
            esp: RamEsp::new(fresh(old), Log::default()),
            firmware,
            loader,
            slots: [old, new],
        }
    }

    fn boot(&self) -> String {
        (self.loader)(&mut self.esp.fat.lock().unwrap()).unwrap_or_default()
    }

    /// What would be booted, without booting it.
    fn next(&self) -> String {
        (self.loader)(&mut self.esp.fat()).unwrap_or_default()
    }

    fn control(&self, running: &str) -> BootControl<'_> {
        let slot = if running == self.slots[0] {
            Id::A
        } else {
            Id::B
        };
        BootControl::new(&self.esp, self.firmware, slot, v(running))
    }

    fn install(&self) {
        let control = self.control(self.slots[0]);
        control.prepare(4000).unwrap();
        assert_eq!(self.next(), self.slots[0]);
        control
            .install(&v(self.slots[1]), &uki(self.slots[1]), TRIES)
            .unwrap();
    }

    fn verdicts(&self, running: &str) -> (Verdict, Option<(Verdict, Option<u32>)>) {
        let state = self.control(running).state().unwrap();
        let slot = if state.next == Id::A {
            self.slots[0]
        } else {
            self.slots[1]
        };
        assert_eq!(self.next(), slot, "the state tells what boots next");
        let other = state.other.map(|o| (o.verdict, o.tries_left));
        (state.running.verdict, other)
    }
}

/// The versions, and a pair that systemd-boot sorts the other way round.
const PAIRS: [(&str, &str); 2] = [("1", "2"), ("2.5", "2.4")];

/// All firmware and all orders of versions.
fn machines() -> impl Iterator<Item = Machine> {
    let all = LOADERS.into_iter().flat_map(|l| PAIRS.map(|p| (l, p)));
    all.map(|(loader, (old, new))| Machine::new(loader, old, new))
}

#[test]
fn a_good_release_stays() {
    for m in machines() {
        let [old, new] = m.slots;
        m.install();
        assert_eq!(
            m.verdicts(old),
            (Verdict::Good, Some((Verdict::Trial, Some(3))))
        );
        // Whatever the old one does until then, the new one stays on trial.
        m.control(old).mark_good(false).unwrap();
        assert_eq!(
            m.verdicts(old),
            (Verdict::Good, Some((Verdict::Trial, Some(3))))
        );
        assert_eq!(m.boot(), new);
        let left = m.control(new).state().unwrap().running.tries_left;
        assert_eq!(left, Some(2));
        m.control(new).mark_good(false).unwrap();
        assert_eq!(
            m.verdicts(new),
            (Verdict::Good, Some((Verdict::Good, None)))
        );
        let before = m.esp.fat();
        m.control(new).mark_good(false).unwrap();
        assert_eq!(m.esp.fat(), before, "again changes nothing");
        for _ in 0..5 {
            assert_eq!(m.boot(), new);
        }
        // The other firmware agrees.
        for (_, loader) in LOADERS {
            assert_eq!(loader(&mut m.esp.fat()).unwrap(), new);
        }
    }
}

#[test]
fn a_release_that_never_gets_good_is_left_after_its_tries() {
    for m in machines() {
        let [old, new] = m.slots;
        m.install();
        for _ in 0..TRIES {
            assert_eq!(m.boot(), new);
        }
        for _ in 0..4 {
            assert_eq!(m.boot(), old);
        }
        assert_eq!(m.verdicts(old), (Verdict::Good, Some((Verdict::Bad, None))));
        m.control(old).mark_good(false).unwrap();
        assert_eq!(m.verdicts(old), (Verdict::Good, Some((Verdict::Bad, None))));
        for (_, loader) in LOADERS {
            assert_eq!(loader(&mut m.esp.fat()).unwrap(), old);
        }
    }
}

#[test]
fn f8_power_lost_in_trial_boots_never_makes_both_bad() {
    for m in machines() {
        let [old, new] = m.slots;
        m.install();
        // Good on the last try, after two that lost power.
        for _ in 0..TRIES {
            assert_eq!(m.boot(), new);
        }
        m.control(new).mark_good(false).unwrap();
        assert_eq!(m.boot(), new);
        assert_eq!(m.verdicts(new).0, Verdict::Good);
        assert_eq!(m.control(new).state().unwrap().last_good, Some(Id::B));
        assert_eq!(
            m.verdicts(new).1,
            Some((Verdict::Good, None)),
            "{old} is still good"
        );
    }
}

#[test]
fn going_back_is_for_good_releases_only() {
    for m in machines() {
        let [old, new] = m.slots;
        assert!(matches!(
            m.control(old).rollback(),
            Err(Error::NothingGood(Id::B))
        ));
        m.install();
        assert!(matches!(
            m.control(old).rollback(),
            Err(Error::NothingGood(Id::B))
        ));
        assert_eq!(m.boot(), new);
        // Once from a trial, once from a good release.
        for good in [false, true] {
            let trial = m.esp.fat();
            if good {
                m.control(new).mark_good(false).unwrap();
            }
            m.control(new).rollback().unwrap();
            assert!(m.control(new).state().unwrap().rolled_back);
            assert!(matches!(
                m.control(new).mark_good(false),
                Err(Error::RolledBack(_))
            ));
            assert!(matches!(
                m.control(new).check(100),
                Err(Error::RolledBack(_))
            ));
            for (_, loader) in LOADERS {
                assert_eq!(loader(&mut m.esp.fat()).unwrap(), old);
            }
            assert_eq!(m.boot(), old);
            assert_eq!(m.verdicts(old), (Verdict::Good, Some((Verdict::Bad, None))));
            m.control(old).mark_good(false).unwrap();
            assert_eq!(m.boot(), old);
            *m.esp.fat.lock().unwrap() = trial;
        }
        m.control(new).rollback().unwrap();
        m.control(new).mark_good(true).unwrap();
        assert_eq!(m.boot(), new, "an operator may change their mind");
    }
}

#[test]
fn f9_two_unhealthy_slots_keep_the_last_good_one() {
    for m in machines() {
        let [old, new] = m.slots;
        m.install();
        for _ in 0..TRIES {
            assert_eq!(m.boot(), new);
        }
        assert_eq!(m.boot(), old);
        // The old one is unhealthy as well: there is nothing to go back to.
        m.control(old).mark_good(false).unwrap();
        assert!(matches!(
            m.control(old).rollback(),
            Err(Error::NothingGood(_))
        ));
        assert_eq!(m.control(old).state().unwrap().last_good, Some(Id::A));
        assert_eq!(m.boot(), old);
    }
}

#[test]
fn nothing_is_installed_over_the_last_good_release() {
    for m in machines() {
        m.install();
        assert_eq!(m.boot(), m.slots[1]);
        let control = m.control(m.slots[1]);
        assert!(matches!(control.check(1), Err(Error::Unproven(_))));
        assert!(matches!(control.prepare(1), Err(Error::Unproven(_))));
        assert!(m.esp.fat().read("grub/a.cfg").is_some());
    }
}

#[test]
fn a_newer_release_supersedes_a_staged_one() {
    for m in machines() {
        let old = m.slots[0];
        m.install();
        let control = m.control(old);
        for third in ["3", "1.5"] {
            control.prepare(4000).unwrap();
            assert_eq!(m.next(), old);
            control.install(&v(third), &uki(third), TRIES).unwrap();
            assert_eq!(m.next(), third);
            let others = m.esp.fat().names("EFI/Linux");
            assert_eq!(others.len(), 3, "{others:?}");
        }
    }
}

#[test]
fn f3_full_esp_is_noticed_before_anything_changes() {
    for m in machines() {
        m.install();
        let before = m.esp.fat();
        *m.esp.capacity.lock().unwrap() = 9000;
        let control = m.control(m.slots[0]);
        assert!(matches!(control.check(4 << 20), Err(Error::Full { .. })));
        assert!(matches!(control.prepare(4 << 20), Err(Error::Full { .. })));
        assert_eq!(m.esp.fat(), before);
        // It fills up after the check: no partial kernel, and the old one boots.
        *m.esp.capacity.lock().unwrap() = 16 << 20;
        control.prepare(4000).unwrap();
        *m.esp.capacity.lock().unwrap() = 7000;
        assert!(control.install(&v("9"), &uki("9"), TRIES).is_err());
        let left = m.esp.fat().names("EFI/Linux");
        assert_eq!(left.len(), 2, "{left:?}");
        assert_eq!(m.next(), m.slots[0]);
    }
}

#[test]
fn f4_a_kernel_image_that_reads_back_differently_is_not_used() {
    for m in machines() {
        let control = m.control(m.slots[0]);
        control.prepare(4000).unwrap();
        *m.esp.stuck.lock().unwrap() = Some(2000);
        let error = control.install(&v("9"), &uki("9"), TRIES).unwrap_err();
        assert!(matches!(error, Error::ReadBack(_)), "{error}");
        assert_eq!(m.esp.fat().names("EFI/Linux").len(), 2);
        assert_eq!(m.next(), m.slots[0]);
    }
}

#[test]
fn f5_a_lost_environment_block_is_made_again() {
    for damage in [&b""[..], &[b'x'; 1024], &[b'#'; 700]] {
        for m in machines() {
            m.esp.fat.lock().unwrap().put("grub/grubenv", damage);
            assert_eq!(m.boot(), m.slots[0]);
            m.esp.fat.lock().unwrap().remove("grub/a.cfg");
            m.control(m.slots[0]).mark_good(false).unwrap();
            for (_, loader) in LOADERS {
                assert_eq!(loader(&mut m.esp.fat()).unwrap(), m.slots[0]);
            }
            m.install();
            assert_eq!(m.boot(), m.slots[1]);
        }
    }
}

const LOADER_FILES: [&str; 5] = [
    "EFI/systemd/systemd-bootx64.efi",
    "EFI/BOOT/BOOTX64.EFI",
    "loader/loader.conf",
    "loader/entries.srel",
    "grub/grub.cfg",
];

/// What a fresh ESP has in a file of the loaders.
fn loader_file(path: &str) -> Vec<u8> {
    match path.starts_with("EFI") {
        true => make_uki(&v("0"), "systemd-boot", 1000),
        false => path.as_bytes().to_vec(),
    }
}

#[test]
fn f5_lost_loaders_come_back() {
    let root = tempfile::tempdir().unwrap();
    let shipped = LOADER_FILES.iter().filter(|path| loaders::is_shipped(path));
    let shipped: Vec<_> = shipped.collect();
    assert_eq!(shipped.len(), 4);
    for path in shipped {
        let copy = root.path().join(loaders::SHIPPED).join(path);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::write(copy, loader_file(path)).unwrap();
    }
    let nothing = tempfile::tempdir().unwrap();
    let m = Machine::new(LOADERS[0], "1", "2");
    for path in LOADER_FILES {
        m.esp.fat.lock().unwrap().put(path, &loader_file(path));
    }
    // Its owner's, and a newer loader.
    let newer = make_uki(&v("0"), "a newer systemd-boot", 1200);
    m.esp
        .fat
        .lock()
        .unwrap()
        .put("EFI/BOOT/BOOTX64.EFI", &newer);
    m.esp
        .fat
        .lock()
        .unwrap()
        .put("loader/loader.conf", b"timeout 5\n");
    let control = m.control("1");
    let none = control.bring_back_loaders(root.path()).unwrap();
    assert!(none.is_empty() && m.esp.log.lock().unwrap().is_empty());

    let damages: [Option<&[u8]>; 4] = [None, Some(b""), Some(&[0; 700]), Some(&[0; 40])];
    for (lost, damage) in LOADER_FILES.iter().flat_map(|l| damages.map(|d| (l, d))) {
        let m = Machine::new(LOADERS[0], "1", "2");
        for path in LOADER_FILES.iter().filter(|path| *path != lost) {
            m.esp.fat.lock().unwrap().put(path, &loader_file(path));
        }
        if let Some(damage) = damage {
            m.esp.fat.lock().unwrap().put(lost, damage);
        }
        let before = m.esp.fat();
        let control = m.control("1");
        // Without a copy in /usr the programs have each other.
        let twin = control.bring_back_loaders(nothing.path()).unwrap();
        assert_eq!(twin.len(), usize::from(lost.starts_with("EFI")), "{lost}");
        *m.esp.fat.lock().unwrap() = before.clone();
        m.esp.log.lock().unwrap().clear();
        assert_eq!(control.bring_back_loaders(root.path()).unwrap(), [*lost]);
        assert_eq!(m.esp.fat().read(lost), Some(&loader_file(lost)));

        // Cut anywhere, it can be done again.
        let ops = m.esp.log.lock().unwrap().clone();
        let mut fat = before;
        for op in &ops {
            for state in fat.cut(op) {
                let m = Machine {
                    esp: RamEsp::new(state, Log::default()),
                    ..Machine::new(LOADERS[0], "1", "2")
                };
                m.control("1").bring_back_loaders(root.path()).unwrap();
                for path in LOADER_FILES {
                    assert_eq!(m.esp.fat().read(path), Some(&loader_file(path)), "{op:?}");
                }
                assert_eq!(m.boot(), "1");
            }
            fat.apply(op);
        }
    }
}

#[test]
fn f5_a_lost_kernel_image_is_put_back() {
    for m in machines() {
        let running = m.slots[0];
        let name = format!("EFI/Linux/holdfast_{running}.efi");
        assert_eq!(
            m.control(running).running_uki().unwrap(),
            Some(uki(running))
        );
        for damage in [None, Some(&b""[..]), Some(&b"MZ"[..])] {
            m.esp.fat.lock().unwrap().remove(&name);
            m.esp.fat.lock().unwrap().remove("grub/a.cfg");
            if let Some(damage) = damage {
                m.esp.fat.lock().unwrap().put(&name, damage);
            }
            m.control(running).bring_back_uki(&uki(running)).unwrap();
            for (_, loader) in LOADERS {
                assert_eq!(loader(&mut m.esp.fat()).unwrap(), running);
            }
        }
        // One that was given up does not come back as a good one.
        m.install();
        assert_eq!(m.boot(), m.slots[1]);
        m.control(m.slots[1]).mark_good(false).unwrap();
        m.control(m.slots[1]).rollback().unwrap();
        let names = m.esp.fat().names("EFI/Linux");
        for lost in names.iter().filter(|n| n.contains(m.slots[1])) {
            m.esp
                .fat
                .lock()
                .unwrap()
                .remove(&format!("EFI/Linux/{lost}"));
        }
        let control = m.control(m.slots[1]);
        let refused = control.bring_back_uki(&uki(m.slots[1]));
        assert!(matches!(refused, Err(Error::RolledBack(_))), "{refused:?}");
        assert_eq!(m.next(), running);
    }
}

#[test]
fn f5_the_running_release_needs_its_kernel_image() {
    for m in machines() {
        let name = format!("EFI/Linux/holdfast_{}.efi", m.slots[0]);
        m.esp.fat.lock().unwrap().remove(&name);
        let control = m.control(m.slots[0]);
        for result in [
            control.prepare(1),
            control.mark_good(false),
            control.rollback(),
        ] {
            assert!(matches!(result, Err(Error::NoEntry(_))));
        }
        assert!(m.esp.log.lock().unwrap().is_empty());
    }
}

#[test]
fn f5_litter_is_removed_and_what_is_not_ours_stays() {
    for m in machines() {
        for path in [
            "FSCK0000.REC",
            "EFI/Linux/holdfast_0+3.efi.tmp",
            "EFI/Linux/holdfast_0.efi",
        ] {
            m.esp.fat.lock().unwrap().put(path, b"x");
        }
        m.install();
        let fat = m.esp.fat();
        assert!(fat.names("").is_empty());
        assert_eq!(fat.names("EFI/Linux").len(), 3);
        assert!(fat.read("EFI/Linux/debian.efi").is_some());
    }
}

#[test]
fn a_slot_chosen_for_one_boot_is_not_preferred_from_then_on() {
    for m in machines() {
        let [old, new] = m.slots;
        m.install();
        assert_eq!(m.boot(), new);
        m.control(new).mark_good(false).unwrap();
        // By hand, in the loader's menu.
        m.control(old).mark_good(false).unwrap();
        for (_, loader) in LOADERS {
            assert_eq!(loader(&mut m.esp.fat()).unwrap(), new);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Boot,
    Good,
    Back,
    Update,
}

proptest! {
    /// Somebody writes what they like where one of the loaders counts tries: at most the other release is booted, and what runs can say so and go on.
    #[test]
    fn a17_changed_counters_cause_a_fallback_at_most(
        block in proptest::collection::vec(any::<u8>(), 0..1100),
        lines in "(order=[ab c]{0,5}\n|good=[abc]\n|[ab]_left=[0-9x]{0,2}\n){0,6}",
        raw: bool,
        left in 0u32..40,
        done in 0u32..40,
        on_old: bool,
        names: bool,
        bios: bool,
    ) {
        let m = Machine::new(LOADERS[usize::from(bios)], "1", "2");
        m.install();
        let mut env = format!("# GRUB Environment Block\n{lines}").into_bytes();
        env.resize(1024, b'#');
        let (version, from) = match on_old {
            true => ("1", "EFI/Linux/holdfast_1.efi"),
            false => ("2", "EFI/Linux/holdfast_2+3.efi"),
        };
        let to = format!("EFI/Linux/holdfast_{version}+{left}-{done}.efi");
        match names {
            true => m.esp.fat.lock().unwrap().rename(from, &to),
            false => {
                let block = if raw { &block } else { &env };
                m.esp.fat.lock().unwrap().put("grub/grubenv", block);
            }
        }
        for _ in 0..6 {
            let booted = m.boot();
            prop_assert!(m.slots.contains(&&*booted), "{booted:?}");
        }
        let booted = m.boot();
        match m.control(&booted).mark_good(false) {
            Ok(()) | Err(Error::RolledBack(_)) => {}
            Err(e) => prop_assert!(false, "{e}"),
        }
        let next = m.next();
        prop_assert!(m.slots.contains(&&*next), "{next:?}");
    }

    /// Whatever is done in whatever order, with a cut in the middle of any file
    /// operation: something boots that is one of the two, and a good release exists.
    #[test]
    fn f1_cuts_anywhere_leave_a_bootable_release(
        steps in proptest::collection::vec(
            prop_oneof![Just(Step::Boot), Just(Step::Good), Just(Step::Back), Just(Step::Update)],
            1..8,
        ),
        bios: bool,
        cut in any::<u64>(),
    ) {
        let mut m = Machine::new(LOADERS[usize::from(bios)], "1", "2");
        let mut versions = ["3", "2.9", "5", "4.1", "6", "8", "7"].into_iter();
        let mut running = m.boot();
        for step in steps {
            let before = m.esp.fat();
            m.esp.log.lock().unwrap().clear();
            let slots = m.slots;
            match step {
                Step::Boot => running = m.boot(),
                Step::Good => drop(m.control(&running).mark_good(false)),
                Step::Back => drop(m.control(&running).rollback()),
                Step::Update if m.control(&running).check(4000).is_ok() => {
                    let new = versions.next().unwrap_or("9");
                    m.control(&running).prepare(4000).unwrap();
                    let slot = usize::from(running == m.slots[0]);
                    m.control(&running).install(&v(new), &uki(new), TRIES).unwrap();
                    m.slots[slot] = new;
                }
                Step::Update => {}
            }
            prop_assert!(m.slots.contains(&&*running), "{running} of {:?}", m.slots);
            let ops = m.esp.log.lock().unwrap().clone();
            let mut fat = before;
            for (number, op) in ops.iter().enumerate() {
                let mut states = fat.cut(op);
                states.push(fat.clone());
                for mut state in states {
                    for (_, loader) in LOADERS {
                        let booted = loader(&mut state.clone()).unwrap_or_default();
                        let known = slots.contains(&&*booted) || m.slots.contains(&&*booted);
                        prop_assert!(known, "{step:?} cut at {op:?}: {booted:?} boots");
                    }
                    // Goes on from one of the cuts.
                    if cut >> (number % 64) & 1 == 1 {
                        let after = Machine {
                            esp: RamEsp::new(state.clone(), Log::default()),
                            firmware: m.firmware,
                            loader: m.loader,
                            slots: m.slots,
                        };
                        let booted = (m.loader)(&mut state).unwrap_or_default();
                        if m.slots.contains(&&*booted) {
                            *after.esp.fat.lock().unwrap() = state;
                            let _ = after.control(&booted).mark_good(false);
                            let next = after.boot();
                            let known = slots.contains(&&*next) || m.slots.contains(&&*next);
                            prop_assert!(known, "{step:?} cut at {op:?}: {next:?} boots");
                        }
                    }
                }
                fat.apply(op);
            }
        }
    }
}
