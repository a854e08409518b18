//! The whole service on a machine of plain files and a repository in a folder.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::daemon::testing::{Recorder, engine};
use crate::daemon::{Handle, Snapshot};
use crate::state::{Phase, Reboot, Request, Wait};
use crate::update::tests::world::{Build, World, builds, with_files};

/// A machine whose tries are counted by a loader that is not there.
#[derive(Clone)]
struct Pretended {
    root: PathBuf,
    runs: Arc<Mutex<Identity>>,
}

impl Pretended {
    fn new(world: &World) -> Self {
        Pretended {
            root: world.dir.path().to_owned(),
            runs: Arc::new(Mutex::new(world.machine.clone())),
        }
    }
}

impl Ground for Pretended {
    fn root(&self) -> &Path {
        &self.root
    }

    fn identity(&self) -> Result<Identity, Error> {
        Ok(self.runs.lock().unwrap().clone())
    }

    fn lend(&self, work: &mut Borrower<'_>) -> Result<(), Error> {
        let identity = self.identity()?;
        with_files(&self.root, &identity, |disk, boot| work(disk, boot))
    }
}

struct Service {
    world: World,
    ground: Pretended,
    root: PathBuf,
    host: Arc<Recorder>,
    handle: Handle,
}

/// A machine that runs `one`, with `servers` in its configuration.
fn machine(one: &Build, config: &str) -> World {
    let world = World::new(one);
    let put = |path: &str, bytes: &[u8]| {
        let path = world.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put(update::ROOT, world.repository.root_bytes());
    let server = format!("file://{}/repository", world.dir.path().display());
    put(
        "etc/holdfast/update.d/10-test.yaml",
        format!("servers: [\"{server}\"]\n{config}").as_bytes(),
    );
    put("proc/sys/kernel/random/boot_id", b"boot-1\n");
    // As the unit's `StateDirectory=`.
    fs::create_dir_all(world.dir.path().join(crate::STATE)).unwrap();
    world
}

impl Service {
    fn start(world: World) -> Self {
        let ground = Pretended::new(&world);
        Self::again(world, ground)
    }

    /// The service of the next boot.
    fn again(world: World, ground: Pretended) -> Self {
        let root = ground.root.clone();
        let (engine, handle, host) = engine(&root, Updates::new(ground.clone()));
        tokio::spawn(engine.run());
        Service {
            world,
            ground,
            root,
            host,
            handle,
        }
    }

    async fn until(&mut self, phase: &str) -> Snapshot {
        self.handle.until(phase).await
    }

    async fn ask(&self, request: Request) -> Result<(), String> {
        self.handle.ask(request).await
    }

    /// What the loader and the firmware do: `build` is booted, with `name` on the ESP.
    fn boot(self, build: &Build, name: &str) -> Self {
        self.handle.stop();
        *self.ground.runs.lock().unwrap() = Identity {
            version: build.version.to_string(),
            root_hash: build.hash(),
            sequence: build.sequence,
            ..self.world.machine.clone()
        };
        let folder = self.root.join("esp/EFI/Linux");
        let start = format!("holdfast_{}", build.version);
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_str().unwrap().starts_with(&start) {
                fs::rename(entry.path(), folder.join(name)).unwrap();
            }
        }
        Self::again(self.world, self.ground)
    }

    fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root.join("esp/EFI/Linux")).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = entries.map(|e| name(e).into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn on_trial(&self, version: &str) -> bool {
        trial::is_on(&self.root.join(crate::STATE), version)
    }
}

const OFF: &str = "reboot-strategy: off\n";

#[tokio::test]
async fn a_machine_is_brought_to_the_next_release_and_finds_it_good() {
    let (one, two) = builds();
    let mut world = machine(&one, "");
    let release = world.release(&two, Some(&one));
    world.publish(&release);
    let mut service = Service::start(world);
    service.until("idle").await;
    assert!(!service.on_trial("2"));
    service.ask(Request::Check).await.unwrap();
    let state = service.until("available").await.state;
    let seen = state.seen.unwrap();
    assert!(seen.snapshot > 0 && seen.snapshot_sha256.len() == 64);
    let (offer, _) = state.offer.unwrap();
    assert_eq!(
        (offer.release.version.as_str(), offer.release.sequence),
        ("2", 200)
    );
    service.ask(Request::Update(Wish::default())).await.unwrap();
    service.until("rebooting").await;
    assert_eq!(service.entries(), ["holdfast_1.efi", "holdfast_2+3.efi"]);
    assert!(service.on_trial("2"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(*service.host.0.lock().unwrap(), [Reboot::Update]);

    // Its last try is as good as its first.
    let mut service = service.boot(&two, "holdfast_2+0-3.efi");
    let state = service.until("idle").await.state;
    assert_eq!(state.booted.version, "2");
    assert!(!state.trial && state.staged.is_none());
    assert_eq!(service.entries(), ["holdfast_1.efi", "holdfast_2.efi"]);
    assert!(!service.on_trial("2"));
    assert!(service.host.0.lock().unwrap().is_empty());
}

/// F7: what failed is left, remembered and explained, and a newer release is taken.
#[tokio::test]
async fn f7_an_unhealthy_release_is_left_and_refused() {
    let (one, two) = builds();
    let mut world = machine(&one, "");
    let release = world.release(&two, None);
    world.publish(&release);
    let checks = world.path("etc/holdfast/health.d/required.d");
    let mut service = Service::start(world);
    service.until("idle").await;
    service.ask(Request::Update(Wish::default())).await.unwrap();
    service.until("rebooting").await;

    fs::create_dir_all(&checks).unwrap();
    std::os::unix::fs::symlink("/bin/false", checks.join("web")).unwrap();
    for left in ["2-1", "1-2", "0-3"] {
        service = service.boot(&two, &format!("holdfast_2+{left}.efi"));
        service.until("rebooting").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(
            *service.host.0.lock().unwrap(),
            [Reboot::Fallback],
            "{left}"
        );
    }

    fs::remove_file(checks.join("web")).unwrap();
    service = service.boot(&one, "holdfast_1.efi");
    let state = service.until("idle").await.state;
    assert_eq!(state.memory.refused[0].release.version, "2");
    assert_eq!(state.memory.refused[0].release.sequence, 200);
    service.ask(Request::Update(Wish::default())).await.unwrap();
    let state = service.until("available").await.state;
    let why = state.why(0).join("\n");
    assert!(why.contains("this machine went back from it"), "{why}");
    assert!(why.contains("it failed its health checks"), "{why}");
    assert_eq!(service.entries(), ["holdfast_1.efi", "holdfast_2+0-3.efi"]);

    // An operator lets it in again; and takes it back before it is booted.
    fs::write(service.root.join("etc/holdfast/update.d/20-off.yaml"), OFF).unwrap();
    service.handle.reload();
    service.ask(Request::Allow("2".to_owned())).await.unwrap();
    service.ask(Request::Update(Wish::default())).await.unwrap();
    let state = service.until("staged").await.state;
    assert!(state.memory.refused.is_empty());
    service.ask(Request::Reset).await.unwrap();
    service.until("idle").await;
    assert_eq!(service.entries(), ["holdfast_1.efi"]);
}

#[tokio::test]
async fn an_operator_goes_back() {
    let (one, two) = builds();
    let mut world = machine(&one, OFF);
    let release = world.release(&two, None);
    world.publish(&release);
    let mut service = Service::start(world);
    service.until("idle").await;
    let from = service.root.join("repository").display().to_string();
    let wish = Wish {
        from: Some(from),
        ..Wish::default()
    };
    service.ask(Request::Update(wish)).await.unwrap();
    service.until("staged").await;
    let mut service = service.boot(&two, "holdfast_2+2-1.efi");
    service.until("idle").await;
    service.ask(Request::Rollback).await.unwrap();
    let state = service.until("staged").await.state;
    assert!(matches!(
        state.phase,
        Phase::Staged {
            wait: Wait::Unknown | Wait::Operator
        }
    ));
    assert_eq!(state.staged.unwrap().release.version, "1");
    // The service starts anew before the reboot.
    let mut service = service.boot(&two, "holdfast_2+0.efi");
    let state = service.until("staged").await.state;
    assert!(!state.trial);
    let mut service = service.boot(&one, "holdfast_1.efi");
    service.until("idle").await;
    service.ask(Request::Update(Wish::default())).await.unwrap();
    let why = service.until("available").await.state.why(0).join("\n");
    assert!(why.contains("was rolled back by an operator"), "{why}");
}

/// A5: how long nothing was heard outlives service and boot.
#[tokio::test]
async fn a5_a_freeze_outlives_the_service() {
    let (one, two) = builds();
    let mut world = machine(&one, OFF);
    let release = world.release(&two, None);
    world.publish(&release);
    let mut service = Service::start(world);
    assert_eq!(service.until("idle").await.state.checked, None);
    service.ask(Request::Check).await.unwrap();
    assert!(!service.until("available").await.state.stale);
    let path = service.root.join(crate::STATE).join("answered.json");
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept.contains("\"last\":1"), "{kept}");

    let old = r#"{"format":1,"readable_from":1,"last":1000,"since":1000}"#;
    fs::write(&path, old).unwrap();
    fs::rename(service.root.join("repository"), service.root.join("gone")).unwrap();
    let mut service = service.boot(&one, "holdfast_1.efi");
    service.until("idle").await;
    service.ask(Request::Check).await.unwrap();
    let snapshot = service.until("backoff").await;
    assert!(snapshot.state.stale && snapshot.state.checked == Some(1000));
    let told = crate::daemon::render(&snapshot);
    for line in [
        "updater_stale 1\n",
        "waiting_since_timestamp_seconds 1000\n",
    ] {
        assert!(told.contains(line), "{told}");
    }

    fs::rename(service.root.join("gone"), service.root.join("repository")).unwrap();
    service.ask(Request::Check).await.unwrap();
    assert!(!service.until("available").await.state.stale);
}

/// F5: an ESP that lost the running kernel image gets it back, with or without a network.
#[tokio::test]
async fn f5_a_lost_kernel_image_comes_back() {
    let (one, two) = builds();
    let mut world = machine(&one, OFF);
    let release = world.release(&two, None);
    world.publish(&release);
    let mut service = Service::start(world);
    service.until("idle").await;
    let folder = service.root.join("esp/EFI/Linux");
    let spare = |build: &Build| {
        let name = format!("kernel-{}.efi", build.hash());
        service.root.join(crate::STATE).join(name)
    };
    let (first, second) = (spare(&one), spare(&two));
    assert_eq!(fs::read(&first).unwrap(), one.uki);
    for damage in [None, Some(&one.uki[..20_000])] {
        fs::remove_file(folder.join("holdfast_1.efi")).unwrap();
        if let Some(damage) = damage {
            fs::write(folder.join("holdfast_1.efi"), damage).unwrap();
        }
        service = service.boot(&one, "holdfast_1.efi");
        service.until("idle").await;
        assert_eq!(fs::read(folder.join("holdfast_1.efi")).unwrap(), one.uki);
    }
    // A copy that is damaged, too, is not taken for one.
    fs::remove_file(folder.join("holdfast_1.efi")).unwrap();
    fs::write(&first, &two.uki).unwrap();
    service = service.boot(&one, "holdfast_1.efi");
    let gone = async {
        while service.handle.snapshot().state.trouble.is_none() {
            assert!(service.handle.changed().await);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .unwrap();
    fs::write(folder.join("holdfast_1.efi"), &one.uki).unwrap();

    // The copy is of what runs, once that is good.
    service = service.boot(&one, "holdfast_1.efi");
    service.until("idle").await;
    service.ask(Request::Update(Wish::default())).await.unwrap();
    service.until("staged").await;
    service = service.boot(&two, "holdfast_2+2-1.efi");
    service.until("idle").await;
    assert_eq!(fs::read(&second).unwrap(), two.uki);
    assert!(!first.exists());
}

/// What an operator asks for counts instead of the configuration, once.
#[tokio::test]
async fn another_channel_and_an_older_release_on_request() {
    let (one, two) = builds();
    let mut world = machine(&two, OFF);
    let release = world.release(&one, None);
    world.publish(&release);
    let mut service = Service::start(world);
    service.until("idle").await;
    let none = Wish {
        channel: Some("beta".to_owned()),
        ..Wish::default()
    };
    service.ask(Request::Update(none)).await.unwrap();
    let trouble = service.until("backoff").await.state.trouble.unwrap();
    assert!(trouble.text.contains("beta"), "{}", trouble.text);
    // Older than what runs: nothing without being told to.
    service.ask(Request::Update(Wish::default())).await.unwrap();
    service.until("idle").await;
    let older = Wish {
        downgrade: true,
        ..Wish::default()
    };
    service.ask(Request::Update(older)).await.unwrap();
    let staged = service.until("staged").await.state.staged.unwrap();
    assert_eq!(staged.release.version, "1");
    // The next look by itself finds nothing better than that.
    service.ask(Request::Check).await.unwrap();
    let staged = service.until("staged").await.state.staged.unwrap();
    assert_eq!(staged.release.version, "1");
}

/// One lock for the service and for who works by hand.
#[test]
fn work_by_hand_is_waited_for() {
    let (one, _) = builds();
    let world = machine(&one, "");
    let root = world.dir.path().to_owned();
    let lock = Lock::take(&root.join(crate::STATE)).unwrap();
    let mut updates = Updates::new(Pretended::new(&world));
    let worker = std::thread::spawn(move || updates.bless());
    std::thread::sleep(Duration::from_millis(200));
    assert!(!worker.is_finished());
    drop(lock);
    worker.join().unwrap().unwrap();
}

#[test]
fn troubles_are_told_apart() {
    let (one, _) = builds();
    let world = machine(&one, "");
    let root = world.dir.path().to_owned();
    let mut updates = Updates::new(Pretended::new(&world));
    let none = updates.check(&Wish::default()).unwrap_err();
    assert_eq!(none.text, "no repository is configured");
    assert_eq!(none.kind, TroubleKind::Machine);
    updates.configure(&crate::config::load(&root).config);
    fs::rename(root.join("repository"), root.join("gone")).unwrap();
    assert_eq!(
        updates.check(&Wish::default()).unwrap_err().kind,
        TroubleKind::Network
    );
    fs::remove_file(root.join(update::ROOT)).unwrap();
    fs::rename(root.join("gone"), root.join("repository")).unwrap();
    let untrusting = updates.check(&Wish::default()).unwrap_err();
    assert_eq!(untrusting.kind, TroubleKind::Verification);
    assert!(untrusting.hint.unwrap().contains("trusts no repository"));
}
