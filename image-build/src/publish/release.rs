//! Publishing a build. Files first, metadata last: a repository that is served while
//! this runs, or after it was cut, offers what it offered before.

use std::path::{Path, PathBuf};

use serde::Serialize;
use updater::release::{Channel, FORMAT, Release, channel_name, folder, release_name};
use updater::tuf::sign::{Keyring, Lock, Repository};
use updater::tuf::{Role, Target, Time};

use super::artefacts::{self, Folder, Image};
use super::build::Build;
use super::{failed, history, retire, signed};
use crate::error::{Context, Error, Result};
use crate::progress::Progress;

/// Older snapshots and targets documents that are kept for clients in the middle of
/// a refresh.
const KEEP: u64 = 8;

/// Where and how to publish.
#[derive(Debug, Clone)]
pub struct Options {
    /// The repository's folder, with `metadata/` and `targets/`.
    pub repository: PathBuf,
    /// Folder of keys.
    pub keys: PathBuf,
    /// The channel that offers the release from now on.
    pub channel: String,
    /// Oldest version that machines of the channel may still run.
    pub floor: Option<String>,
    /// The release's place in the order, if not by itself.
    pub sequence: Option<u64>,
    /// What patches are made against.
    pub against: Vec<Against>,
    /// How many releases stay in the repository, if not all.
    pub keep: Option<usize>,
    /// Machines may go back to the release from newer ones.
    pub downgrade: bool,
}

/// Older releases to make patches against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// So many of the newest that the repository has.
    Newest(usize),
    /// A build's folder.
    Build(PathBuf),
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Image's name.
    pub image: String,
    /// Architecture.
    pub architecture: String,
    /// Version.
    pub version: String,
    /// Its place in the order.
    pub sequence: u64,
    /// The channel.
    pub channel: String,
    /// False if the release was there before, and only the channel is new.
    pub new: bool,
    /// Bytes of the full stream, with its index.
    pub full: u64,
    /// Version and bytes of each patch, with its index.
    pub patches: Vec<(String, u64)>,
    /// Bytes of the kernel image.
    pub kernel: u64,
    /// Versions that were taken out of the repository.
    pub retired: Vec<String>,
}

/// Publishes a build.
pub fn publish(build: &Build, options: &Options, progress: &Progress) -> Result<Published> {
    let (image, architecture) = (build.name.as_str(), build.architecture.as_str());
    let place = options.repository.as_path();
    let (_lock, mut repository) = open(options)?;
    let mut targets = repository.targets();
    let name = release_name(image, architecture, build.version.as_str());
    if let Some(floor) = &options.floor
        && *floor != build.version.as_str()
        && !targets.contains_key(&release_name(image, architecture, floor))
    {
        let what = format!("the repository has no release {floor} of {image}");
        return Err(Error::input(what).hint("--floor names a release that was published"));
    }
    let known = history::release(place, &targets, &name)?;
    let new = known.is_none();
    let release = match known {
        Some(release) => same(build, release)?,
        None => {
            let history = history::releases(place, &targets, image, architecture)?;
            let sequence = options
                .sequence
                .unwrap_or_else(|| next(build.epoch, &history));
            check_sequence(sequence, repository.fresh_until())?;
            if let Some(newest) = history.first()
                && let Ok(before) = std::fs::read(place.join(newest.uki.path()))
                && let Some(warning) = signed::check(&before, &build.uki)?
            {
                progress.note(&format!("warning: {warning}"));
            }
            let older = older(build, options, &history, progress)?;
            let files = folder(image, architecture, build.version.as_str());
            let release = write(
                build,
                sequence,
                &older,
                &Folder::new(place, &files),
                progress,
            )?;
            targets.insert(name, document(place, &files, "release.json", &release)?);
            release
        }
    };
    let channel = Channel {
        format: FORMAT,
        channel: options.channel.clone(),
        version: release.version.clone(),
        floor: options.floor.clone(),
        downgrade: options.downgrade,
    };
    let target = document(
        place,
        &format!("{image}/{architecture}"),
        &format!("{}.json", options.channel),
        &channel,
    )?;
    targets.insert(channel_name(image, architecture, &options.channel), target);
    let retired = match options.keep {
        Some(keep) => retire::choose(place, &mut targets, image, architecture, keep)?,
        None => Vec::new(),
    };
    let step = progress.step("sign", 0);
    repository.publish(targets.clone()).map_err(failed)?;
    repository.prune(KEEP).map_err(failed)?;
    retire::remove(place, &targets, &retired)?;
    step.done(&format!("{} on {}", release.version, options.channel));
    let bytes = |stream: &updater::release::Stream| stream.index.length + stream.data.length;
    let patches = release.usr.patches.iter();
    Ok(Published {
        image: image.to_owned(),
        architecture: architecture.to_owned(),
        sequence: release.sequence,
        channel: options.channel.clone(),
        new,
        full: bytes(&release.usr.full),
        patches: patches
            .map(|patch| (patch.from_version.clone(), bytes(&patch.stream)))
            .collect(),
        kernel: release.uki.length,
        retired: retired.into_iter().map(|old| old.release.version).collect(),
        version: release.version,
    })
}

/// Opens the repository. The keys that will be needed are asked for first: what
/// comes before them takes minutes.
fn open(options: &Options) -> Result<(Lock, Repository)> {
    let hint = "make keys and repository with `image-build keys init KEYS --repository DIR`";
    for folder in [options.keys.clone(), options.repository.join("metadata")] {
        if !folder.is_dir() {
            let what = format!("there is no folder {}", folder.display());
            return Err(Error::input(what).hint(hint));
        }
    }
    let keyring = Keyring::open(&options.keys).map_err(failed)?;
    let metadata = options.repository.join("metadata");
    let lock = Lock::take(&metadata).map_err(failed)?;
    let repository = Repository::open(&metadata, keyring, Time::now()).map_err(failed)?;
    for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
        let root = &repository.root().body;
        repository.keyring().signers(root, role).map_err(failed)?;
    }
    Ok((lock, repository))
}

/// A place in the order is a time. One that is still to come when the metadata expires
/// is refused by every machine: whoever ran it would take no other release for as long.
fn check_sequence(sequence: u64, expires: Time) -> Result<()> {
    if i64::try_from(sequence).is_ok_and(|sequence| sequence <= expires.0) {
        return Ok(());
    }
    let what = format!(
        "the release's place in the order, {sequence}, is after {expires}, when the metadata expires: machines would refuse it"
    );
    Err(Error::input(what).hint(
        "--sequence is a time in seconds since 1970; leave it out to follow the newest release",
    ))
}

/// A version that is there already must be the same build.
fn same(build: &Build, release: Release) -> Result<Release> {
    let digest = Target::of(&build.uki);
    let kernel = digest.hashes.get("sha256").cloned().unwrap_or_default();
    if release.usr.root_hash.0 == build.image.tree().root_hash
        && release.uki.sha256.to_string() == kernel
    {
        return Ok(release);
    }
    Err(Error::refused(format!(
        "version {} of {} is published already, with another content",
        release.version, release.image
    ))
    .hint("machines would not notice: give the build another `version`"))
}

/// After all that were published, though packages may be as new as theirs.
fn next(epoch: u64, history: &[Release]) -> u64 {
    let newest = history.first().map(|release| release.sequence);
    newest.map_or(epoch, |newest| epoch.max(newest.saturating_add(1)))
}

fn older(
    build: &Build,
    options: &Options,
    history: &[Release],
    progress: &Progress,
) -> Result<Vec<(String, Image)>> {
    let mut older: Vec<(String, Image)> = Vec::new();
    for against in &options.against {
        let step = progress.step("older", 0);
        let mut found = Vec::new();
        match against {
            Against::Newest(count) => {
                for release in history.iter().take(*count) {
                    let image = history::restore(&options.repository, release)?;
                    found.push((release.version.clone(), image));
                }
            }
            Against::Build(folder) => {
                let old = Build::open(folder, Some(&build.name))?;
                found.push((old.version.to_string(), old.image));
            }
        }
        let names: Vec<&str> = found.iter().map(|(version, _)| version.as_str()).collect();
        step.done(&names.join(", "));
        for (version, image) in found {
            let hash = image.tree().root_hash;
            let known = older.iter().any(|(_, old)| old.tree().root_hash == hash);
            if !known && hash != build.image.tree().root_hash {
                older.push((version, image));
            }
        }
    }
    Ok(older)
}

fn write(
    build: &Build,
    sequence: u64,
    older: &[(String, Image)],
    folder: &Folder,
    progress: &Progress,
) -> Result<Release> {
    Ok(Release {
        format: FORMAT,
        image: build.name.clone(),
        version: build.version.to_string(),
        architecture: build.architecture.clone(),
        sequence,
        usr: artefacts::write(&build.image, older, folder, progress)?,
        uki: folder.put("uki.efi", &build.uki)?,
    })
}

/// Writes a document that the metadata names.
fn document(
    repository: &Path,
    folder: &str,
    file: &str,
    document: &impl Serialize,
) -> Result<Target> {
    let mut bytes =
        serde_json::to_vec_pretty(document).environment(|| format!("encoding {file}"))?;
    bytes.push(b'\n');
    Folder::new(repository, folder).put(file, &bytes)?;
    Ok(Target::of(&bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use init::cmdline::RootHash;
    use sha2::{Digest as _, Sha256};
    use updater::delta::apply::{Applier, Receiver};
    use updater::delta::plan::{Have, Plan, Way, choices};
    use updater::fetch;
    use updater::release::Digest;
    use updater::tuf::sign::Policy;
    use updater::update::{Found, Identity, Setup, check};

    use super::*;
    use crate::error::Kind;

    const SALT: [u8; 32] = [0xaa; 32];

    /// Bytes that do not compress.
    fn noise(seed: u64, len: u64) -> Vec<u8> {
        (0..len)
            .step_by(32)
            .flat_map(|at| Sha256::digest((seed << 40 | at).to_le_bytes()))
            .collect()
    }

    fn build(folder: &Path, version: &str, usr: &[u8]) -> Build {
        let path = folder.join(version);
        std::fs::write(&path, usr).unwrap();
        Build {
            name: "docker".into(),
            version: version.parse().unwrap(),
            architecture: "amd64".into(),
            epoch: 100,
            image: Image::open(&path, 0..usr.len() as u64, &SALT).unwrap(),
            uki: noise(7, 5000),
        }
    }

    struct Repo {
        dir: tempfile::TempDir,
        root: Vec<u8>,
    }

    impl Repo {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let mut keyring = Keyring::open(&dir.path().join("keys")).unwrap();
            let roles: BTreeMap<_, _> = Role::ALL
                .into_iter()
                .map(|role| (role, (vec![keyring.generate(role).unwrap()], 1)))
                .collect();
            let metadata = dir.path().join("repository/metadata");
            let made =
                Repository::create(&metadata, keyring, Policy::default(), Time::now(), &roles);
            Repo {
                root: made.unwrap().root_bytes().to_vec(),
                dir,
            }
        }

        fn options(&self) -> Options {
            Options {
                repository: self.dir.path().join("repository"),
                keys: self.dir.path().join("keys"),
                channel: "stable".into(),
                floor: None,
                sequence: None,
                against: vec![Against::Newest(1)],
                keep: None,
                downgrade: false,
            }
        }

        fn publish(&self, build: &Build) -> Result<Published> {
            publish(build, &self.options(), &Progress::quiet())
        }

        fn source(&self) -> Box<dyn fetch::Source + Send> {
            let place = self.dir.path().join("repository").display().to_string();
            fetch::open(&[place], &fetch::Options::default()).unwrap()
        }

        /// What a machine that runs `build` finds.
        fn check(&self, build: &Build, channel: &str) -> Found {
            let state = self.dir.path().join("state");
            std::fs::create_dir_all(&state).unwrap();
            let machine = Identity {
                image: "docker".into(),
                architecture: "amd64".into(),
                version: build.version.to_string(),
                root_hash: RootHash(build.image.tree().root_hash),
                sequence: build.epoch,
            };
            let setup = Setup {
                state,
                root: self.root.clone(),
                channel: channel.into(),
                now: Time::now(),
                again: false,
                downgrade: false,
                pin: None,
            };
            check(&machine, &setup, &mut *self.source()).unwrap()
        }
    }

    struct Collected(Vec<u8>);

    impl Receiver for Collected {
        fn window(&mut self, _: usize, _: u64, plain: &[u8]) -> std::io::Result<()> {
            self.0.extend_from_slice(plain);
            Ok(())
        }
    }

    #[test]
    fn machines_find_and_take_what_is_published() {
        let repo = Repo::new();
        let old = noise(1, 9 << 20);
        let mut new = old.clone();
        new[4 << 20..(4 << 20) + 8192].copy_from_slice(&noise(2, 8192));
        let one = build(repo.dir.path(), "1", &old);
        let two = build(repo.dir.path(), "2", &new);

        let published = repo.publish(&one).unwrap();
        assert_eq!((published.sequence, published.patches.len()), (100, 0));
        assert_eq!(repo.check(&one, "stable").offer, None);
        // As old as the first by its packages, and newer all the same.
        let published = repo.publish(&two).unwrap();
        assert_eq!((published.sequence, published.new), (101, true));
        assert_eq!(published.patches.len(), 1);
        assert!(published.patches[0].1 < 20_000, "{published:?}");

        let offer = repo.check(&one, "stable").offer.unwrap();
        assert_eq!(offer.version.as_str(), "2");
        let have = Have {
            root_hash: Digest(one.image.tree().root_hash),
            size: one.image.size(),
            stored: None,
        };
        let usr = &offer.release.usr;
        let ways = choices(usr, Some(&have));
        assert_eq!(ways[0].way, Way::Patch(0));
        let file = std::fs::File::open(repo.dir.path().join("1")).unwrap();
        for way in ways {
            let mut source = repo.source();
            let plan = Plan::prepare(way.way, usr, Some(&have), &mut *source).unwrap();
            let mut made = Collected(Vec::new());
            Applier::new(&plan, Some(&file), 0)
                .run(&mut *source, &mut made)
                .unwrap();
            assert!(made.0 == new);
        }
        let kernel = repo.options().repository.join(offer.release.uki.path());
        assert_eq!(std::fs::read(kernel).unwrap(), two.uki);

        // On another channel; nothing is made again.
        let beta = Options {
            channel: "beta".into(),
            floor: Some("1".into()),
            ..repo.options()
        };
        let again = publish(&two, &beta, &Progress::quiet()).unwrap();
        assert_eq!((again.sequence, again.new), (101, false));
        assert_eq!(again.patches, published.patches);
        assert!(repo.check(&one, "beta").offer.is_some());
    }

    #[test]
    fn what_would_harm_is_refused() {
        let repo = Repo::new();
        let one = build(repo.dir.path(), "1", &noise(1, 1 << 20));
        let floor = Options {
            floor: Some("0".into()),
            ..repo.options()
        };
        let refused = publish(&one, &floor, &Progress::quiet()).map_err(|e| e.kind());
        assert_eq!(refused.err(), Some(Kind::Input));
        for sequence in [u64::MAX, (Time::now().0 + 40 * 86_400) as u64] {
            let future = Options {
                sequence: Some(sequence),
                ..repo.options()
            };
            let error = publish(&one, &future, &Progress::quiet()).unwrap_err();
            assert_eq!(error.kind(), Kind::Input);
            assert!(error.chain().contains("machines would refuse it"));
        }
        repo.publish(&one).unwrap();
        let other = build(repo.dir.path(), "1", &noise(2, 1 << 20));
        let refused = repo.publish(&other).map_err(|e| e.kind());
        assert_eq!(refused.err(), Some(Kind::Refused));
        // A release that was damaged since does not become the base of a patch.
        let folder = repo.options().repository.join("targets/docker/amd64/1");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "zst") {
                let mut bytes = std::fs::read(&path).unwrap();
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
                std::fs::write(&path, bytes).unwrap();
            }
        }
        let two = build(repo.dir.path(), "2", &noise(3, 1 << 20));
        assert!(repo.publish(&two).is_err());
        let keys = Options {
            keys: repo.dir.path().join("none"),
            ..repo.options()
        };
        let refused = publish(&two, &keys, &Progress::quiet()).map_err(|e| e.kind());
        assert_eq!(refused.err(), Some(Kind::Input));
    }

    #[test]
    fn a_second_publisher_is_turned_away() {
        let repo = Repo::new();
        let one = build(repo.dir.path(), "1", &noise(1, 1 << 20));
        let first = open(&repo.options()).unwrap();
        let error = repo.publish(&one).unwrap_err();
        assert_eq!(error.kind(), Kind::Environment);
        assert!(error.chain().contains("another publisher"), "{error:?}");
        drop(first);
        repo.publish(&one).unwrap();
    }

    #[test]
    fn old_releases_go_and_what_is_needed_stays() {
        let repo = Repo::new();
        let usr = |n: u64| noise(n, 1 << 20);
        let builds: Vec<Build> = (1..=5)
            .map(|n| build(repo.dir.path(), &n.to_string(), &usr(n)))
            .collect();
        for build in &builds[..4] {
            repo.publish(build).unwrap();
        }
        let beta = Options {
            channel: "beta".into(),
            floor: Some("1".into()),
            ..repo.options()
        };
        publish(&builds[1], &beta, &Progress::quiet()).unwrap();
        let last = Options {
            keep: Some(2),
            ..repo.options()
        };
        let published = publish(&builds[4], &last, &Progress::quiet()).unwrap();
        // 5 and 4 are the newest, 2 is on a channel, 1 is its floor.
        assert_eq!(published.retired, ["3"]);
        let folder = last.repository.join("targets/docker/amd64");
        let there = |version: &str| folder.join(version).exists();
        assert_eq!(
            ["1", "2", "3", "4", "5"].map(there),
            [true, true, false, true, true]
        );
        // Those that stay are whole: patches against them can be made.
        let six = build(repo.dir.path(), "6", &usr(6));
        let all = Options {
            against: vec![Against::Newest(9)],
            ..last
        };
        publish(&six, &all, &Progress::quiet()).unwrap();
        assert_eq!(repo.check(&builds[0], "stable").version, "6");
        assert_eq!(repo.check(&builds[0], "beta").version, "2");
    }
}
