//! Writing a release into the slot that is not running: the commit protocol.
//!
//! | step | what | a loss of power after it |
//! |---|---|---|
//! | [`Step::Check`] | slot sizes, room on the ESP, the running release is good, the UKI names the root hash and is one that the firmware starts | nothing changed |
//! | [`Step::Prepare`] | boot entry of the inactive slot removed, partitions named `_empty` | the running release is the only one |
//! | [`Step::Write`] | windows of /usr, each flushed before the journal says so | resumes at the window |
//! | [`Step::Tree`] | root hash compared, hash tree written, all flushed | resumes with all windows |
//! | [`Step::ReadBack`] | both partitions read from the medium, root hash compared | the same |
//! | [`Step::Name`] | partitions named after the release and its root hash | complete, not bootable |
//! | [`Step::Boot`] | UKI and GRUB's files, see [`crate::boot`] | once the UKI has its name: on trial |
//!
//! Nothing is fetched after [`Step::Write`]: the UKI is in memory from the start.
//! Every step can be done again; [`install`] always runs all of them and skips what
//! it finds done. The journal is a hint and nothing more: what it says was written
//! is read and checked window by window, and the first that is wrong is where
//! writing goes on.

mod journal;
mod status;
#[cfg(test)]
mod tests;

use init::cmdline::RootHash;
use serde::Serialize;

use crate::boot::{self, BootControl};
use crate::slots::{self, Area, Content, Disk, Id};
use crate::uki;
use crate::verity::{self, BLOCK, Builder, HashTree};
use crate::version::Version;

pub use journal::{Journal, Progress};
pub use status::{SlotStatus, Status};

/// Bytes that are read at once when a slot is read back.
const READ: usize = 1 << 20;

/// What goes into the slot.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The release.
    pub version: Version,
    /// Root hash of its /usr.
    pub root_hash: RootHash,
    /// Bytes of its /usr; a multiple of 4096.
    pub usr_size: u64,
    /// Salt of the hash tree.
    pub salt: Vec<u8>,
    /// Its UKI: signed length and digest were checked.
    pub uki: &'a [u8],
    /// Times it is tried.
    pub tries: u32,
}

/// The new /usr, cut into windows of equal length; the last may be shorter.
pub trait Windows {
    /// Bytes of a window.
    fn size(&self) -> u64;
    /// Whether these are the bytes of window `index`, by its signed digest.
    fn matches(&self, index: u64, plain: &[u8]) -> bool;
    /// Makes all windows from `first` on, verified, in order, and passes each to
    /// `sink`. Stops when the sink fails.
    fn produce(&mut self, first: u64, sink: &mut Sink) -> Result<(), BoxError>;
}

/// Takes a window.
pub type Sink<'a> = dyn FnMut(&[u8]) -> std::io::Result<()> + 'a;

/// Why a window could not be made: the network, a digest.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Steps of the protocol, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Nothing is changed yet.
    Check,
    /// The inactive slot stops being bootable.
    Prepare,
    /// The file system is written.
    Write,
    /// Its hash tree is written.
    Tree,
    /// Both are read from the medium.
    ReadBack,
    /// The partitions get the release's name.
    Name,
    /// The loaders get to know it.
    Boot,
}

/// Tells how far an installation is: the step, bytes done of it, and all its bytes.
pub type Observer<'a> = dyn FnMut(Step, u64, u64) + 'a;

/// Why a release was not installed. Whatever it is, the running one still boots.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The slots.
    #[error(transparent)]
    Slots(#[from] slots::Error),
    /// The loaders.
    #[error(transparent)]
    Boot(#[from] boot::Error),
    /// The sizes cannot be.
    #[error("a /usr of {usr} bytes in windows of {window} bytes cannot be")]
    Size {
        /// Bytes of /usr.
        usr: u64,
        /// Bytes of a window.
        window: u64,
    },
    /// The kernel would look for another /usr.
    #[error("the kernel image of {version} is for usrhash={found}, and the release has {expected}")]
    Uki {
        /// The release.
        version: Version,
        /// What the UKI names.
        found: String,
        /// What the release says.
        expected: RootHash,
    },
    /// Not a UKI.
    #[error("the kernel image of {0}")]
    BadUki(Version, #[source] uki::BadUki),
    /// A window did not come.
    #[error("window {index} of {version}")]
    Window {
        /// The release.
        version: Version,
        /// Its window.
        index: u64,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// More bytes came than a window has, or less.
    #[error("window {0} has not the length that it must have")]
    Windows(u64),
    /// The windows are right one by one and wrong together.
    #[error("the /usr of {version} has the root hash {found}, and the release says {expected}")]
    RootHash {
        /// The release.
        version: Version,
        /// What was computed.
        found: RootHash,
        /// What is signed.
        expected: RootHash,
    },
    /// The hash tree cannot be made.
    #[error("making the hash tree")]
    Tree(#[from] verity::Error),
    /// The medium does not hold what was written to it.
    #[error("slot {0} was written and reads back differently: the disk has a fault there")]
    ReadBack(Id),
    /// The medium failed.
    #[error("{what} slot {slot}")]
    Slot {
        /// `writing`, `reading`.
        what: &'static str,
        /// The slot.
        slot: Id,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The journal cannot be written.
    #[error("writing the journal {}", .path.display())]
    Journal {
        /// Its path.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Error::Slots(e) => e.hint(),
            Error::Boot(e) => e.hint(),
            Error::Size { .. }
            | Error::Windows(_)
            | Error::Uki { .. }
            | Error::BadUki(..)
            | Error::RootHash { .. } => {
                "the release is broken: publish it again under another version"
            }
            Error::Tree(_) => "publish the release again",
            Error::Window { .. } => "what was written is kept; it goes on from there",
            Error::ReadBack(_) | Error::Slot { .. } => {
                "check the disk; this machine goes on with the running slot"
            }
            Error::Journal { .. } => "free space below /var/lib/holdfast/update",
        }
    }

    /// Whether the medium of the slot is at fault: trying again is for later.
    pub fn is_medium(&self) -> bool {
        matches!(self, Error::ReadBack(_) | Error::Slot { .. })
    }
}

impl Job<'_> {
    /// Refuses what cannot be installed. Changes nothing; runs before anything is
    /// fetched, and again first thing in [`install`].
    pub fn check(&self, disk: &Disk, boot: &BootControl, window: u64) -> Result<(), Error> {
        let block = BLOCK as u64;
        let sizes = [self.usr_size, window];
        if sizes
            .iter()
            .any(|size| *size == 0 || !size.is_multiple_of(block))
        {
            return Err(Error::Size {
                usr: self.usr_size,
                window,
            });
        }
        disk.check(
            &self.version,
            self.root_hash,
            self.usr_size,
            verity::size(self.usr_size / block),
        )?;
        let cmdline = uki::text(self.uki, ".cmdline");
        let cmdline = cmdline.map_err(|e| Error::BadUki(self.version.clone(), e))?;
        let found = crate::status::usr_hash(&cmdline.unwrap_or_default());
        if found.as_deref().and_then(RootHash::parse) != Some(self.root_hash) {
            return Err(Error::Uki {
                version: self.version.clone(),
                found: found.unwrap_or_default(),
                expected: self.root_hash,
            });
        }
        boot.check_uki(self.uki)?;
        if !self.is_named(disk) {
            boot.check(self.uki.len() as u64)?;
        }
        Ok(())
    }

    /// Whether the inactive slot is named after this release.
    fn is_named(&self, disk: &Disk) -> bool {
        disk.inactive().content() == Content::Release(self.version.clone(), self.root_hash)
    }

    /// The window's bytes: all windows but the last have the same.
    fn window_len(&self, index: u64, window: u64) -> u64 {
        (self.usr_size - index * window).min(window)
    }
}

/// A slot that is being written.
struct Target {
    id: Id,
    usr: Area,
    verity: Area,
}

impl Target {
    fn open(disk: &Disk) -> Result<Self, Error> {
        let slot = disk.inactive();
        Ok(Target {
            id: slot.id,
            usr: disk.area(&slot.usr)?,
            verity: disk.area(&slot.verity)?,
        })
    }

    fn during<T>(&self, what: &'static str, result: std::io::Result<T>) -> Result<T, Error> {
        result.map_err(|source| Error::Slot {
            what,
            slot: self.id,
            source,
        })
    }

    /// Reads `len` bytes of /usr from the medium into `sink`, in pieces.
    fn read(&self, at: u64, len: u64, mut sink: impl FnMut(&[u8])) -> Result<(), Error> {
        let mut buffer = vec![0; READ.min(usize::try_from(len).unwrap_or(READ))];
        let mut done = 0;
        while done < len {
            let now = usize::try_from(len - done)
                .unwrap_or(READ)
                .min(buffer.len());
            let piece = &mut buffer[..now];
            self.during("reading", self.usr.read(piece, at + done))?;
            sink(piece);
            done += now as u64;
        }
        Ok(())
    }

    fn forget(&self) -> Result<(), Error> {
        self.during("reading", self.usr.forget())?;
        self.during("reading", self.verity.forget())
    }

    /// Whether the medium holds the release, hash tree included.
    fn holds(&self, job: &Job, observe: &mut Observer) -> Result<bool, Error> {
        self.forget()?;
        let mut builder = Builder::new(job.usr_size / BLOCK as u64, &job.salt);
        let mut done = 0;
        self.read(0, job.usr_size, |piece| {
            builder.update(piece);
            done += piece.len() as u64;
            observe(Step::ReadBack, done, job.usr_size);
        })?;
        let tree = builder.finish()?;
        let mut stored = vec![0; tree.bytes.len()];
        self.during("reading", self.verity.read(&mut stored, 0))?;
        Ok(tree.root_hash == job.root_hash.0 && stored == tree.bytes)
    }
}

/// Installs a release into the inactive slot and puts it on trial for the next boot.
///
/// Goes on where an earlier call for the same release was cut. A call for another
/// release supersedes what is there, staged or half written.
pub fn install(
    job: &Job,
    disk: &mut Disk,
    boot: &BootControl,
    windows: &mut dyn Windows,
    journal: &Journal,
    observe: &mut Observer,
) -> Result<(), Error> {
    observe(Step::Check, 0, 0);
    job.check(disk, boot, windows.size())?;
    let staged = job.is_named(disk) && Target::open(disk)?.holds(job, observe)?;
    if !staged {
        observe(Step::Prepare, 0, 0);
        boot.prepare(job.uki.len() as u64)?;
        disk.mark_empty()?;
        write(job, disk, windows, journal, observe)?;
        observe(Step::Name, 0, 0);
        disk.mark_release(&job.version, job.root_hash)?;
    }
    observe(Step::Boot, 0, 0);
    boot.install(&job.version, job.uki, job.tries)?;
    journal.clear()
}

/// Makes the staged release unbootable, and forgets what was written of any.
pub fn unstage(disk: &mut Disk, boot: &BootControl, journal: &Journal) -> Result<(), Error> {
    boot.prepare(0)?;
    disk.mark_empty()?;
    journal.clear()
}

/// Writes both partitions of the slot and reads them back.
fn write(
    job: &Job,
    disk: &Disk,
    windows: &mut dyn Windows,
    journal: &Journal,
    observe: &mut Observer,
) -> Result<(), Error> {
    let target = Target::open(disk)?;
    let size = windows.size();
    let count = job.usr_size.div_ceil(size);
    let mut progress = Progress::new(job, target.id, size);
    let claimed = journal.read().filter(|old| old.is_for(&progress));
    let claimed = claimed.map_or(0, |old| old.windows.min(count));
    if claimed > 0 {
        target.forget()?;
    }
    let mut builder = Builder::new(job.usr_size / BLOCK as u64, &job.salt);
    let mut next = 0;
    while next < claimed {
        let (at, len) = (next * size, job.window_len(next, size));
        let mut plain = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        target.read(at, len, |piece| plain.extend_from_slice(piece))?;
        if !windows.matches(next, &plain) {
            break;
        }
        builder.update(&plain);
        next += 1;
        observe(Step::Write, at + len, job.usr_size);
    }
    if next < count {
        let first = next;
        let mut failed = None;
        let mut put = |plain: &[u8]| {
            let (at, len) = (next * size, job.window_len(next.min(count - 1), size));
            if next == count || plain.len() as u64 != len {
                return Err(Error::Windows(next));
            }
            target.during("writing", target.usr.write(plain, at))?;
            target.during("writing", target.usr.sync())?;
            next += 1;
            progress.windows = next;
            journal.write(&progress)?;
            builder.update(plain);
            observe(Step::Write, at + len, job.usr_size);
            Ok(())
        };
        let made = windows.produce(first, &mut |plain| {
            put(plain).map_err(|error| {
                failed = Some(error);
                std::io::Error::other("the slot cannot be written")
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        made.map_err(|source| Error::Window {
            version: job.version.clone(),
            index: next,
            source,
        })?;
    }

    let tree = builder.finish()?;
    if tree.root_hash != job.root_hash.0 {
        journal.clear()?;
        return Err(Error::RootHash {
            version: job.version.clone(),
            found: RootHash(tree.root_hash),
            expected: job.root_hash,
        });
    }
    write_tree(&target, &tree, observe)?;
    if !target.holds(job, observe)? {
        // Windows are read again when this is tried again; the bad one is found then.
        return Err(Error::ReadBack(target.id));
    }
    Ok(())
}

fn write_tree(target: &Target, tree: &HashTree, observe: &mut Observer) -> Result<(), Error> {
    let len = tree.bytes.len() as u64;
    observe(Step::Tree, 0, len);
    target.during("writing", target.verity.write(&tree.bytes, 0))?;
    target.during("writing", target.verity.sync())?;
    observe(Step::Tree, len, len);
    Ok(())
}
