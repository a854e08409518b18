//! The one error type of this crate: what failed, with which input, whose
//! move it is, and what to do about it.

use std::error::Error as StdError;
use std::fmt;

/// Who must act. Decides the exit status (DESIGN: 1 input, 2 usage,
/// 3 environment, 4 refused).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The input (recipe, lock, image file) is wrong. Exit status 1.
    Input,
    /// The command line is wrong. Exit status 2.
    Usage,
    /// Network, disk or host failed. Exit status 3.
    Environment,
    /// Refused by verification or policy. Exit status 4.
    Refused,
}

impl Kind {
    /// Process exit status for this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Input => 1,
            Kind::Usage => 2,
            Kind::Environment => 3,
            Kind::Refused => 4,
        }
    }
}

/// An error with its cause and, where one is known, its remedy.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    what: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What helps when a disk is full.
pub(crate) const FULL_DISK: &str =
    "free some space, or point HOLDFAST_CACHE and --out at another disk";

/// Result with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error {
            kind,
            what: what.into(),
            hint: None,
            source: None,
        }
    }
    /// The user's input is wrong.
    pub fn input(what: impl Into<String>) -> Self {
        Self::new(Kind::Input, what)
    }
    /// The command line is wrong.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }
    /// Network, disk or host failed.
    pub fn environment(what: impl Into<String>) -> Self {
        Self::new(Kind::Environment, what)
    }
    /// Verification failed or policy forbids it.
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(Kind::Refused, what)
    }
    /// Adds what the user can do about it (printed on a `hint:` line).
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// Adds the underlying error. `what` must not repeat its text.
    ///
    /// A full disk has the same remedy everywhere, so it is added here.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let source = source.into();
        let io = source.downcast_ref::<std::io::Error>();
        if io.is_some_and(|e| matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge)) {
            self.hint.get_or_insert_with(|| FULL_DISK.to_owned());
        }
        self.source = Some(source);
        self
    }
    /// Who must act.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// The remedy, if one is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
    /// What failed and its causes, one line, without the hint.
    pub fn chain(&self) -> String {
        let mut out = self.what.clone();
        let mut cause: Option<&(dyn StdError + 'static)> = self.source();
        while let Some(c) = cause {
            out.push_str(": ");
            out.push_str(&c.to_string());
            cause = c.source();
        }
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|e| e as &(dyn StdError + 'static))
    }
}

/// Turns a foreign error into an [`Error`] of a kind, with its context.
pub trait Context<T> {
    /// The environment failed while doing `what`.
    fn environment(self, what: impl FnOnce() -> String) -> Result<T>;
    /// The input is wrong in the way `what` says.
    fn input(self, what: impl FnOnce() -> String) -> Result<T>;
    /// `what` was refused.
    fn refused(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn environment(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::environment(what()).because(e))
    }
    fn input(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::input(what()).because(e))
    }
    fn refused(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::refused(what()).because(e))
    }
}
