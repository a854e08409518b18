//! A publisher, a repository in a folder, and a machine of plain files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use init::cmdline::RootHash;
use sha2::Digest as _;

use crate::boot::testing::make_uki;
use crate::boot::{BootControl, Firmware, Folder};
use crate::delta::encode::{self, Patcher};
use crate::delta::index::{Index, Window, digest};
use crate::fetch::{self, Sink, Source, directory::Directory};
use crate::grub;
use crate::release::{
    Artefact, Channel, Digest, FORMAT, Patch, Release, Stream, Usr, channel_name, folder,
    release_name,
};
use crate::slots::testing::{USR, image_for};
use crate::slots::{Content, Disk};
use crate::tuf::sign::{Keyring, Policy, Repository};
use crate::tuf::{Role, Target, Time};
use crate::update::{Done, Error, Event, Found, Identity, Setup, Work, check};
use crate::verity::{BLOCK, Builder, DIGEST, HashTree};
use crate::version::Version;

pub const NOW: Time = Time(1_800_000_000);
pub const SALT: [u8; 32] = [0xaa; 32];
/// Small, so that a small /usr has several.
pub const WINDOW: u32 = 64 << 10;

pub fn v(text: &str) -> Version {
    text.parse().unwrap()
}

/// Bytes that do not compress.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64)
        .step_by(32)
        .flat_map(|at| sha2::Sha256::digest((seed << 32 | at).to_le_bytes()))
        .collect()
}

/// A build: /usr, hash tree, kernel image.
pub struct Build {
    pub version: Version,
    pub sequence: u64,
    pub usr: Vec<u8>,
    pub tree: HashTree,
    pub uki: Vec<u8>,
}

impl Build {
    pub fn new(version: &str, sequence: u64, usr: Vec<u8>) -> Self {
        let mut builder = Builder::new((usr.len() / BLOCK) as u64, &SALT);
        builder.update(&usr);
        let tree = builder.finish().unwrap();
        let cmdline = format!("usrhash={} quiet", tree.root_hex());
        Build {
            uki: make_uki(&v(version), &cmdline, 50_000),
            version: v(version),
            sequence,
            usr,
            tree,
        }
    }

    pub fn hash(&self) -> RootHash {
        RootHash(self.tree.root_hash)
    }
}

/// Release 1, and 2, which has one block of 40 changed and twenty more.
pub fn builds() -> (Build, Build) {
    let one = noise(1, 40 * BLOCK);
    let mut two = one.clone();
    two[20 * BLOCK..21 * BLOCK].copy_from_slice(&noise(2, BLOCK));
    two.extend_from_slice(&noise(3, 20 * BLOCK));
    (Build::new("1", 100, one), Build::new("2", 200, two))
}

pub struct World {
    pub dir: tempfile::TempDir,
    pub repository: Repository,
    pub targets: BTreeMap<String, Target>,
    pub machine: Identity,
    window: u32,
}

impl World {
    /// An empty repository, and a machine that runs `running`.
    pub fn new(running: &Build) -> Self {
        Self::with_windows(running, WINDOW)
    }

    /// The same, with windows of another length and slots that are large enough.
    pub fn with_windows(running: &Build, window: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut keyring = Keyring::open(&dir.path().join("keys")).unwrap();
        let roles = Role::ALL
            .into_iter()
            .map(|role| (role, (vec![keyring.generate(role).unwrap()], 1)))
            .collect();
        let metadata = dir.path().join("repository/metadata");
        let repository =
            Repository::create(&metadata, keyring, Policy::default(), NOW, &roles).unwrap();

        let room = (running.usr.len() as u64 + u64::from(window)).max(USR);
        let mut disk = image_for(512, &running.version, running.hash(), room);
        let table = Disk::open(
            "new",
            std::sync::Arc::new(scratch(&disk)),
            512,
            disk.len() as u64,
            running.hash(),
        )
        .unwrap();
        let slot = table.slot(table.running()).clone();
        for (part, bytes) in [(slot.usr, &running.usr), (slot.verity, &running.tree.bytes)] {
            let start = part.start as usize;
            disk[start..start + bytes.len()].copy_from_slice(bytes);
        }
        fs::write(dir.path().join("disk"), disk).unwrap();

        let esp = dir.path().join("esp");
        fs::create_dir_all(esp.join("EFI/Linux")).unwrap();
        fs::create_dir_all(esp.join("grub")).unwrap();
        let name = format!("EFI/Linux/holdfast_{}.efi", running.version);
        fs::write(esp.join(name), &running.uki).unwrap();
        let script = grub::Slot::from_uki(&running.version, &running.uki).unwrap();
        fs::write(esp.join("grub/a.cfg"), script.script().unwrap()).unwrap();
        let state = grub::State {
            order: vec!['a', 'b'],
            good: Some('a'),
            left: Vec::new(),
        };
        fs::write(esp.join("grub/grubenv"), state.write().unwrap()).unwrap();
        World {
            dir,
            repository,
            targets: BTreeMap::new(),
            machine: Identity {
                image: "docker".into(),
                architecture: "amd64".into(),
                version: running.version.to_string(),
                root_hash: running.hash(),
                sequence: running.sequence,
            },
            window,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn put(&self, name: &str, bytes: &[u8]) -> Artefact {
        let artefact = Artefact {
            name: name.to_owned(),
            length: bytes.len() as u64,
            sha256: digest(bytes),
        };
        let path = self.path("repository").join(artefact.path());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        artefact
    }

    fn stream(&self, name: &str, build: &Build, old: u64, windows: Parts) -> Stream {
        let (windows, frames): (Vec<Window>, Vec<Vec<u8>>) = windows.into_iter().unzip();
        let index = Index::new(self.window, build.usr.len() as u64, old, windows).unwrap();
        Stream {
            index: self.put(&format!("{name}.index"), &index.encode()),
            data: self.put(&format!("{name}.zst"), &frames.concat()),
        }
    }

    /// Writes the artefacts of a build, with a patch from another one.
    pub fn release(&self, build: &Build, from: Option<&Build>) -> Release {
        let folder = folder("docker", "amd64", build.version.as_str());
        let window = self.window as usize;
        let plains = || build.usr.chunks(window);
        let full = plains().map(|plain| encode::full(plain).unwrap()).collect();
        let full = self.stream(&format!("{folder}/usr"), build, 0, full);
        let patch = |old: &Build| {
            let file = scratch(&old.usr);
            let size = old.usr.len() as u64;
            let patcher = Patcher::new(&file, size, old.tree.leaves().to_vec()).unwrap();
            let leaves = build.tree.leaves().chunks(window / BLOCK * DIGEST);
            let windows = plains().zip(leaves);
            let windows = windows.map(|(plain, leaves)| patcher.window(plain, leaves).unwrap());
            Patch {
                from_version: old.version.to_string(),
                from_root_hash: Digest(old.tree.root_hash),
                stream: self.stream(&format!("{folder}/from"), build, size, windows.collect()),
            }
        };
        Release {
            format: FORMAT,
            image: "docker".into(),
            version: build.version.to_string(),
            architecture: "amd64".into(),
            sequence: build.sequence,
            usr: Usr {
                size: build.usr.len() as u64,
                root_hash: Digest(build.tree.root_hash),
                salt: init::verity::hex(&SALT),
                verity_uuid: String::new(),
                full,
                patches: from.map(patch).into_iter().collect(),
                leaves: Some(self.put(&format!("{folder}/usr.leaves"), build.tree.leaves())),
            },
            uki: self.put(&format!("{folder}/uki.efi"), &build.uki),
        }
    }

    /// Puts a document into the repository, under a name of its own.
    pub fn document(&mut self, name: &str, document: &impl serde::Serialize) {
        let bytes = serde_json::to_vec(document).unwrap();
        self.put(name, &bytes);
        self.targets.insert(name.to_owned(), Target::of(&bytes));
    }

    /// Signs what is there.
    pub fn sign(&mut self) {
        self.repository.publish(self.targets.clone()).unwrap();
    }

    /// Publishes a release on `stable`, as it should be.
    pub fn publish(&mut self, release: &Release) {
        let name = release_name("docker", "amd64", &release.version);
        self.document(&name, release);
        self.offer(&release.version, None);
    }

    pub fn offer(&mut self, version: &str, floor: Option<&str>) {
        let channel = Channel {
            format: FORMAT,
            channel: "stable".into(),
            version: version.into(),
            floor: floor.map(str::to_owned),
            downgrade: false,
        };
        self.document(&channel_name("docker", "amd64", "stable"), &channel);
        self.sign();
    }

    pub fn setup(&self) -> Setup {
        Setup {
            state: self.path("state"),
            root: self.repository.root_bytes().to_vec(),
            channel: "stable".into(),
            now: NOW,
            again: false,
            downgrade: false,
            pin: None,
        }
    }

    pub fn source(&self) -> Cut {
        Cut {
            inner: Directory::open(&self.path("repository")).unwrap(),
            left: u64::MAX,
            fetched: 0,
        }
    }

    pub fn check(&self) -> Result<Found, Error> {
        fs::create_dir_all(self.path("state")).unwrap();
        check(&self.machine, &self.setup(), &mut self.source())
    }

    pub fn disk(&self) -> Disk {
        Disk::of_image(&self.path("disk"), self.machine.root_hash).unwrap()
    }

    pub fn with_boot<T>(&self, run: impl FnOnce(&mut Disk, &BootControl<'_>) -> T) -> T {
        with_files(self.dir.path(), &self.machine, run)
    }

    /// Installs what is offered; the ways that were taken.
    pub fn update(&self, source: &mut Cut) -> (Result<Done, Error>, Vec<&'static str>) {
        let found = self.check().unwrap();
        let offer = found.offer.unwrap();
        let state = self.path("state");
        let mut ways = Vec::new();
        let done = self.with_boot(|disk, boot| {
            Work {
                state: &state,
                disk,
                boot,
                source,
                stop: &|| false,
                tell: &mut |event| {
                    if let Event::Way { way, .. } = event {
                        ways.push(*way);
                    }
                },
            }
            .install(&offer)
        });
        (done, ways)
    }

    /// Asserts that the other slot holds `build`, verified, and is tried next; that
    /// nothing is left behind.
    pub fn assert_installed(&self, build: &Build) {
        let disk = self.disk();
        let slot = disk.inactive();
        let content = Content::Release(build.version.clone(), build.hash());
        assert_eq!(slot.content(), content);
        let read = |part: &crate::slots::Part, len: usize| {
            let mut bytes = vec![0; len];
            disk.area(part).unwrap().read(&mut bytes, 0).unwrap();
            bytes
        };
        assert!(read(&slot.usr, build.usr.len()) == build.usr);
        assert!(read(&slot.verity, build.tree.bytes.len()) == build.tree.bytes);
        let uki = self.path(&format!("esp/EFI/Linux/holdfast_{}+3.efi", build.version));
        assert!(fs::read(uki).unwrap() == build.uki);
        self.with_boot(|disk, boot| {
            let state = boot.state().unwrap();
            assert_eq!(state.next, disk.inactive().id);
            assert_eq!(state.last_good, Some(disk.running()));
        });
        let mut left: Vec<_> = fs::read_dir(self.path("state"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["answered.json", "floor.json", "trial", "tuf"]);
    }

    /// Asserts that nothing was done to the machine.
    pub fn assert_untouched(&self) {
        assert_eq!(self.disk().inactive().content(), Content::Empty);
        assert_eq!(fs::read_dir(self.path("esp/EFI/Linux")).unwrap().count(), 1);
    }
}

/// Lends the machine of plain files in `folder`, which runs `machine`.
pub fn with_files<T>(
    folder: &Path,
    machine: &Identity,
    run: impl FnOnce(&mut Disk, &BootControl<'_>) -> T,
) -> T {
    let esp = Folder::new(&folder.join("esp"));
    let mut disk = Disk::of_image(&folder.join("disk"), machine.root_hash).unwrap();
    let version = v(&machine.version);
    let boot = BootControl::new(&esp, Firmware::Uefi, disk.running(), version);
    run(&mut disk, &boot)
}

type Parts = Vec<(Window, Vec<u8>)>;

/// A file that nobody has a name for.
fn scratch(bytes: &[u8]) -> fs::File {
    let mut file = tempfile::tempfile().unwrap();
    io::Write::write_all(&mut file, bytes).unwrap();
    file
}

/// The repository's folder, whose connection breaks after some bytes.
pub struct Cut {
    inner: Directory,
    pub left: u64,
    pub fetched: u64,
}

impl Cut {
    fn gone(name: &str) -> fetch::Error {
        fetch::Error::Unreachable {
            name: name.to_owned(),
            reason: "cut".to_owned(),
        }
    }
}

impl Source for Cut {
    fn document(&mut self, name: &str, cap: u64) -> Result<Option<Vec<u8>>, fetch::Error> {
        if self.left == 0 {
            return Err(Self::gone(name));
        }
        self.inner.document(name, cap)
    }

    fn range(
        &mut self,
        name: &str,
        range: Range<u64>,
        sink: &mut Sink<'_>,
    ) -> Result<(), fetch::Error> {
        let len = range.end - range.start;
        let now = len.min(self.left);
        self.left -= now;
        self.fetched += now;
        let mut pieces = |bytes: &[u8]| bytes.chunks(1000).try_for_each(&mut *sink);
        self.inner
            .range(name, range.start..range.start + now, &mut pieces)?;
        if now < len {
            return Err(Self::gone(name));
        }
        Ok(())
    }

    fn blame(&mut self, name: &str) -> bool {
        self.inner.blame(name)
    }
}
