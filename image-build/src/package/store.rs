//! The cache entry of an unpacked package: all file contents, uncompressed, one
//! after the other, then an index. A second build reads the index only.
//!
//! Layout: [`MAGIC`], contents, index (JSON), length of the index (u64,
//! little-endian), [`MAGIC`]. A change of the layout changes the magic, and
//! entries of other versions are made anew.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Package;
use crate::error::{Error, Result};
use crate::tree::{Content, Kind, Node};

/// Start and end of an entry.
pub const MAGIC: &[u8; 8] = b"HFUNPK01";

/// A package as the index keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Index {
    pub control: BTreeMap<String, String>,
    pub scripts: BTreeMap<String, String>,
    pub conffiles: Vec<String>,
    pub triggers: Vec<String>,
    pub warnings: Vec<String>,
    pub entries: Vec<Entry>,
}

/// One path.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    pub path: String,
    pub what: What,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What a path is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    Dir,
    /// First byte in the entry and length.
    File(u64, u64),
    Link(String),
}

/// Writes the index and the trailer after the contents.
pub fn finish(out: &mut impl Write, index: &Index) -> std::io::Result<()> {
    let json = serde_json::to_vec(index)?;
    out.write_all(&json)?;
    out.write_all(&(json.len() as u64).to_le_bytes())?;
    out.write_all(MAGIC)?;
    out.flush()
}

/// Reads an entry; `None` if it is not one of this version.
pub fn load(path: &Path) -> Result<Option<Package>> {
    let fail =
        |e: std::io::Error| Error::environment(format!("reading {}", path.display())).because(e);
    let file = File::open(path).map_err(fail)?;
    let len = file.metadata().map_err(fail)?.len();
    let mut trailer = [0; 16];
    let Some(at) = len.checked_sub(16) else {
        return Ok(None);
    };
    file.read_exact_at(&mut trailer, at).map_err(fail)?;
    let (size, magic) = trailer.split_at(8);
    let size = u64::from_le_bytes(size.try_into().unwrap_or_default());
    if magic != MAGIC || size > at {
        return Ok(None);
    }
    let mut json = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read_exact_at(&mut json, at - size).map_err(fail)?;
    let Ok(index) = serde_json::from_slice::<Index>(&json) else {
        return Ok(None);
    };
    package(index, path).map(Some)
}

fn package(index: Index, file: &Path) -> Result<Package> {
    let field = |name: &str| {
        index
            .control
            .get(name)
            .cloned()
            .ok_or_else(|| Error::refused(format!("control file without {name}")))
    };
    let name = field("Package")?;
    let origin: Arc<str> = name.as_str().into();
    let file: Arc<Path> = file.into();
    let nodes = index.entries.into_iter().map(|e| {
        let kind = match e.what {
            What::Dir => Kind::Dir,
            What::File(_, 0) => Kind::File(Content::Bytes([].into())),
            What::File(offset, len) => Kind::File(Content::Stored {
                file: file.clone(),
                offset,
                len,
            }),
            What::Link(target) => Kind::Symlink(target),
        };
        let node = Node {
            kind,
            mode: e.mode,
            uid: e.uid,
            gid: e.gid,
            xattrs: e.xattrs,
            origin: origin.clone(),
        };
        (e.path, node)
    });
    Ok(Package {
        version: index.control.get("Version").cloned().unwrap_or_default(),
        architecture: index
            .control
            .get("Architecture")
            .cloned()
            .unwrap_or_default(),
        name,
        nodes: nodes.collect(),
        control: index.control,
        scripts: index.scripts,
        conffiles: index.conffiles,
        triggers: index.triggers,
        warnings: index.warnings,
    })
}
