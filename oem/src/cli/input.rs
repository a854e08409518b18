//! Flags that name files and a root, and what they stand for.

use crate::error::{Context as _, Error, Result};
use crate::metadata::{Fetched, Metadata};
use crate::root::{Root, SystemView as _};
use clap::Args;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The OEM partition's cloud-config.
pub const OEM_CONFIG: &str = "/usr/share/oem/cloud-config.yml";
/// Largest file read.
const MAX: u64 = crate::userdata::unpack::MAX;

/// What to apply, where.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// User-data file (`-` is standard input)
    #[arg(long, value_name = "FILE")]
    pub user_data: Option<PathBuf>,
    /// Vendor-data file
    #[arg(long, value_name = "FILE")]
    pub vendor_data: Option<PathBuf>,
    /// Network configuration: cloud-init's version 1 or 2, network_data.json, or Debian's interfaces
    #[arg(long, value_name = "FILE")]
    pub network_config: Option<PathBuf>,
    /// Metadata as JSON, in the form `oem fetch --json` prints
    #[arg(long, value_name = "FILE")]
    pub metadata: Option<PathBuf>,
    /// Cloud-config of the OEM partition [default: below the root, /usr/share/oem/cloud-config.yml]
    #[arg(long, value_name = "FILE")]
    pub oem_config: Option<PathBuf>,
    /// Host name in place of the metadata's
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Directory that stands for /; needs no privilege and no systemd
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
}

impl InputArgs {
    /// Opens the root.
    pub fn open_root(&self) -> Result<Root> {
        Root::open(&self.root)
    }

    /// Whether any file was named.
    pub fn names_files(&self) -> bool {
        self.user_data.is_some()
            || self.vendor_data.is_some()
            || self.network_config.is_some()
            || self.metadata.is_some()
    }

    /// Reads the named files.
    pub fn fetched(&self) -> Result<Fetched> {
        let optional = |p: &Option<PathBuf>| p.as_deref().map(read_file).transpose();
        let metadata = match &self.metadata {
            None => Metadata::default(),
            Some(path) => read_metadata(path)?,
        };
        let source = self
            .user_data
            .as_ref()
            .or(self.metadata.as_ref())
            .or(self.network_config.as_ref())
            .map(|p| p.display().to_string());
        Ok(Fetched {
            provider: metadata.provider.clone(),
            source: source.unwrap_or_default(),
            user_data: optional(&self.user_data)?,
            vendor_data: optional(&self.vendor_data)?,
            network: optional(&self.network_config)?,
            metadata,
            passwords: Vec::new(),
        })
    }

    /// Puts `--hostname` over the metadata's.
    pub fn override_hostname(&self, metadata: &mut Metadata) {
        if let Some(name) = &self.hostname {
            metadata.hostname = Some(name.clone());
        }
    }

    /// The OEM partition's cloud-config.
    pub fn oem(&self, root: &Root) -> Result<Option<Vec<u8>>> {
        match &self.oem_config {
            Some(path) => read_file(path).map(Some),
            None => root.read(OEM_CONFIG),
        }
    }
}

/// Reads metadata named by the user.
pub fn read_metadata(path: &Path) -> Result<Metadata> {
    metadata(&read_file(path)?)
        .input(|| format!("{} is not metadata", path.display()))
        .map_err(|e| e.hint("expected JSON with hostname, ssh_keys, public_ipv4, private_ipv4..."))
}

/// Metadata alone, or inside what `oem fetch --json` prints.
fn metadata(json: &[u8]) -> serde_json::Result<Metadata> {
    let value: serde_json::Value = serde_json::from_slice(json)?;
    let inner = value.get("metadata").cloned().unwrap_or(value);
    serde_json::from_value(inner)
}

/// Reads a file named by the user, `-` for standard input.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let what = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MAX + 1)
            .read_to_end(&mut bytes)
            .input(what)?;
    } else {
        std::fs::File::open(path)
            .and_then(|f| f.take(MAX + 1).read_to_end(&mut bytes))
            .input(what)?;
    }
    if bytes.len() as u64 > MAX {
        return Err(Error::input(format!(
            "{} is larger than {} MiB",
            path.display(),
            MAX >> 20
        ))
        .hint("fetch large files from a unit instead"));
    }
    Ok(bytes)
}
