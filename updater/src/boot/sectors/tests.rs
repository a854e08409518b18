use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read as _;

use super::vfat::Vfat;
use super::volume::{Event, Volume};
use crate::bls::TRIES;
use crate::boot::testing::{Fat, grub, make_uki, systemd_boot};
use crate::boot::{BootControl, Error, Esp, Firmware, Repaired, repair};
use crate::grub::{Slot, State};
use crate::slots::Id;
use crate::version::Version;

fn v(text: &str) -> Version {
    text.parse().unwrap()
}

/// A release's UKI, of several clusters; its `usrhash=` is its version.
fn uki(version: &str) -> Vec<u8> {
    make_uki(&v(version), &format!("usrhash={version} quiet"), 9000)
}

type Loader = fn(&mut Fat) -> Option<String>;
const LOADERS: [(Firmware, Loader); 2] = [(Firmware::Uefi, systemd_boot), (Firmware::Bios, grub)];

/// The ESP of an image with `version` in slot A, and files of others that have
/// `shift` entries of the folder in front of it.
fn fresh(version: &str, shift: usize) -> Volume {
    let mut cursor = Volume::format().cursor();
    let system = fatfs::FileSystem::new(&mut cursor, fatfs::FsOptions::new()).unwrap();
    for folder in ["EFI", "EFI/Linux", "grub"] {
        system.root_dir().create_dir(folder).unwrap();
    }
    system.unmount().unwrap();
    let esp = Vfat::new(cursor.volume);
    let mut left = shift;
    while left > 0 {
        // Two entries, or three for a name of 14 characters.
        let (name, slots) = match left {
            3 => ("a longer n.txt".to_owned(), 3),
            _ => (format!("{left}.txt"), 2),
        };
        esp.create(&format!("EFI/Linux/{name}"), b"").unwrap();
        left -= slots;
    }
    let uki = uki(version);
    esp.create(&format!("EFI/Linux/holdfast_{version}.efi"), &uki)
        .unwrap();
    let script = Slot::from_uki(&v(version), &uki).unwrap();
    esp.create("grub/a.cfg", script.script().unwrap().as_bytes())
        .unwrap();
    let state = State {
        order: vec!['a', 'b'],
        good: Some('a'),
        left: Vec::new(),
    };
    esp.create("grub/grubenv", &state.write().unwrap()).unwrap();
    let mut volume = esp.volume();
    volume.settle();
    volume
}

struct Machine {
    esp: Vfat,
    firmware: Firmware,
    loader: Loader,
    /// Releases that may be in slot A and in slot B.
    slots: [Vec<&'static str>; 2],
}

impl Machine {
    fn snapshot(&self) -> Fat {
        self.esp.layout().snapshot(&self.esp.volume())
    }

    /// What a loader starts, whole; nothing, if it starts nothing.
    fn try_loader(&self, loader: Loader) -> (String, Fat, Fat) {
        let before = self.snapshot();
        let mut after = before.clone();
        let booted = loader(&mut after).unwrap_or_default();
        if !booted.is_empty() {
            let whole = uki(&booted);
            let names = before.names("EFI/Linux");
            let mut files = names
                .iter()
                .filter_map(|n| before.read(&format!("EFI/Linux/{n}")));
            assert!(files.any(|bytes| *bytes == whole), "{booted} is not whole");
        }
        (booted, before, after)
    }

    /// Boots, and leaves on the ESP what the loader writes.
    fn boot(&self) -> String {
        let (booted, before, after) = self.try_loader(self.loader);
        let names = |fat: &Fat| fat.names("EFI/Linux");
        let (old, new) = (names(&before), names(&after));
        let gone = old.iter().find(|name| !new.contains(name));
        let come = new.iter().find(|name| !old.contains(name));
        if let (Some(from), Some(to)) = (gone, come) {
            let path = |name: &str| format!("EFI/Linux/{name}");
            self.esp.rename(&path(from), &path(to)).unwrap();
        }
        let env = "grub/grubenv";
        if let Some(block) = after.read(env)
            && before.read(env) != Some(block)
        {
            self.esp.overwrite(env, block).unwrap();
        }
        booted
    }

    fn control(&self, running: &str) -> BootControl<'_> {
        let slot = match self.slots[0].contains(&running) {
            true => Id::A,
            false => Id::B,
        };
        BootControl::new(&self.esp, self.firmware, slot, v(running))
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Prepare,
    Install(&'static str),
    Good,
    Back,
}

impl Step {
    fn run(self, machine: &mut Machine, running: &'static str) {
        if let Step::Install(version) = self {
            let slot = usize::from(machine.slots[0].contains(&running));
            machine.slots[slot].push(version);
        }
        let control = machine.control(running);
        match self {
            Step::Prepare => control.prepare(4000),
            Step::Install(version) => control.install(&v(version), &uki(version), TRIES),
            Step::Good => control.mark_good(false),
            Step::Back => control.rollback(),
        }
        .unwrap_or_else(|e| panic!("{self:?}: {e}"));
    }
}

/// What may be on the medium of writes that no flush followed: every choice of few,
/// or each beginning, each single loss, each single survivor, and some at random.
fn choices(count: usize, seed: &mut u64) -> Vec<Vec<bool>> {
    if count <= 9 {
        let all = 0..1usize << count;
        return all
            .map(|mask| (0..count).map(|n| mask >> n & 1 == 1).collect())
            .collect();
    }
    let mut choices = Vec::new();
    for at in 0..=count {
        choices.push((0..count).map(|n| n < at).collect());
        choices.push((0..count).map(|n| n == at).collect());
        choices.push((0..count).map(|n| n != at).collect());
    }
    for _ in 0..40 {
        choices.push(
            (0..count)
                .map(|_| {
                    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *seed >> 40 & 1 == 1
                })
                .collect(),
        );
    }
    choices
}

/// What a reader sees, as a number.
fn seen(machine: &Machine) -> u64 {
    let (layout, volume) = (machine.esp.layout(), machine.esp.volume());
    let mut hasher = DefaultHasher::new();
    for folder in ["EFI/Linux", "grub"] {
        let first = layout.find(&volume, folder).unwrap().first;
        for file in layout.list(&volume, first) {
            (&file.name, file.first, file.size).hash(&mut hasher);
            layout.read(&volume, &file).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// What a machine must do with an ESP that a cut left: boot one of its releases whole
/// by either firmware, take it for good, take the next release, and come back from it.
fn recovers(
    volume: &Volume,
    machine: &Machine,
    known: &[&'static str],
    next: &'static str,
    what: &str,
) {
    for (_, loader) in LOADERS {
        let (booted, ..) = machine.try_loader(loader);
        assert!(known.contains(&&*booted), "{booted:?} boots: {what}");
    }
    let mut again = Machine {
        esp: Vfat::new(volume.clone()),
        slots: machine.slots.clone(),
        ..*machine
    };
    let booted = again.boot();
    repair(&again.esp).unwrap();
    let booted = known.iter().find(|k| **k == booted).unwrap();
    let control = again.control(booted);
    match control.mark_good(false) {
        Ok(()) => {}
        // Boots the other one next time.
        Err(Error::RolledBack(_)) => return,
        Err(e) => panic!("{booted} does not become good: {e:?}: {what}"),
    }
    control
        .check(4000)
        .unwrap_or_else(|e| panic!("{booted} cannot update: {e:?}: {what}"));
    for step in [Step::Prepare, Step::Install(next)] {
        step.run(&mut again, booted);
        let (layout, volume) = (again.esp.layout(), again.esp.volume());
        let names = again.snapshot().names("EFI/Linux");
        assert!(
            !layout.shared(&volume),
            "{step:?} {names:?} {booted} {next}: {what}"
        );
    }
    // Nothing was left for later, and no cluster is lost.
    assert_eq!(repair(&again.esp).unwrap(), Repaired::default(), "{what}");
    for _ in 0..TRIES {
        assert_eq!(again.boot(), next, "{what}");
    }
    assert_eq!(again.boot(), *booted, "no way back: {what}");
}

/// Cuts `step` everywhere. Returns how many states a reader could tell apart.
fn cut(machine: &mut Machine, step: Step, running: &'static str, seed: &mut u64) -> usize {
    let before: Vec<&'static str> = machine.slots.concat();
    machine.esp.take_log();
    let mut base = machine.esp.volume();
    step.run(machine, running);
    let log = machine.esp.take_log();
    let known: Vec<&'static str> = before.into_iter().chain(machine.slots.concat()).collect();
    let mut distinct = HashSet::new();
    for segment in log.split(|event| matches!(event, Event::Flush)) {
        for kept in choices(segment.len(), seed) {
            let volume = base.with(segment, |n| kept[n]);
            let after = Machine {
                esp: Vfat::new(volume.clone()),
                slots: machine.slots.clone(),
                ..*machine
            };
            if distinct.insert(seen(&after)) {
                let what = format!("{:?} {running} {step:?} {kept:?}", machine.firmware);
                // To systemd-boot newer than what runs, or older.
                let next = ["9", "0.1"][distinct.len() % 2];
                recovers(&volume, &after, &known, next, &what);
            }
        }
        base = base.with(segment, |_| true);
    }
    distinct.len()
}

/// Updates, trials, and a rollback, with a loss of power at every sector that is
/// written to the ESP: whichever of the sectors since the last flush are lost.
fn replay((firmware, loader): (Firmware, Loader), versions: [&'static str; 3], shift: usize) {
    let [one, two, three] = versions;
    let mut machine = Machine {
        esp: Vfat::new(fresh(one, shift)),
        firmware,
        loader,
        slots: [vec![one], Vec::new()],
    };
    let mut seed = 1 + shift as u64;
    let mut states = 0;
    let mut go = |machine: &mut Machine, running, steps: &[Step]| {
        for step in steps {
            states += cut(machine, *step, running, &mut seed);
        }
    };
    go(&mut machine, one, &[Step::Prepare, Step::Install(two)]);
    assert_eq!(machine.boot(), two);
    go(
        &mut machine,
        two,
        &[Step::Good, Step::Prepare, Step::Install(three)],
    );
    assert_eq!(machine.boot(), three);
    go(&mut machine, three, &[Step::Back]);
    assert_eq!(machine.boot(), two);
    go(&mut machine, two, &[Step::Good]);
    assert!(states > 60, "{states}");
}

/// With different parts of names in different sectors; and with releases that
/// systemd-boot sorts the other way round.
const CASES: [(usize, [&str; 3]); 4] = [
    (0, ["1", "2", "3"]),
    (6, ["1", "2", "3"]),
    (7, ["2.5", "2.4", "2.45"]),
    (8, ["2.5", "2.4", "2.45"]),
];

#[test]
fn f1_power_cuts_at_every_sector_of_the_esp_uefi() {
    for (shift, versions) in CASES {
        replay(LOADERS[0], versions, shift);
    }
}

#[test]
fn f1_power_cuts_at_every_sector_of_the_esp_bios() {
    for (shift, versions) in CASES {
        replay(LOADERS[1], versions, shift);
    }
}

/// The model writes what another driver reads.
#[test]
fn another_driver_reads_what_is_written() {
    let esp = Vfat::new(fresh("1", 7));
    let long = vec![7; 20_000];
    esp.create("EFI/Linux/holdfast_2+3.efi.tmp", &long).unwrap();
    esp.rename(
        "EFI/Linux/holdfast_2+3.efi.tmp",
        "EFI/Linux/holdfast_2+3.efi",
    )
    .unwrap();
    esp.create("grub/b.cfg", b"x").unwrap();
    esp.rename("grub/b.cfg", "grub/a.cfg").unwrap();
    let mut cursor = esp.volume().cursor();
    let system = fatfs::FileSystem::new(&mut cursor, fatfs::FsOptions::new()).unwrap();
    let names = |folder: &str| {
        let folder = system.root_dir().open_dir(folder).unwrap();
        let names = folder.iter().map(|entry| entry.unwrap().file_name());
        names.collect::<Vec<_>>()
    };
    for name in ["holdfast_1.efi", "holdfast_2+3.efi"] {
        assert!(names("EFI/Linux").contains(&name.to_owned()));
    }
    assert_eq!(names("grub"), [".", "..", "a.cfg", "grubenv"]);
    let read = |path: &str| {
        let mut bytes = Vec::new();
        let mut file = system.root_dir().open_file(path).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    assert!(read("EFI/Linux/holdfast_2+3.efi") == long);
    assert!(read("EFI/Linux/holdfast_1.efi") == uki("1"));
    assert_eq!(read("grub/a.cfg"), b"x");
}
