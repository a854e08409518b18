use std::sync::Arc;

use proptest::prelude::*;
use sha2::Digest as _;

use super::*;
use crate::boot::testing::{Fat, RamEsp, grub, make_uki, signed, systemd_boot};
use crate::boot::{BootControl, Firmware, SecureBoot};
use crate::grub::{Slot, State as GrubState};
use crate::slots::Disk;
use crate::slots::testing::{Faults, Log, Op, Ram, USR, image, open};

const SALT: [u8; 4] = [1, 2, 3, 4];
const WINDOW: u64 = 32 << 10;

fn v(text: &str) -> Version {
    text.parse().unwrap()
}

/// A release: its /usr, hash tree and UKI.
struct Release {
    version: Version,
    usr: Vec<u8>,
    tree: HashTree,
    uki: Vec<u8>,
    /// How many windows come before the source fails.
    comes: u64,
    /// Windows that were made.
    made: Vec<u64>,
}

impl Release {
    fn new(version: &str, blocks: usize) -> Self {
        let seed = version.bytes().fold(7u32, |n, b| n * 31 + u32::from(b));
        let usr: Vec<u8> = (0..blocks * BLOCK)
            .map(|at| (seed.wrapping_mul(at as u32 / 64 + 1) >> 16) as u8)
            .collect();
        let mut builder = Builder::new(blocks as u64, &SALT);
        builder.update(&usr);
        let tree = builder.finish().unwrap();
        let cmdline = format!("usrhash={} quiet", tree.root_hex());
        Release {
            uki: make_uki(&v(version), &cmdline, 3000),
            version: v(version),
            usr,
            tree,
            comes: u64::MAX,
            made: Vec::new(),
        }
    }

    fn hash(&self) -> RootHash {
        RootHash(self.tree.root_hash)
    }

    fn job(&self) -> Job<'static> {
        Job {
            version: self.version.clone(),
            root_hash: self.hash(),
            usr_size: self.usr.len() as u64,
            salt: SALT.to_vec(),
            uki: self.uki.clone().leak(),
            tries: 3,
        }
    }

    fn window(&self, index: u64) -> &[u8] {
        let start = (index * WINDOW) as usize;
        &self.usr[start..self.usr.len().min(start + WINDOW as usize)]
    }
}

impl Windows for Release {
    fn size(&self) -> u64 {
        WINDOW
    }

    fn matches(&self, index: u64, plain: &[u8]) -> bool {
        sha2::Sha256::digest(plain) == sha2::Sha256::digest(self.window(index))
    }

    fn produce(&mut self, first: u64, sink: &mut Sink) -> Result<(), BoxError> {
        for index in first..(self.usr.len() as u64).div_ceil(WINDOW) {
            if self.comes == 0 {
                return Err("the network is gone".into());
            }
            self.comes -= 1;
            self.made.push(index);
            sink(self.window(index))?;
        }
        Ok(())
    }
}

/// A machine's disk and ESP, with one log of what is done to both.
struct Machine {
    ram: Arc<Ram>,
    esp: RamEsp,
    log: Log,
    firmware: Firmware,
    running: (Version, RootHash),
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(release: &Release, firmware: Firmware) -> Self {
        let mut bytes = image(512, &release.version, release.hash());
        for (number, data) in [(4, &release.usr), (5, &release.tree.bytes)] {
            let start = partition(&bytes, number).0 as usize;
            bytes[start..start + data.len()].copy_from_slice(data);
        }
        let mut fat = Fat::default();
        fat.put(
            &format!("EFI/Linux/holdfast_{}.efi", release.version),
            &release.uki,
        );
        let script = Slot::from_uki(&release.version, &release.uki).unwrap();
        fat.put("grub/a.cfg", script.script().unwrap().as_bytes());
        let state = GrubState {
            order: vec!['a', 'b'],
            good: Some('a'),
            left: Vec::new(),
        };
        fat.put("grub/grubenv", &state.write().unwrap());
        Self::with(
            bytes,
            fat,
            firmware,
            (release.version.clone(), release.hash()),
        )
    }

    fn with(bytes: Vec<u8>, fat: Fat, firmware: Firmware, running: (Version, RootHash)) -> Self {
        let log = Log::default();
        Machine {
            ram: Ram::new(bytes, log.clone()),
            esp: RamEsp::new(fat, log.clone()),
            log,
            firmware,
            running,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn disk(&self) -> Disk {
        open(&self.ram, 512, self.running.1).unwrap()
    }

    fn boot(&self) -> BootControl<'_> {
        let running = self.disk().running();
        BootControl::new(&self.esp, self.firmware, running, self.running.0.clone())
    }

    fn journal(&self) -> Journal {
        Journal::new(&self.folder.path().join("journal.json"))
    }

    fn install(&self, release: &mut Release) -> Result<(), Error> {
        let job = release.job();
        let (mut disk, journal) = (self.disk(), self.journal());
        install(
            &job,
            &mut disk,
            &self.boot(),
            release,
            &journal,
            &mut |_, _, _| {},
        )
    }

    fn status(&self) -> Status {
        Status::read(&self.disk(), &self.boot(), &self.journal()).unwrap()
    }

    /// The root hash that boots next, by the firmware in use.
    fn next(&self) -> Option<RootHash> {
        boots(&self.ram.bytes(), &mut self.esp.fat(), self.firmware)
    }
}

/// First byte and length of a partition, as `init` finds it.
fn partition(bytes: &[u8], number: u32) -> (u64, u64) {
    let count = bytes.len() as u64 / 512;
    let loaded = init::gpt::load(&mut std::io::Cursor::new(bytes), 512, count).unwrap();
    let found = loaded.table.partition(number).unwrap().clone();
    (found.first_lba * 512, found.sectors() * 512)
}

/// What a power-on does: the loader chooses, `init` looks for the partitions of
/// `usrhash=`, and dm-verity checks every block. The root hash, if all of it is
/// good; none if the machine does not come up.
fn boots(disk: &[u8], fat: &mut Fat, firmware: Firmware) -> Option<RootHash> {
    let hash = match firmware {
        Firmware::Uefi => systemd_boot(fat),
        Firmware::Bios => grub(fat),
    };
    let hash = RootHash::parse(&hash?)?;
    let count = disk.len() as u64 / 512;
    let table = init::gpt::load(&mut std::io::Cursor::new(disk), 512, count)
        .ok()?
        .table;
    let slot = init::slots::find([&table], hash).ok()?;
    let bytes = |number: u32| {
        let found = table.partition(number).unwrap();
        let start = found.first_lba as usize * 512;
        &disk[start..start + found.sectors() as usize * 512]
    };
    let superblock = init::verity::Superblock::decode(bytes(slot.verity)).ok()?;
    let mut builder = Builder::new(superblock.data_blocks, &superblock.salt);
    builder.update(bytes(slot.usr).get(..superblock.data_blocks as usize * BLOCK)?);
    let tree = builder.finish().ok()?;
    let good = tree.root_hash == hash.0 && bytes(slot.verity).starts_with(&tree.bytes);
    good.then_some(hash)
}

const ALL: [Firmware; 2] = [Firmware::Uefi, Firmware::Bios];

#[test]
fn installs_and_boots() {
    for firmware in ALL {
        let (old, mut new) = (Release::new("1", 40), Release::new("2", 50));
        let machine = Machine::new(&old, firmware);
        assert_eq!(machine.next(), Some(old.hash()));
        machine.install(&mut new).unwrap();
        assert_eq!(machine.next(), Some(new.hash()));
        assert_eq!(new.made, (0..7).collect::<Vec<_>>());
        assert_eq!(machine.journal().read(), None);
        let status = machine.status();
        assert_eq!(status.staged.as_deref(), Some("2"));
        assert_eq!((status.next, status.last_good), (Id::B, Some(Id::A)));
        assert_eq!(
            status.to_string(),
            "slot A: 1: running, known to be good\n\
             slot B: 2: installed, waits for a reboot; 3 tries left\n\
             next boot: slot B; if that fails, slot A\n"
        );
        // The same again: nothing is made, nothing changes.
        let (before, fat) = (machine.ram.bytes(), machine.esp.fat());
        new.made.clear();
        machine.install(&mut new).unwrap();
        assert!(new.made.is_empty());
        assert!(machine.ram.bytes() == before && machine.esp.fat() == fat);
        let text = serde_json::to_string(&machine.status()).unwrap();
        assert!(
            text.contains(r#""verdict":"trial","tries_left":3"#),
            "{text}"
        );
    }
}

#[test]
fn resumes_at_the_window_where_it_was_cut() {
    let (old, mut new) = (Release::new("1", 40), Release::new("2", 50));
    let machine = Machine::new(&old, Firmware::Uefi);
    new.comes = 3;
    let error = machine.install(&mut new).unwrap_err();
    assert!(matches!(error, Error::Window { index: 3, .. }), "{error}");
    assert_eq!(machine.status().writing.as_deref(), Some("2"));
    assert_eq!(machine.next(), Some(old.hash()));
    // What the journal says is checked: window 1 is no longer what was written.
    let (start, _) = partition(&machine.ram.bytes(), 6);
    let mut bytes = machine.ram.bytes();
    bytes[(start + WINDOW + 5) as usize] ^= 1;
    let damaged = Machine::with(
        bytes,
        machine.esp.fat(),
        Firmware::Uefi,
        machine.running.clone(),
    );
    damaged
        .journal()
        .write(&machine.journal().read().unwrap())
        .unwrap();
    for (machine, first) in [(machine, 3), (damaged, 1)] {
        new.made.clear();
        new.comes = u64::MAX;
        machine.install(&mut new).unwrap();
        assert_eq!(new.made, (first..7).collect::<Vec<_>>());
        assert_eq!(machine.next(), Some(new.hash()));
    }
}

#[test]
fn a_newer_release_supersedes_what_is_there() {
    for cut in [2, u64::MAX] {
        let old = Release::new("1", 40);
        let machine = Machine::new(&old, Firmware::Bios);
        let mut staged = Release::new("2", 50);
        staged.comes = cut;
        let _ = machine.install(&mut staged);
        let mut new = Release::new("3", 45);
        machine.install(&mut new).unwrap();
        assert_eq!(new.made.len(), 6);
        assert_eq!(machine.next(), Some(new.hash()));
        assert_eq!(machine.status().staged.as_deref(), Some("3"));
        unstage(&mut machine.disk(), &machine.boot(), &machine.journal()).unwrap();
        assert_eq!(machine.next(), Some(old.hash()));
        assert_eq!(machine.status().staged, None);
    }
}

#[test]
fn a7_a_kernel_image_of_another_build_is_refused() {
    let (old, mut new) = (Release::new("1", 40), Release::new("2", 50));
    let machine = Machine::new(&old, Firmware::Uefi);
    new.uki = Release::new("2.1", 50).uki;
    assert!(matches!(machine.install(&mut new), Err(Error::Uki { .. })));
    new.uki = b"MZ".to_vec();
    assert!(matches!(machine.install(&mut new), Err(Error::BadUki(..))));
    assert!(machine.log.lock().unwrap().is_empty());
}

/// Firmware with Secure Boot would leave the machine at the loader's menu.
#[test]
fn f16_what_the_firmware_refuses_is_not_installed() {
    let p7 = include_bytes!("../../testdata/secure_boot/leaf.p7");
    let other = include_bytes!("../../testdata/secure_boot/other.p7");
    let (mut old, mut new) = (Release::new("1", 40), Release::new("2", 50));
    old.uki = signed(old.uki, p7);
    let plain = new.uki.clone();
    let machine = Machine::new(&old, Firmware::Uefi);
    let vars = machine.folder.path().join("sys/firmware/efi/efivars");
    std::fs::create_dir_all(&vars).unwrap();
    let enforced = vars.join("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    std::fs::write(enforced, [6, 0, 0, 0, 1]).unwrap();
    let firmware = SecureBoot::of_machine(machine.folder.path()).unwrap();
    let install = |new: &mut Release| {
        let boot = machine.boot().with_secure_boot(Some(&firmware));
        let (job, journal) = (new.job(), machine.journal());
        let disk = &mut machine.disk();
        super::install(&job, disk, &boot, new, &journal, &mut |_, _, _| {})
    };
    for uki in [plain.clone(), signed(plain.clone(), other)] {
        new.uki = uki;
        let error = install(&mut new).unwrap_err();
        let refused = matches!(error, Error::Boot(boot::Error::Unstartable(_)));
        assert!(refused && error.hint().contains("release"), "{error}");
        let error = crate::update::Error::from(error);
        assert!(error.is_refusal(), "{error}");
    }
    assert!(machine.log.lock().unwrap().is_empty());
    new.uki = signed(plain, p7);
    install(&mut new).unwrap();
    assert_eq!(machine.next(), Some(new.hash()));
}

#[test]
fn f3_a_full_esp_or_journal_leaves_everything_as_it_was() {
    let (old, mut new) = (Release::new("1", 40), Release::new("2", 50));
    let machine = Machine::new(&old, Firmware::Uefi);
    *machine.esp.capacity.lock().unwrap() = 10_000;
    let error = machine.install(&mut new).unwrap_err();
    assert!(
        matches!(error, Error::Boot(boot::Error::Full { .. })),
        "{error}"
    );
    assert!(machine.log.lock().unwrap().is_empty());
    *machine.esp.capacity.lock().unwrap() = 16 << 20;
    let job = new.job();
    let journal = Journal::new(&machine.folder.path().join("gone/journal.json"));
    let result = install(
        &job,
        &mut machine.disk(),
        &machine.boot(),
        &mut new,
        &journal,
        &mut |_, _, _| {},
    );
    assert!(matches!(result, Err(Error::Journal { .. })));
    assert_eq!(machine.next(), Some(old.hash()));
    machine.install(&mut new).unwrap();
    assert_eq!(machine.next(), Some(new.hash()));
}

#[test]
fn f4_faults_of_the_medium_leave_the_running_release() {
    for firmware in ALL {
        let (old, mut new) = (Release::new("1", 40), Release::new("2", 50));
        let machine = Machine::new(&old, firmware);
        let (usr, _) = partition(&machine.ram.bytes(), 6);
        let (verity, _) = partition(&machine.ram.bytes(), 7);
        for at in [
            usr,
            usr + 70_000,
            usr + new.usr.len() as u64 - 1,
            verity + 4096 + 40,
        ] {
            for faults in [
                Faults {
                    stuck: Some(at),
                    ..Faults::default()
                },
                Faults {
                    write_error: Some(at),
                    ..Faults::default()
                },
                Faults {
                    read_error: Some(at),
                    ..Faults::default()
                },
            ] {
                *machine.ram.faults.lock().unwrap() = faults;
                let result = machine.install(&mut new);
                // A stuck byte may have had the right value before.
                let Err(error) = result else {
                    assert!(faults.stuck.is_some());
                    unstage(&mut machine.disk(), &machine.boot(), &machine.journal()).unwrap();
                    continue;
                };
                assert!(error.is_medium(), "{error}");
                assert_eq!(machine.next(), Some(old.hash()));
                assert_eq!(machine.status().staged, None);
            }
        }
        *machine.ram.faults.lock().unwrap() = Faults::default();
        machine.install(&mut new).unwrap();
        assert_eq!(machine.next(), Some(new.hash()));
    }
}

#[test]
fn f2_what_is_only_partly_there_is_never_booted() {
    for firmware in ALL {
        for comes in 0..7 {
            let (old, mut new) = (Release::new("1", 40), Release::new("2", 50));
            let machine = Machine::new(&old, firmware);
            new.comes = comes;
            assert!(machine.install(&mut new).is_err());
            assert_eq!(machine.next(), Some(old.hash()));
        }
    }
}

/// The disk after `ops`, where of the sectors written since the last flush those are
/// there that `kept` names.
fn disk_after(before: &[u8], ops: &[Op], kept: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut bytes = before.to_vec();
    let flushed = ops
        .iter()
        .rposition(|op| matches!(op, Op::Sync))
        .unwrap_or(0);
    let mut sector = 0;
    for (number, op) in ops.iter().enumerate() {
        if let Op::Write { at, bytes: new } = op {
            for (piece, at) in new.chunks(512).zip((*at as usize..).step_by(512)) {
                sector += 1;
                if number < flushed || kept(sector) {
                    bytes[at..at + piece.len()].copy_from_slice(piece);
                }
            }
        }
    }
    bytes
}

/// Every prefix of everything one whole update does to the disk and the ESP, with
/// torn and reordered last sectors and half-done renames: by UEFI and by BIOS the
/// complete old or the complete new system boots, and the update can be finished.
#[test]
fn f1_power_cuts_at_every_write_boot_old_or_new() {
    for (firmware, from, to) in [
        (Firmware::Uefi, "1", "2"),
        (Firmware::Bios, "1", "2"),
        (Firmware::Uefi, "2.1", "2.0"),
    ] {
        // The inactive slot holds a release from before, which goes.
        let (old, mut before, mut new) = (
            Release::new(from, 40),
            Release::new("0.9", 30),
            Release::new(to, 44),
        );
        let machine = Machine::new(&old, firmware);
        machine.install(&mut before).unwrap();
        let (disk, fat) = (machine.ram.bytes(), machine.esp.fat());
        machine.log.lock().unwrap().clear();
        machine.install(&mut new).unwrap();
        let ops = machine.log.lock().unwrap().clone();
        let known = [old.hash(), before.hash(), new.hash()];
        let (mut olds, mut news) = (0, 0);
        let mut after = fat;
        for end in 0..=ops.len() {
            let mut fats = vec![after.clone()];
            if let Some(op) = ops.get(end) {
                fats.extend(after.cut(op));
            }
            for mask in [0, u64::MAX, 0x5555_5555_5555_5555, 0xf0f0_ff00_0f1e_2d3c] {
                let bytes = disk_after(&disk, &ops[..end], |n| mask >> (n % 64) & 1 == 1);
                for fat in &fats {
                    for loader in ALL {
                        let booted = boots(&bytes, &mut fat.clone(), loader);
                        let what = format!("{firmware:?} {end} {:?} {mask:x}", ops.get(end));
                        let booted = booted.unwrap_or_else(|| panic!("nothing boots: {what}"));
                        assert!(known.contains(&booted), "{what}");
                        olds += usize::from(booted == old.hash());
                        news += usize::from(booted == new.hash());
                    }
                }
                if mask != u64::MAX {
                    continue;
                }
                // The old system comes up and goes on with the update.
                for fat in fats.clone() {
                    let again =
                        Machine::with(bytes.clone(), fat, firmware, machine.running.clone());
                    new.comes = u64::MAX;
                    if again.boot().state().is_ok() {
                        again.boot().mark_good(false).unwrap();
                        again.install(&mut new).unwrap();
                        assert_eq!(again.next(), Some(new.hash()));
                    }
                }
            }
            if let Some(op) = ops.get(end) {
                after.apply(op);
            }
        }
        assert!(
            olds > 100 && news > 10,
            "{olds} {news} of {} operations",
            ops.len()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever the device takes at once, the same bytes are on it in the end.
    #[test]
    fn short_and_interrupted_writes(most in 1usize..9000, blocks in 2usize..64) {
        let (old, mut new) = (Release::new("1", 8), Release::new("2", blocks));
        let machine = Machine::new(&old, Firmware::Uefi);
        machine.ram.faults.lock().unwrap().short = Some(most);
        machine.install(&mut new).unwrap();
        prop_assert_eq!(machine.next(), Some(new.hash()));
    }

    /// Cut anywhere and any number of times, by a network that goes away.
    #[test]
    fn ends_after_any_interruptions(cuts in proptest::collection::vec(0u64..5, 0..6)) {
        let (old, mut new) = (Release::new("1", 8), Release::new("2", (USR as usize) / BLOCK));
        let machine = Machine::new(&old, Firmware::Bios);
        for comes in cuts {
            new.comes = comes;
            let _ = machine.install(&mut new);
        }
        new.comes = u64::MAX;
        machine.install(&mut new).unwrap();
        prop_assert_eq!(machine.next(), Some(new.hash()));
        new.made.sort_unstable();
        new.made.dedup();
        prop_assert_eq!(new.made.len(), 8);
    }
}
