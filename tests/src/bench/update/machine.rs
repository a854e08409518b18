//! Our side: the updater's own code, in a process of its own, on the disk of the old
//! image and a folder for the ESP. Metadata, kernel image, slot, hash tree, reading
//! back, partition table, loader: all that `updater update` does but for finding
//! disk and ESP.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use init::cmdline::RootHash;
use serde::{Deserialize, Serialize};
use updater::boot::{BootControl, Firmware, Folder};
use updater::fetch::{self, Options, Proxy};
use updater::install::{self, Journal};
use updater::slots::{Content, Disk, Storage};
use updater::tuf::Time;
use updater::update::{Done, Event, Identity, JOURNAL, Setup, Work, check};
use updater::version::Version;

/// A machine that runs the old image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// Its disk.
    pub disk: PathBuf,
    /// Stands for its ESP.
    pub esp: PathBuf,
    /// The updater's folder.
    pub state: PathBuf,
    /// The root of trust.
    pub root: PathBuf,
    /// The repository.
    pub url: String,
    /// Image's name.
    pub image: String,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// The running version.
    pub version: String,
    /// Its root hash.
    pub root_hash: String,
    /// Its place in the order.
    pub sequence: u64,
    /// Most bytes that the disk reads and writes in a second, both together.
    pub disk_rate: Option<f64>,
    /// Most bytes that the client fetches in a second.
    pub limit: Option<u64>,
    /// Where to tell what happened.
    pub told: PathBuf,
}

/// What happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Ways that were tried; the last one worked.
    pub ways: Vec<String>,
    /// Bytes that the disk wrote.
    pub written: u64,
    /// Bytes that the disk read.
    pub read: u64,
    /// Seconds from the first question to the release being bootable.
    pub seconds: f64,
}

impl Machine {
    /// Makes the ESP and the state of a machine that was just installed.
    pub fn reset(&self, uki: &[u8]) -> Result<()> {
        for folder in [&self.esp, &self.state] {
            if folder.exists() {
                fs::remove_dir_all(folder)
                    .with_context(|| format!("removing {}", folder.display()))?;
            }
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        let linux = self.esp.join("EFI/Linux");
        fs::create_dir_all(&linux).context("creating the ESP's folders")?;
        let name = format!("holdfast_{}.efi", self.version);
        fs::write(linux.join(name), uki).context("writing the old kernel image")?;
        let mut disk = Disk::of_image(&self.disk, self.hash()?)?;
        if disk.inactive().content() != Content::Empty {
            let esp = Folder::new(&self.esp);
            let boot = self.boot(&esp, &disk)?;
            install::unstage(&mut disk, &boot, &Journal::new(&self.state.join(JOURNAL)))?;
        }
        Ok(())
    }

    fn hash(&self) -> Result<RootHash> {
        RootHash::parse(&self.root_hash).context("the running root hash")
    }

    fn boot<'e>(&self, esp: &'e Folder, disk: &Disk) -> Result<BootControl<'e>> {
        let version: Version = self.version.parse().context("the running version")?;
        Ok(BootControl::new(
            esp,
            Firmware::Uefi,
            disk.running(),
            version,
        ))
    }
}

/// Updates the machine that the file describes.
pub fn main(config: &Path) -> Result<()> {
    let text = fs::read(config).with_context(|| format!("reading {}", config.display()))?;
    let machine: Machine = serde_json::from_slice(&text).context("reading the machine")?;
    let storage = Arc::new(Counting::open(&machine.disk, machine.disk_rate)?);
    let bytes = storage.file.metadata().context("reading the disk")?.len();
    let start = Instant::now();
    let mut disk = Disk::open("disk", storage.clone(), 512, bytes, machine.hash()?)?;
    let esp = Folder::new(&machine.esp);
    let boot = machine.boot(&esp, &disk)?;
    let options = Options {
        proxy: Proxy::None,
        limit: machine.limit.and_then(NonZeroU64::new),
        ..Options::default()
    };
    let mut source = fetch::open(&[&machine.url], &options)?;
    let identity = Identity {
        image: machine.image.clone(),
        architecture: machine.architecture.clone(),
        version: machine.version.clone(),
        root_hash: machine.hash()?,
        sequence: machine.sequence,
    };
    let setup = Setup {
        state: machine.state.clone(),
        root: fs::read(&machine.root).context("reading the root of trust")?,
        channel: "stable".to_owned(),
        now: Time::now(),
        again: false,
        downgrade: false,
        pin: None,
    };
    let found = check(&identity, &setup, &mut *source)?;
    let offer = found.offer.context("the repository offers nothing")?;
    let mut ways = Vec::new();
    let done = Work {
        state: &machine.state,
        disk: &mut disk,
        boot: &boot,
        source: &mut *source,
        stop: &|| false,
        tell: &mut |event| {
            if let Event::Way { way, .. } = event {
                ways.push((*way).to_owned());
            }
        },
    }
    .install(&offer)?;
    if done != Done::Installed {
        bail!("the release was there already");
    }
    let pace = storage.pace();
    let told = Told {
        ways,
        written: pace.written,
        read: pace.read,
        seconds: start.elapsed().as_secs_f64(),
    };
    fs::write(&machine.told, serde_json::to_vec(&told)?).context("telling what happened")
}

/// A disk that counts, and can be slow.
struct Counting {
    file: File,
    rate: Option<f64>,
    pace: Mutex<Pace>,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    written: u64,
    read: u64,
    /// When all that was read and written will have been done.
    even: Instant,
}

impl Counting {
    fn open(path: &Path, rate: Option<f64>) -> Result<Self> {
        let file = File::options().read(true).write(true).open(path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let pace = Pace {
            written: 0,
            read: 0,
            even: Instant::now(),
        };
        Ok(Counting {
            file,
            rate,
            pace: Mutex::new(pace),
        })
    }

    fn pace(&self) -> Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, read: usize, written: usize) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.read += read as u64;
        pace.written += written as u64;
        let Some(rate) = self.rate else { return };
        let now = Instant::now();
        let takes = Duration::from_secs_f64((read + written) as f64 / rate);
        pace.even = pace.even.max(now) + takes;
        // One head: whoever comes meanwhile waits as well.
        thread::sleep(pace.even - now);
    }
}

impl FileExt for Counting {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let len = self.file.read_at(buffer, at)?;
        self.count(len, 0);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let len = self.file.write_at(bytes, at)?;
        self.count(0, len);
        Ok(len)
    }
}

impl Storage for Counting {
    fn sync(&self) -> io::Result<()> {
        Storage::sync(&self.file)
    }

    fn forget(&self) -> io::Result<()> {
        Storage::forget(&self.file)
    }
}
