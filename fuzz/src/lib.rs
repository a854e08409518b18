//! What the targets share: inputs that are changes to a well-formed file, so that a
//! fuzzer need not invent a whole disk.

use oem::error::Result;
use oem::plan::{Action, Plan};
use oem::root::{Found, SystemView};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// A machine with nothing on it but one user.
pub struct Bare;

impl SystemView for Bare {
    fn look(&self, _: &str) -> Result<Found> {
        Ok(Found::Missing)
    }
    fn owners(&self) -> bool {
        true
    }
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok((path == "/etc/passwd").then(|| b"core:x:1000:1000::/home/core:/bin/bash\n".to_vec()))
    }
    fn list(&self, _: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Sees to it that nothing of a plan leads out of where it may.
pub fn assert_inside(plan: &Plan) {
    for action in plan.steps.iter().filter_map(|s| s.work.action()) {
        if let Some(path) = action.path() {
            assert!(path.starts_with('/') && !path.contains('\0'), "{path:?}");
            assert!(!path.split('/').any(|p| p == ".."), "{path:?}");
            assert!(!path.starts_with("/usr/"), "{path:?}");
        }
        if let Action::Job { unit, .. } | Action::Stop { unit } = action {
            assert!(!unit.contains(['/', '\n']), "{unit:?}");
        }
    }
}

/// A place for files of this process, in memory where the host can.
pub fn scratch(name: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = Some(memory).filter(|d| d.is_dir());
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    folder.join(format!("holdfast-fuzz-{}-{name}", std::process::id()))
}

/// A file with changes on top, which the fuzzer's bytes describe: any number of
/// offset (3 bytes, little-endian), length (1 byte) and that many bytes.
pub struct Patched<'a> {
    base: &'a [u8],
    patches: Vec<(usize, &'a [u8])>,
    at: u64,
}

impl<'a> Patched<'a> {
    /// Puts the changes that `data` describes on `base`.
    pub fn new(base: &'a [u8], mut data: &'a [u8]) -> Self {
        let mut patches = Vec::new();
        while let Some(([a, b, c, len], rest)) = data.split_first_chunk() {
            let (bytes, rest) = rest.split_at(usize::from(*len).min(rest.len()));
            let offset = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
            if !base.is_empty() {
                patches.push((offset % base.len(), bytes));
            }
            data = rest;
        }
        Patched {
            base,
            patches,
            at: 0,
        }
    }

    /// All bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.base.to_vec();
        self.apply(0, &mut bytes);
        bytes
    }

    fn apply(&self, at: usize, buffer: &mut [u8]) {
        for (start, bytes) in &self.patches {
            for (place, byte) in (*start..).zip(*bytes) {
                if let Some(to) = place.checked_sub(at).and_then(|i| buffer.get_mut(i)) {
                    *to = *byte;
                }
            }
        }
    }
}

impl Read for Patched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        let rest = self.base.get(at..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.apply(at, &mut buffer[..len]);
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Patched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => (self.base.len() as u64).checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
