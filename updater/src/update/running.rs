//! What the running slot has that a new /usr can be made of.

use crate::delta::plan::Have;
use crate::release::Digest;
use crate::slots::{Area, Disk};
use crate::verity::{self, BLOCK, DIGEST, Stored};

/// The running /usr and its hash tree.
pub(super) struct Running {
    /// The file system.
    pub(super) usr: Area,
    stored: Stored,
}

impl Running {
    /// Opens the running slot for reading. None if it cannot be read: a release can be
    /// fetched without it.
    pub(super) fn open(disk: &Disk) -> Option<Self> {
        let (_, booted) = disk.running_release()?;
        let slot = disk.slot(disk.running());
        let areas = (
            disk.running_area(&slot.usr),
            disk.running_area(&slot.verity),
        );
        let (usr, tree) = match areas {
            (Ok(usr), Ok(tree)) => (usr, tree),
            (Err(e), _) | (_, Err(e)) => {
                tracing::warn!("the running /usr cannot be used for the new one: {e}");
                return None;
            }
        };
        match verity::read(&tree) {
            Ok(stored) if stored.root_hash == booted.0 => Some(Running { usr, stored }),
            Ok(_) => {
                tracing::warn!("the hash tree of the running /usr is damaged");
                None
            }
            Err(e) => {
                tracing::warn!("the hash tree of the running /usr cannot be read: {e}");
                None
            }
        }
    }

    /// For the choice of a way.
    pub(super) fn have(&self) -> Have<'_> {
        Have {
            root_hash: Digest(self.stored.root_hash),
            size: (self.stored.leaves.len() / DIGEST * BLOCK) as u64,
            stored: Some(&self.stored),
        }
    }
}
