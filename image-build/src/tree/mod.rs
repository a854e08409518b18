//! The file tree of an image, in memory: path -> mode, owner, content.
//!
//! Packages and finalizers put nodes in; the EROFS writer takes them out.
//! Nothing here touches the host's file system, so nobody needs root.

mod merge;
mod ops;
mod path;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};

pub use path::{canonical, clean, matches, parent};

/// Where the bytes of a regular file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In memory.
    Bytes(Arc<[u8]>),
    /// A range of a file in the cache (which never changes once it is there).
    Stored {
        /// The cache file.
        file: Arc<Path>,
        /// First byte.
        offset: u64,
        /// Length in bytes.
        len: u64,
    },
}

impl Content {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Content::Bytes(b) => b.len() as u64,
            Content::Stored { len, .. } => *len,
        }
    }
    /// True for an empty file.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The bytes, read from the cache if need be.
    pub fn read(&self) -> Result<Arc<[u8]>> {
        use std::os::unix::fs::FileExt;
        match self {
            Content::Bytes(b) => Ok(b.clone()),
            Content::Stored { file, offset, len } => {
                let fail = |e: std::io::Error| {
                    Error::environment(format!("reading {} from the cache", file.display()))
                        .because(e)
                        .hint("the cache was changed while in use; build again")
                };
                let mut buf = vec![0; usize::try_from(*len).unwrap_or(usize::MAX)];
                std::fs::File::open(file)
                    .map_err(fail)?
                    .read_exact_at(&mut buf, *offset)
                    .map_err(fail)?;
                Ok(buf.into())
            }
        }
    }
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File(Content),
    /// A symbolic link with its target as stored.
    Symlink(String),
}

/// One file, directory or link, with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Extended attributes, for example `security.capability`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Who put it there: a package's name, `finalizer:NAME` or `recipe`.
    pub origin: Arc<str>,
}

impl Node {
    /// A directory, root:root 0755.
    pub fn dir(origin: &str) -> Self {
        Self::new(Kind::Dir, 0o755, origin)
    }
    /// A regular file in memory, root:root.
    pub fn file(bytes: impl Into<Arc<[u8]>>, mode: u32, origin: &str) -> Self {
        Self::new(Kind::File(Content::Bytes(bytes.into())), mode, origin)
    }
    /// A symbolic link.
    pub fn symlink(target: impl Into<String>, origin: &str) -> Self {
        Self::new(Kind::Symlink(target.into()), 0o777, origin)
    }
    fn new(kind: Kind, mode: u32, origin: &str) -> Self {
        Node {
            kind,
            mode,
            uid: 0,
            gid: 0,
            xattrs: BTreeMap::new(),
            origin: origin.into(),
        }
    }
}

/// The tree. Keys are relative paths without leading or trailing slash and
/// without `.` or `..` parts (`usr/bin/sh`); the root itself is not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}
