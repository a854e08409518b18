//! A file being received: never longer than listed, hashed on the way.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::super::mirror::redact;
use super::{Failure, open_local};
use crate::cache::writing;
use crate::error::Error;
use crate::hex;

/// What a file must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// For messages.
    pub name: &'a str,
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: &'a str,
}

/// What has arrived so far.
pub(super) struct Partial<'a> {
    url: &'a str,
    expected: Expected<'a>,
    file: &'a mut File,
    on_bytes: &'a dyn Fn(u64),
    hasher: Sha256,
    written: u64,
}

fn disk(e: std::io::Error) -> Failure {
    Failure::Final(writing(e, Path::new("the cache")))
}

impl<'a> Partial<'a> {
    /// Nothing yet of `url`, into the empty `file`. `on_bytes` hears of every chunk.
    pub fn new(
        url: &'a str,
        expected: Expected<'a>,
        file: &'a mut File,
        on_bytes: &'a dyn Fn(u64),
    ) -> Self {
        Partial {
            url,
            expected,
            file,
            on_bytes,
            hasher: Sha256::new(),
            written: 0,
        }
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Forgets what arrived.
    pub fn restart(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).map_err(disk)?;
        self.file.seek(SeekFrom::Start(0)).map_err(disk)?;
        self.hasher = Sha256::new();
        self.written = 0;
        Ok(())
    }

    /// Refuses an announced length that is not the listed one.
    pub fn announce(&self, len: Option<u64>) -> Result<(), Failure> {
        match len.filter(|len| *len != self.expected.size) {
            Some(len) => Err(self.wrong_size(len)),
            None => Ok(()),
        }
    }

    /// Takes the next bytes.
    pub fn accept(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let after = self.written + chunk.len() as u64;
        if after > self.expected.size {
            return Err(self.wrong(&format!("it is longer than {} bytes", self.expected.size)));
        }
        self.file.write_all(chunk).map_err(disk)?;
        self.hasher.update(chunk);
        self.written = after;
        (self.on_bytes)(chunk.len() as u64);
        Ok(())
    }

    /// Takes a whole file of a directory mirror.
    pub fn copy(&mut self, path: &str) -> Result<(), Failure> {
        let mut source = open_local(path)?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let n = source.read(&mut buffer).map_err(|e| {
                Failure::Final(Error::environment(format!("reading {path}")).because(e))
            })?;
            if n == 0 {
                return Ok(());
            }
            self.accept(buffer.get(..n).unwrap_or_default())?;
        }
    }

    /// For the end of an answer: it may have come too early.
    pub fn is_complete(&self) -> Result<(), Failure> {
        if self.written >= self.expected.size {
            return Ok(());
        }
        Err(Failure::Network(format!(
            "the connection closed after {} of {} bytes",
            self.written, self.expected.size
        )))
    }

    /// Checks the whole.
    pub fn finish(self) -> Result<(), Failure> {
        if self.written != self.expected.size {
            return Err(self.wrong_size(self.written));
        }
        let got = hex::encode(&self.hasher.clone().finalize());
        if got != self.expected.sha256 {
            return Err(self.wrong(&format!(
                "its SHA-256 is {got} instead of {}",
                self.expected.sha256
            )));
        }
        Ok(())
    }

    fn wrong_size(&self, len: u64) -> Failure {
        self.wrong(&format!(
            "it has {len} bytes instead of {}",
            self.expected.size
        ))
    }

    fn wrong(&self, why: &str) -> Failure {
        Failure::Final(
            Error::refused(format!(
                "{} from {} is not what the signed index lists: {why}",
                self.expected.name,
                redact(self.url)
            ))
            .hint("the mirror or a proxy changed or cut it; try again or use another mirror"),
        )
    }
}
