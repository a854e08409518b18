//! Carrying out a [`Plan`]: verified windows come out, in order.
//!
//! Memory: one window (8 MiB), its frame (about as much at most) and its pieces
//! (24 MiB); zstd decompresses from one of these into another.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::encode::read;
use super::frame;
use super::index::{Piece, digest};
use super::plan::Plan;
use crate::fetch::{self, Source};

/// How often one thing is fetched again because it was wrong, however many
/// mirrors a source says it has.
pub(super) const MAX_ATTEMPTS: usize = 16;

/// Takes what an [`Applier`] makes.
pub trait Receiver {
    /// A verified window: its number, its first byte in the file system, its bytes.
    fn window(&mut self, number: usize, offset: u64, plain: &[u8]) -> io::Result<()>;

    /// More bytes of the frame of window `number`, not verified yet, after which the
    /// frame is still not complete. Who keeps them can give them to
    /// [`Applier::with_part`] later.
    fn part(&mut self, _number: usize, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// The bytes of the frame of window `number` that came so far were wrong: those
    /// that were kept must go.
    fn drop_part(&mut self, _number: usize) -> io::Result<()> {
        Ok(())
    }
}

/// Why the new file system cannot be made, or not now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Frames do not come. [`Applier::run`] can go on later.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// Nobody has the frame that was published.
    #[error("the frame of window {window} in {name} is wrong, wherever it was fetched from")]
    Wrong {
        /// The data file.
        name: String,
        /// Window's number.
        window: usize,
    },
    /// The older file system is not what the patch was made for, or cannot be read.
    /// Another way than a patch remains.
    #[error("window {window} does not come out of the /usr that this machine has")]
    Old {
        /// Window's number.
        window: usize,
        /// Why it could not be read, if it could not.
        #[source]
        source: Option<io::Error>,
    },
    /// What was published does not make the window that was published.
    #[error("{name} is broken as it was published: window {window} does not come out of it")]
    Stream {
        /// The data file.
        name: String,
        /// Window's number.
        window: usize,
    },
    /// The receiver failed.
    #[error("writing window {window}")]
    Write {
        /// Window's number.
        window: usize,
        /// Its reason.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Fetch(_) | Self::Write { .. } => None,
            Self::Wrong { .. } => {
                Some("check the mirrors: their files differ from what was published")
            }
            Self::Old { .. } => {
                Some("the whole release is fetched instead; check the disk if this happens again")
            }
            Self::Stream { .. } => Some("publish the release again"),
        }
    }
}

/// Makes the windows of a [`Plan`], from any of them on.
pub struct Applier<'a> {
    plan: &'a Plan,
    old: Option<&'a dyn FileExt>,
    next: usize,
    /// What has come of the next window's frame.
    part: Vec<u8>,
    /// Whether some of `part` came in an earlier transfer.
    part_is_old: bool,
}

/// Why a transfer was stopped from within.
enum Stop {
    /// The frame that was complete, or the transfer, is wrong.
    Wrong,
    /// For good.
    Error(Error),
}

impl<'a> Applier<'a> {
    /// Starts at window `start`. `old` is the machine's /usr; only
    /// [`Way::Full`](super::plan::Way::Full) needs none.
    pub fn new(plan: &'a Plan, old: Option<&'a dyn FileExt>, start: usize) -> Self {
        Self {
            plan,
            old,
            next: start,
            part: Vec::new(),
            part_is_old: false,
        }
    }

    /// Goes on with what [`Receiver::part`] was given of the first window's frame
    /// in an earlier run. It may be wrong: then it is fetched again.
    #[must_use]
    pub fn with_part(mut self, mut bytes: Vec<u8>) -> Self {
        let windows = self.plan.index.windows();
        let length = windows.get(self.next).map_or(0, |window| window.length);
        bytes.truncate(length as usize);
        self.part_is_old = !bytes.is_empty();
        self.part = bytes;
        self
    }

    /// The next window to be made; the number of windows when all were.
    pub fn next(&self) -> usize {
        self.next
    }

    /// Bytes that are still to be fetched.
    pub fn remaining(&self) -> u64 {
        self.plan
            .bytes(self.next)
            .saturating_sub(self.part.len() as u64)
    }

    /// Makes all windows that are left. After an error of [`Error::Fetch`] it can
    /// be called again and goes on where it was.
    pub fn run(
        &mut self,
        source: &mut dyn Source,
        receiver: &mut dyn Receiver,
    ) -> Result<(), Error> {
        let mut failed = (self.next, 0);
        while self.next < self.plan.index.len() {
            let number = self.next;
            let mut end = self.plan.run_end(number);
            if self.part.is_empty()
                && let Some(pieces) = self.plan.copy(number)
            {
                if self.copy(pieces, receiver)? {
                    continue;
                }
                if self.plan.index.windows()[number].length == 0 {
                    return Err(self.bad_old(None));
                }
                // The machine's own block is not what its hash says; the frame helps.
                end = number + 1;
            }
            if self.fetch(end, source, receiver)? {
                continue;
            }
            if failed.0 != self.next {
                failed = (self.next, 0);
            }
            failed.1 += 1;
            self.drop_part(source, receiver, failed.1)?;
        }
        Ok(())
    }

    /// Fetches up to the frame before window `end`'s. False if one was wrong.
    fn fetch(
        &mut self,
        end: usize,
        source: &mut dyn Source,
        receiver: &mut dyn Receiver,
    ) -> Result<bool, Error> {
        let plan = self.plan;
        if self.part.len() == plan.index.windows()[self.next].length as usize {
            // All of it was kept.
            return stopped(self.complete(receiver));
        }
        let range = Range {
            start: plan.index.frame(self.next).start + self.part.len() as u64,
            end: plan.index.frame(end - 1).end,
        };
        let mut stop = Ok(());
        let fetched = source.range(&plan.data.path(), range, &mut |bytes| {
            stop = self.take(bytes, end, receiver);
            match &stop {
                Ok(()) => Ok(()),
                Err(_) => Err(io::Error::other("stopped by the receiver")),
            }
        });
        if !stopped(stop)? {
            return Ok(false);
        }
        if let Err(error) = fetched {
            self.part_is_old = !self.part.is_empty();
            return Err(error.into());
        }
        // Less than was asked for is wrong, too.
        Ok(self.next == end)
    }

    fn take(
        &mut self,
        mut bytes: &[u8],
        end: usize,
        receiver: &mut dyn Receiver,
    ) -> Result<(), Stop> {
        while !bytes.is_empty() {
            if self.next >= end {
                // More than was asked for.
                return Err(Stop::Wrong);
            }
            let number = self.next;
            let length = self.plan.index.windows()[number].length as usize;
            let (fill, rest) = bytes.split_at(bytes.len().min(length - self.part.len()));
            self.part.reserve_exact(length - self.part.len());
            self.part.extend_from_slice(fill);
            bytes = rest;
            if self.part.len() == length {
                self.complete(receiver)?;
            } else {
                receiver.part(number, fill).map_err(|e| self.write(e))?;
            }
        }
        Ok(())
    }

    /// The frame is there: verifies, decompresses, verifies, passes on.
    fn complete(&mut self, receiver: &mut dyn Receiver) -> Result<(), Stop> {
        let number = self.next;
        let window = &self.plan.index.windows()[number];
        if digest(&self.part) != window.frame {
            return Err(Stop::Wrong);
        }
        let prefix = self.read(&window.pieces)?;
        let mut plain = vec![0; self.plan.index.plain_len(number)];
        let made = frame::decompress(&self.part, &prefix, &mut plain);
        if made.is_err() || digest(&plain) != window.plain {
            return Err(Stop::Error(if window.pieces.is_empty() {
                Error::Stream {
                    name: self.plan.data.name.clone(),
                    window: number,
                }
            } else {
                self.bad_old(None)
            }));
        }
        drop(prefix);
        Ok(self.pass_on(&plain, receiver)?)
    }

    /// Puts a window together from pieces. False if it is not what it should be.
    fn copy(&mut self, pieces: &[Piece], receiver: &mut dyn Receiver) -> Result<bool, Error> {
        let plain = match self.read(pieces) {
            Ok(plain) => plain,
            Err(_) if self.plan.index.windows()[self.next].length > 0 => return Ok(false),
            Err(error) => return Err(error),
        };
        if digest(&plain) != self.plan.index.windows()[self.next].plain {
            return Ok(false);
        }
        self.pass_on(&plain, receiver)?;
        Ok(true)
    }

    fn pass_on(&mut self, plain: &[u8], receiver: &mut dyn Receiver) -> Result<(), Error> {
        let offset = self.plan.index.offset(self.next);
        receiver
            .window(self.next, offset, plain)
            .map_err(|e| self.write(e))?;
        self.next += 1;
        self.part.clear();
        self.part_is_old = false;
        Ok(())
    }

    /// After a wrong frame: blames whom it came from, unless some of it came from
    /// somewhere else.
    fn drop_part(
        &mut self,
        source: &mut dyn Source,
        receiver: &mut dyn Receiver,
        attempt: usize,
    ) -> Result<(), Error> {
        self.part.clear();
        receiver.drop_part(self.next).map_err(|e| self.write(e))?;
        if std::mem::take(&mut self.part_is_old) {
            return Ok(());
        }
        if attempt < MAX_ATTEMPTS && source.blame(&self.plan.data.path()) {
            return Ok(());
        }
        Err(Error::Wrong {
            name: self.plan.data.name.clone(),
            window: self.next,
        })
    }

    fn read(&self, pieces: &[Piece]) -> Result<Vec<u8>, Error> {
        if pieces.is_empty() {
            return Ok(Vec::new());
        }
        let old = self.old.ok_or_else(|| self.bad_old(None))?;
        read(old, pieces).map_err(|e| self.bad_old(Some(e)))
    }

    fn bad_old(&self, source: Option<io::Error>) -> Error {
        Error::Old {
            window: self.next,
            source,
        }
    }

    fn write(&self, source: io::Error) -> Error {
        Error::Write {
            window: self.next,
            source,
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// False for something wrong that came.
fn stopped(stop: Result<(), Stop>) -> Result<bool, Error> {
    match stop {
        Ok(()) => Ok(true),
        Err(Stop::Wrong) => Ok(false),
        Err(Stop::Error(error)) => Err(error),
    }
}
