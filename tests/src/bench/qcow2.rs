//! How a qcow2 file is compressed (QEMU's docs/interop/qcow2.rst).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// What decides how well a qcow2 file compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    cluster_bits: u32,
    zstd: bool,
}

impl Default for Format {
    /// qemu-img's own default clusters, with zstd.
    fn default() -> Self {
        Format {
            cluster_bits: 16,
            zstd: true,
        }
    }
}

impl Format {
    /// Reads a file's header.
    pub fn read(path: &Path) -> Result<Self> {
        let mut header = Vec::new();
        File::open(path)
            .and_then(|f| f.take(112).read_to_end(&mut header))
            .with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&header).with_context(|| format!("reading the header of {}", path.display()))
    }

    fn parse(header: &[u8]) -> Result<Self> {
        let word = |at: usize| -> Result<u32> {
            let bytes = header.get(at..at + 4).context("the file is too short")?;
            Ok(u32::from_be_bytes(bytes.try_into()?))
        };
        if word(0)? != 0x5146_49fb {
            bail!("this is not a qcow2 file");
        }
        // The compression type is there in version 3 headers longer than 104 bytes.
        let zstd = word(4)? >= 3 && word(100)? > 104 && header.get(104) == Some(&1);
        Ok(Format {
            cluster_bits: word(20)?,
            zstd,
        })
    }

    /// For `qemu-img convert -o`.
    pub fn options(self) -> String {
        let method = if self.zstd { "zstd" } else { "zlib" };
        format!(
            "cluster_size={},compression_type={method}",
            1_u64.checked_shl(self.cluster_bits).unwrap_or(65536)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let mut header = vec![0; 112];
        header[..4].copy_from_slice(b"QFI\xfb");
        header[7] = 3;
        header[23] = 16;
        header[103] = 112;
        assert_eq!(
            Format::parse(&header).unwrap().options(),
            "cluster_size=65536,compression_type=zlib"
        );
        header[104] = 1;
        assert_eq!(
            Format::parse(&header).unwrap().options(),
            "cluster_size=65536,compression_type=zstd"
        );
        assert!(Format::parse(&header[..50]).is_err());
        assert!(Format::parse(&[0; 112]).is_err());
    }
}
