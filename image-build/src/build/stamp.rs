//! The stamp beside the outputs: what they were made from. A build whose inputs
//! have the same hash, and whose outputs are still there, has nothing to do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Context, Result};

/// Collects the hash of all inputs, each with its name and length, so that no two
/// lists of inputs can look alike.
#[derive(Debug, Default)]
pub struct Inputs(Sha256);

impl Inputs {
    /// Adds one input.
    #[must_use]
    pub fn with(mut self, name: &str, bytes: &[u8]) -> Self {
        for part in [name.as_bytes(), bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }
    /// Lower-case hexadecimal hash.
    pub fn hash(self) -> String {
        crate::hex::encode(&self.0.finalize())
    }
}

/// The stamp file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// Hash of the inputs.
    pub inputs: String,
    /// Version of the image.
    pub version: String,
    /// Root hash of its /usr.
    pub root_hash: String,
    /// File name -> size in bytes.
    pub outputs: BTreeMap<String, u64>,
}

impl Stamp {
    /// Path of the stamp of recipe `name`.
    pub fn path(out: &Path, name: &str) -> PathBuf {
        out.join(format!("{name}.build.json"))
    }

    /// The stamp of recipe `name`, whatever it was made from.
    pub fn read(out: &Path, name: &str) -> Result<Self> {
        let path = Self::path(out, name);
        let what = || format!("reading the build {}", path.display());
        let text = std::fs::read(&path).input(what)?;
        serde_json::from_slice(&text).input(what)
    }

    /// The stamp, if it was made from `inputs` and every output it names is there
    /// with its size.
    pub fn current(out: &Path, name: &str, inputs: &str) -> Option<Self> {
        let text = std::fs::read(Self::path(out, name)).ok()?;
        let stamp: Stamp = serde_json::from_slice(&text).ok()?;
        let whole = |(file, size): (&String, &u64)| {
            std::fs::metadata(out.join(file)).is_ok_and(|m| m.len() == *size)
        };
        (stamp.inputs == inputs && stamp.outputs.iter().all(whole)).then_some(stamp)
    }

    /// The stamp's bytes, for [`crate::build`] to put in place last.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes =
            serde_json::to_vec_pretty(self).environment(|| "encoding the build stamp".into())?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_do_not_run_together() {
        let a = Inputs::default().with("ab", b"c").hash();
        let b = Inputs::default().with("a", b"bc").hash();
        assert_ne!(a, b);
    }

    #[test]
    fn stale_when_an_output_is_gone_or_cut() -> std::result::Result<(), Box<dyn std::error::Error>>
    {
        let dir = tempfile::tempdir()?;
        let stamp = Stamp {
            inputs: "h".into(),
            version: "1".into(),
            root_hash: "r".into(),
            outputs: [("x.raw".to_owned(), 3)].into(),
        };
        std::fs::write(Stamp::path(dir.path(), "x"), stamp.encode()?)?;
        assert_eq!(Stamp::current(dir.path(), "x", "h"), None);
        std::fs::write(dir.path().join("x.raw"), "abc")?;
        assert_eq!(Stamp::current(dir.path(), "x", "h"), Some(stamp));
        assert_eq!(Stamp::current(dir.path(), "x", "other"), None);
        std::fs::write(dir.path().join("x.raw"), "ab")?;
        assert_eq!(Stamp::current(dir.path(), "x", "h"), None);
        Ok(())
    }
}
