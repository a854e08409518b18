//! Windows for [`crate::install`], made by [`crate::delta`].

use std::io;
use std::os::unix::fs::FileExt;

use super::SHORT;
use super::part::Part;
use crate::delta::apply::{Applier, Receiver};
use crate::delta::index::digest;
use crate::delta::plan::Plan;
use crate::fetch::Source;
use crate::install::{BoxError, Sink, Windows};

/// The windows of a plan.
pub(super) struct Fetched<'a> {
    pub(super) plan: &'a Plan,
    /// The running /usr.
    pub(super) old: Option<&'a dyn FileExt>,
    pub(super) source: &'a mut dyn Source,
    pub(super) part: Part,
    /// Whether to stop.
    pub(super) stop: &'a dyn Fn() -> bool,
}

impl Windows for Fetched<'_> {
    fn size(&self) -> u64 {
        self.plan.index.window().into()
    }

    fn matches(&self, index: u64, plain: &[u8]) -> bool {
        let windows = self.plan.index.windows();
        let window = usize::try_from(index).ok().and_then(|at| windows.get(at));
        window.is_some_and(|window| window.plain == digest(plain))
    }

    fn produce(&mut self, first: u64, sink: &mut Sink) -> Result<(), BoxError> {
        let start = usize::try_from(first)?;
        let windows = self.plan.index.windows();
        let kept = match windows.get(start) {
            Some(_) => self.part.resume(self.plan.index.frame(start)),
            None => Vec::new(),
        };
        let mut receiver = Receiving {
            plan: self.plan,
            part: &mut self.part,
            stop: self.stop,
            sink,
        };
        let applied = Applier::new(self.plan, self.old, start)
            .with_part(kept)
            .run(&mut *self.source, &mut receiver);
        self.part.flush()?;
        Ok(applied?)
    }
}

/// Passes windows on, keeps parts of frames.
struct Receiving<'a, 's> {
    plan: &'a Plan,
    part: &'a mut Part,
    stop: &'a dyn Fn() -> bool,
    sink: &'a mut Sink<'s>,
}

impl Receiving<'_, '_> {
    fn go_on(&self) -> io::Result<()> {
        if (self.stop)() {
            return Err(io::Error::other("stopped"));
        }
        Ok(())
    }
}

impl Receiver for Receiving<'_, '_> {
    fn window(&mut self, _: usize, _: u64, plain: &[u8]) -> io::Result<()> {
        self.go_on()?;
        (self.sink)(plain)
    }

    fn part(&mut self, number: usize, bytes: &[u8]) -> io::Result<()> {
        self.go_on()?;
        let frame = self.plan.index.frame(number);
        if frame.end - frame.start > SHORT {
            self.part.append(frame.start, bytes)?;
        }
        Ok(())
    }

    fn drop_part(&mut self, _: usize) -> io::Result<()> {
        self.part.clear()
    }
}
